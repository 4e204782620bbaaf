"""The rows at a receiver: each from before its C-MOVE until its instances on disk are known, and all in flight."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, Self

import pandas as pd

from dicomove.cohort import Identifier
from dicomove.errors import AddressError
from dicomove.outcome import Counts, Refusal
from dicomove.pacs import Pacs
from dicomove.receiver.admission import count_refusal
from dicomove.receiver.api import (
    AwaitArrivals,
    CancelGet,
    Expect,
    Get,
    GetEnd,
    Held,
    OtherPatient,
    OtherPatients,
    ReceivedRow,
    RowId,
    gone_end,
)
from dicomove.receiver.lines import Progress
from dicomove.receiver.pacs_entry import addresses
from dicomove.receiver.process import Asks
from dicomove.store import InstanceRecord

_REFUSED_COLUMNS: Final = ("address", "ae_title", "reason", "count")
#: The most different refusals in the life of a receiver.
_MOST_REFUSALS: Final = 1000
_LOOK_UP_S: Final = 0.05


class RowsInFlight:
    """The rows in flight, with the latest reports of the process.

    Attributes
    ----------
    refused
        Refused peers, with the number of their connections.
    unrequested
        The number of instances that no row had asked for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: dict[RowId, Expect] = {}
        self._progress: dict[RowId, tuple[int, int]] = {}
        self.refused: Counter[Refusal] = Counter()
        self._gets = itertools.count(1)
        self._counts: dict[int, Counts | None] = {}
        self.unrequested = 0

    def begin(self, expect: Expect) -> None:
        """Add a row."""
        with self._lock:
            self._expected[expect.row] = expect

    def end(self, row: RowId) -> None:
        """Remove a row."""
        with self._lock:
            self._expected.pop(row, None)
            self._progress.pop(row, None)

    def end_run(self, run: int) -> None:
        """Remove all rows of a run."""
        with self._lock:
            rows = [row for row in self._expected if row.run == run]
        for row in rows:
            self.end(row)

    def progress(self, row: RowId) -> tuple[int, int]:
        """Return instances and bytes that have come for a row."""
        return self._progress.get(row, (0, 0))

    @contextmanager
    def get(self) -> Iterator[int]:
        """Yield a number for a C-GET that runs in the block."""
        with self._lock:
            number = next(self._gets)
            self._counts[number] = None
        try:
            yield number
        finally:
            with self._lock:
                del self._counts[number]

    def counts(self, number: int) -> Counts | None:
        """Return the latest counts of a running C-GET."""
        return self._counts[number]

    def expected(self) -> list[Expect]:
        """Return the rows in flight, for a new process."""
        with self._lock:
            return list(self._expected.values())

    def refusals(self) -> Counter[Refusal]:
        """Return the refused peers so far, with the number of their connections."""
        with self._lock:
            return Counter(self.refused)

    def take(self, progress: Progress) -> None:
        """Take a report of the process."""
        with self._lock:
            for run, position, arrivals, size in progress.rows:
                if (row := RowId(run, position)) in self._expected:
                    self._progress[row] = arrivals, size
            for fields, count in progress.refused:
                count_refusal(self.refused, Refusal._make(fields), count, _MOST_REFUSALS)
            for number, counts in progress.counts:
                if number in self._counts:
                    self._counts[number] = Counts(**counts)
            self.unrequested += progress.unrequested


def refused_table(refusals: Mapping[Refusal, int]) -> pd.DataFrame:
    """Return one row for each peer and reason.

    Examples
    --------
    >>> refused_table({Refusal("10.0.0.7", "PACS", "ae_title", "it called OLD"): 2}).to_dict("records")
    [{'address': '10.0.0.7', 'ae_title': 'PACS', 'reason': 'it called OLD', 'count': 2}]
    """
    rows = [(one.address, one.ae_title or None, one.reason, count) for one, count in refusals.items()]
    return pd.DataFrame(rows, columns=list(_REFUSED_COLUMNS)).astype({"count": "int64"})


