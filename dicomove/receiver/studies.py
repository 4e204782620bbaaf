"""``on_study=``: reports each study when no instance of it has come for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError
from dicomove.events import StudyReceived, notify
from dicomove.store import StudySize, read_studies

_POLL_S: Final = 0.3
#: The pause after a look at the index, in multiples of the time that the look took.
_SHARE: Final = 20


@dataclass
class QuietStudies:
    """Decides which studies to report, because they have been quiet for the quiet period. Pure.

    Parameters
    ----------
    quiet_period
        Seconds without a new instance.
    """

    quiet_period: float
    _seen: dict[str, tuple[StudySize, float]] = field(default_factory=dict)
    _reported: dict[str, StudySize] = field(default_factory=dict)

    def skip(self, studies: dict[str, StudySize]) -> None:
        """Do not report these studies, which were there before."""
        self._reported |= studies

    def update(self, studies: dict[str, StudySize], now: float, *, at_end: bool = False) -> list[StudyReceived]:
        """Return the studies to report now; at the end, all that were not reported."""
        ready = []
        for uid, size in studies.items():
            before = self._seen.get(uid)
            since = before[1] if before and before[0] == size else now
            self._seen[uid] = size, since
            if self._reported.get(uid) != size and (at_end or now - since >= self.quiet_period):
                self._reported[uid] = size
                ready.append(
                    StudyReceived(
                        study_instance_uid=uid, series=size.series, instances=size.instances, bytes=size.bytes
                    )
                )
        return ready


class StudyWatch:
    """A thread that reports studies.

    Parameters
    ----------
    folder
        The folder of the receiver.
    quiet_period
        Seconds without a new instance after which a study is reported.
    on_study
        Called with a `StudyReceived`, in the thread. Its exceptions are logged.
    """

    def __init__(self, folder: Path, quiet_period: float, on_study: Callable[[StudyReceived], object]) -> None:
        self._folder, self._on_study = folder, on_study
        self._quiet = QuietStudies(quiet_period)
        self._quiet.skip(self._studies())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="dicomove-studies", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Report the remaining studies, and end."""
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _watch(self) -> None:
        pause_s = _POLL_S
        while not self._ended.wait(pause_s):
            started = time.monotonic()
            self._tell(at_end=False)
            # Counting a folder with a million instances takes a while.
            pause_s = max(_POLL_S, _SHARE * (time.monotonic() - started))
        self._tell(at_end=True)

    def _tell(self, *, at_end: bool) -> None:
        for study in self._quiet.update(self._studies(), time.monotonic(), at_end=at_end):
            notify(self._on_study, study)

    def _studies(self) -> dict[str, StudySize]:
        try:
            return read_studies(self._folder)
        except ReceiverError:  # the index is being written, or gone: the next look shows it
            return {}
