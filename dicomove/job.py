"""`MoveJob`: a run in the background, to be watched, paused and cancelled while the notebook goes on."""

from __future__ import annotations

import atexit
import threading
import time
import warnings
import weakref
from typing import Final

import pandas as pd

from dicomove.errors import DicomoveWarning
from dicomove.notebook import Progress, job_display
from dicomove.run import PreparedRun

_LOOK_UP_S: Final = 0.1
_FAREWELL_S: Final = 15.0
_running: weakref.WeakSet[MoveJob] = weakref.WeakSet()


class MoveJob:
    """A run in the background, made by `start_move`.

    Its table is available at any time. When the interpreter ends, running jobs are cancelled, after a warning; with a
    journal, the same call goes on later.

    Parameters
    ----------
    run
        The run.
    progress
        Which display shows it.

    Examples
    --------
    >>> import dicomove as dm
    >>> from dicomove.testing import demo_pacs
    >>> studies = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4"]})
    >>> with demo_pacs() as pacs:
    ...     job = dm.start_move(studies, pacs, pacs.destination, progress=False)
    ...     results = job.wait()
    >>> job.done, results["outcome"].tolist()
    (True, ['empty'])
    """

    def __init__(self, run: PreparedRun, progress: Progress) -> None:
        self._run = run
        self._stops = 0
        self._error: BaseException | None = None
        # Not `Thread.is_alive`: until Python 3.13, a `join` that is interrupted takes a thread that runs for ended.
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._do, name="dicomove-job", daemon=True)
        try:
            # The caller's thread makes the display, so that it stays under the cell that began the job.
            self._show = job_display(progress, self)
            self._start()
        except BaseException:
            run.close()
            raise

    def _start(self) -> None:
        _running.add(self)
        # Again, because the last one registered is called first: the receivers of this job have to outlive it.
        atexit.unregister(_cancel_all)
        atexit.register(_cancel_all)
        try:
            self._thread.start()
        except BaseException as error:  # the system allows no more threads
            _running.discard(self)
            self._show.__exit__(type(error), error, error.__traceback__)
            raise

    def __repr__(self) -> str:
        outcomes = self.results["outcome"].value_counts()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
        if self.done:
            state = "broke off" if self._error else "done"
        else:
            state = "cancelling" if self._stops else "paused" if self.paused else "running"
        return f"MoveJob({state}: {counts or 'no rows'})"

    @property
    def done(self) -> bool:
        """Whether the run has ended, successfully or not."""
        return self._ended.is_set()

    @property
    def paused(self) -> bool:
        """Whether the run is paused."""
        return self._run.paused

    @property
    def results(self) -> pd.DataFrame:
        """The result table so far: rows whose turn has not come are `not_attempted`."""
        return self._run.results

    def cancel(self) -> None:
        """Send C-CANCEL for the rows in flight, and begin no more. The second call does not wait for the PACS."""
        self._stops += 1

    def pause(self) -> None:
        """Begin no more rows. Rows in flight are finished."""
        self._run.paused = True

    def resume(self) -> None:
        """Go on after a pause."""
        self._run.paused = False

    def wait(self, timeout: float | None = None) -> pd.DataFrame:
        """Wait for the end, and return the result table. An interrupt ends only the wait, and not the run.

        Parameters
        ----------
        timeout
            Seconds; ``None`` is no limit.

        Raises
        ------
        TimeoutError
            The run has not ended in this time; it goes on.
        Exception
            The error that ended the run, if it does not belong to a row.

        Warns
        -----
        CohortWarning, InterruptedWarning, JournalWarning, ReceiverWarning, VerificationWarning
            As `move` does.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.done and (end is None or time.monotonic() < end):
            self._ended.wait(_LOOK_UP_S if end is None else max(0.0, min(_LOOK_UP_S, end - time.monotonic())))
        if not self.done:
            message = f"the job has not ended within {timeout:g} s; it goes on"
            raise TimeoutError(message)
        if self._error:
            raise self._error
        self._run.warn_of_problems()
        return self.results

    def _do(self) -> None:
        try:
            with self._show as show:
                self._run.do(show, lambda: self._stops)
        except BaseException as error:  # noqa: BLE001 (`wait` raises it again)
            self._error = error
        finally:
            self._run.close()
            _running.discard(self)
            self._ended.set()


def _cancel_all() -> None:
    """Cancel running jobs when the interpreter ends, so that no PACS goes on sending."""
    left = list(_running)
    if not left:
        return
    message = f"{len(left)} background moves were running when the interpreter ended: call job.wait() before"
    warnings.warn(message, DicomoveWarning, stacklevel=1)
    for job in left:
        job.cancel()
    for job in left:
        job._ended.wait(_FAREWELL_S)  # noqa: SLF001 (it is this module's own)