class RowAtReceiver(Protocol):
    """One row at its receiver, here or on another machine. Methods raise `ReceiverError` if the receiver is gone."""

    def last_activity(self) -> float:
        """Return the time of the last arrival, in seconds of the monotonic clock."""

    def open_again(self) -> None:
        """Let the PACS connect again, after `await_arrivals` has ended the row, because more of it is asked for."""

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return its instances on disk: SOP Instance UIDs and sizes. `read` compares the bytes with the index, too."""

    def await_arrivals(self, enough: int | None, quiet: float | None = None) -> ReceivedRow:
        """Wait until enough instances came, or for a quiet period; return the instances of the row."""


@dataclass(frozen=True, slots=True)
class AskedRow:
    """A row of a run, as a receiver has to know it.

    Attributes
    ----------
    row
        The run, and a number that no other row of it has.
    keys
        The unique keys of the row.
    host
        The host of the PACS.
    patients
        The PatientIDs of the row, if its unique keys have none: instances with another one are reported.
    cells
        The row's values of the columns in `path`.
    admits_others
        Whether instances with an altogether different PatientID may belong to the row.
    """

    row: RowId
    keys: Mapping[str, str]
    host: str = ""
    patients: Sequence[str] = ()
    cells: Mapping[str, str] = field(default_factory=dict)
    admits_others: bool = True


class LocalRow:
    """A row at a receiver of this process; in flight while it is entered.

    Methods raise `ReceiverError` if the receiver is gone for good.

    Parameters
    ----------
    process, in_flight, quiet_period
        The receiver's process, its rows in flight, and its quiet period.
    records
        Returns the folder's records with some keys.
    asked
        The row.
    """

    def __init__(
        self,
        process: Asks,
        in_flight: RowsInFlight,
        records: Callable[[Mapping[str, str]], list[InstanceRecord]],
        quiet_period: float,
        asked: AskedRow,
    ) -> None:
        self._process, self._in_flight, self._records, self._quiet_period = process, in_flight, records, quiet_period
        self._asked, self._row, self._keys, self._patients = asked, asked.row, asked.keys, asked.patients
        # The row's instances must have one of these PatientIDs, in any spelling. If there are none, any PatientID may
        # come.
        self._none_but: Sequence[str] = () if asked.admits_others else self._patients
        self._refused: Mapping[Refusal, int] = {}
        self._seen = (0, 0)
        self._last_activity = time.monotonic()
        self._pid = 0

    def __enter__(self) -> Self:
        """Let the PACS connect, and count arrivals from now on."""
        self._refused, self._pid = self._in_flight.refusals(), self._process.pid
        self.open_again()
        return self

    def __exit__(self, *_: object) -> None:
        self._in_flight.end(self._row)

    def open_again(self) -> None:
        """Let the PACS connect again, after `await_arrivals` has ended the row, because more of it is asked for."""
        self._last_activity = time.monotonic()
        expect = Expect(self._row, self._keys, addresses(self._asked.host), self._asked.cells, self._none_but)
        self._in_flight.begin(expect)
        try:
            self._process.ask(expect)
        except BaseException:
            self._in_flight.end(self._row)
            raise

    def progress(self) -> tuple[int, int]:
        """Return the instances and bytes so far."""
        return self._in_flight.progress(self._row)

    def last_activity(self) -> float:
        """Return when an instance came last, in seconds of the monotonic clock."""
        now = self.progress()
        if now != self._seen:
            self._seen, self._last_activity = now, time.monotonic()
        return self._last_activity

    def get(
        self,
        pacs: Pacs,
        identifier: Identifier,
        sop_classes: Sequence[str],
        *,
        total_timeout: float | None = None,
        expected: int | None = None,
        wants_end: Callable[[], bool] = lambda: False,
        on_counts: Callable[[Counts], object] = lambda _: None,
    ) -> GetEnd:
        """Retrieve with C-GET into the folder, in the receiver's process; return how it ended.

        Parameters
        ----------
        pacs, identifier
            The PACS and the request.
        sop_classes
            The SOP classes to propose; empty if they are unknown.
        total_timeout
            Seconds for the whole exchange.
        expected
            The number of instances; ``None`` if it is unknown.
        wants_end
            Called before the request and at every turn of the wait; if it returns true, nothing is sent, or the C-GET
            is cancelled.
        on_counts
            Called when there are new counts.
        """
        if wants_end():
            return GetEnd(was_begun=False)
        asked = {"query_model": identifier.query_model, "level": identifier.level, "keys": dict(identifier.keys)}
        more = {"sop_classes": sop_classes, "total_timeout": total_timeout, "expected": expected}
        with self._in_flight.get() as number:
            try:
                request = Get.of(number, pacs, self._row, asked, **more)
            except AddressError as error:
                return gone_end(error)
            return self._got(request, wants_end, on_counts)

    def _got(self, request: Get, wants_end: Callable[[], bool], on_counts: Callable[[Counts], object]) -> GetEnd:
        end: Future[GetEnd] = Future()
        asking = threading.Thread(target=self._ask, args=(request, end), name="dicomove-get", daemon=True)
        try:
            asking.start()
        except RuntimeError:  # the system allows no more threads, or Python 3.12 ends
            self._ask(request, end)
        try:
            seen = None
            while not wait([end], _LOOK_UP_S).done:
                if wants_end():  # again and again, because the process may not have begun the C-GET yet
                    self._process.ask(CancelGet(request.number))
                counts = self._in_flight.counts(request.number)
                if counts is not None and counts != seen:
                    seen = counts
                    on_counts(counts)
            return end.result()
        except KeyboardInterrupt:
            self._process.ask(CancelGet(request.number))
            raise

    def _ask(self, request: Get, end: Future[GetEnd]) -> None:
        try:
            end.set_result(self._process.ask_once(request))
        except BaseException as error:  # noqa: BLE001 (it is raised again where the end is awaited)
            end.set_exception(error)

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it: SOP Instance UIDs and sizes; `read` compares the bytes with the index, too."""
        return self._process.ask(Held(self._keys, read, self._none_but))

    def other_patients(self) -> tuple[OtherPatient, ...]:
        """Return its instances on disk with another PatientID than the row's, or than most if the row names none."""
        return self._process.ask(OtherPatients(self._keys, self._patients))

    def records(self) -> list[InstanceRecord]:
        """Return its records in the folder's index; they include all arrivals before the last flush."""
        return self._records(self._keys)

    def await_arrivals(self, enough: int | None, quiet: float | None = None) -> ReceivedRow:
        """Wait until so many came, or for a quiet period, and return what there is."""
        period = self._quiet_period
        received = self._process.ask(
            AwaitArrivals(
                self._row,
                addresses(self._asked.host),
                self._patients,
                enough,
                quiet=period if quiet is None else quiet,
                linger=period,
            )
        )
        # Reports before the answer have been read by now.
        refused = self._in_flight.refusals() - Counter(self._refused)
        return replace(received, refusals=dict(refused), restarted=self._process.pid != self._pid)
