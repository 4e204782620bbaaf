"""What a run asks of its receiver: its rows, what is on disk of them, and whether it is durable."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError, ReceiverWarning, warn
from dicomove.receiver.api import Durability, Flush, Held
from dicomove.receiver.pacs_entry import reach_problem
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.placing import has_room
from dicomove.receiver.rows import AskedRow, LocalRow, RowsInFlight
from dicomove.receiver.supervision import Supervisor
from dicomove.store import InstanceReader, InstanceRecord

#: The longest wait until everything is durable, in seconds.
FLUSH_S: Final = 120.0


class RunsAtReceiver:
    """A receiver as its runs use it; `Receiver` has what users need.

    Parameters
    ----------
    supervisor, in_flight, folder, quiet_period
        Of the receiver.

    Attributes
    ----------
    pacs_host
        The PACS that moves to it: the receiver shows its entry for this one.
    discrepancies
        Those of the latest run.
    """

    def __init__(self, supervisor: Supervisor, in_flight: RowsInFlight, folder: Path, quiet_period: float) -> None:
        self._supervisor, self._in_flight, self._folder = supervisor, in_flight, folder
        self._quiet_period = quiet_period
        self.pacs_host = ""
        self.discrepancies: list[Mapping[str, object]] = []
        self._numbers = itertools.count(1)
        self._reading = threading.Lock()
        self._reader: InstanceReader | None = None

    def written(self) -> dict[str, object]:
        """Return what a journal keeps of the receiver."""
        return {**self._supervisor.settings.written(), "quiet_period": self._quiet_period}

    @property
    def path_template(self) -> PathTemplate:
        """The path of an instance, with the columns of the table that it names."""
        return PathTemplate(self._supervisor.settings.path, takes_columns=True)

    def reach_problem(self, pacs_host: str) -> str | None:
        """Return why a PACS may not reach the address that the receiver shows; ``None`` if no reason is known."""
        settings = self._supervisor.settings
        return reach_problem(pacs_host, settings.host, is_known=settings.port is None or bool(settings.advertise))

    def durability(self) -> Durability:
        """Wait until everything that arrived is durable; return what is not, and which files are lost."""
        return self._supervisor.ask(Flush(FLUSH_S))

    def held(self, keys: Mapping[str, str]) -> Mapping[str, int]:
        """Return the instances on disk with these unique keys: SOP Instance UIDs and sizes."""
        return self._supervisor.ask(Held(keys))

    def has_room(self) -> bool:
        """Return whether the disk has more free than `min_free`, and takes a file. A folder that is gone has room."""
        return has_room(self._folder, self._supervisor.settings.min_free)

    def begin_run(self, pacs_host: str = "") -> int:
        """Return the number of a new run, which its rows have.

        Parameters
        ----------
        pacs_host
            The PACS that is to move to the receiver: its entry is shown from now on.
        """
        self._supervisor.check_own()
        if pacs_host and pacs_host != self.pacs_host:
            self.pacs_host = pacs_host
            if problem := self.reach_problem(pacs_host):
                warn(problem, ReceiverWarning)
        return next(self._numbers)

    def watch_for_stop(self, run: int, stops: Callable[[], int]) -> None:
        """Wait only briefly for a process without a sign of life, once the user has asked to stop this run."""
        self._supervisor.watch_for_stop(run, stops)

    def end_run(self, run: int, found: Iterable[Mapping[str, object]] = ()) -> None:
        """Forget the rows of a run: instances that arrive for them now are unrequested. Keep the discrepancies."""
        self.discrepancies = list(found)
        self._in_flight.end_run(run)
        with suppress(ReceiverError):  # the process is gone, and so are its rows
            self._supervisor.end_run(run)

    def row(self, asked: AskedRow) -> LocalRow:
        """Return a row of a run at this receiver: enter it before its C-MOVE is sent."""
        return LocalRow(self._supervisor, self._in_flight, self._records, self._quiet_period, asked)

    def close(self) -> None:
        """Close the index."""
        with self._reading:
            reader, self._reader = self._reader, None
        if reader:
            reader.close()

    def _records(self, keys: Mapping[str, str]) -> list[InstanceRecord]:
        with self._reading:
            if self._reader is None:
                self._reader = InstanceReader(self._folder)
                weakref.finalize(self, self._reader.close)
            return self._reader.of(keys)
