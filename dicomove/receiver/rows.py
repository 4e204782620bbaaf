"""One row at its receiver: from before its C-MOVE is sent until what is on disk is known.

And all rows in flight, with the peers that were turned away meanwhile.
"""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Final, Protocol, Self

import pandas as pd

from dicomove.cohort import Identifier
from dicomove.outcome import Counts, Refusal
from dicomove.pacs import Pacs
from dicomove.receiver.api import (
    CancelGet,
    EndRun,
    Expect,
    Get,
    GetEnd,
    Held,
    OtherPatient,
    OtherPatients,
    RowId,
    Settle,
    Settled,
)
from dicomove.receiver.lines import Progress
from dicomove.receiver.process import Asks
from dicomove.store import InstanceRecord

_LOOK_UP_S: Final = 0.05


class RowAtReceiver(Protocol):
    """One row at its receiver, wherever that is. All of it raises `ReceiverError` if the receiver is gone."""

    def last_activity(self) -> float:
        """Return when an instance came last, in seconds of the monotonic clock."""

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it: SOP Instance UIDs and sizes; `read` compares the bytes with the index, too."""

    def settle(self, enough: int | None, quiet: float | None = None) -> Settled:
        """Wait until so many came, or for a quiet period, and return what there is."""


class RowsInFlight:
    """The rows in flight, and what the process tells of them.

    Attributes
    ----------
    refused
        Peers that were turned away, with the number of their connections.
    unrequested
        Instances that no row had asked for.
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
        """Take a row in."""
        with self._lock:
            self._expected[expect.row] = expect

    def end(self, row: RowId) -> None:
        """Take a row out."""
        with self._lock:
            self._expected.pop(row, None)
            self._progress.pop(row, None)

    def end_run(self, request: EndRun) -> None:
        """Take out all rows of a run."""
        with self._lock:
            rows = [row for row in self._expected if row.run == request.run]
        for row in rows:
            self.end(row)

    def progress(self, row: RowId) -> tuple[int, int]:
        """Return instances and bytes that have come for a row."""
        return self._progress.get(row, (0, 0))

    @contextmanager
    def get(self) -> Iterator[int]:
        """Yield the number of a C-GET that goes on meanwhile."""
        with self._lock:
            number = next(self._gets)
            self._counts[number] = None
        try:
            yield number
        finally:
            with self._lock:
                del self._counts[number]

    def counts(self, number: int) -> Counts | None:
        """Return the latest counts of a C-GET that goes on."""
        return self._counts[number]

    def expected(self) -> list[Expect]:
        """Return what a new process has to be told."""
        with self._lock:
            return list(self._expected.values())

    def refusals(self) -> Counter[Refusal]:
        """Return the peers that were turned away so far, with the number of their connections."""
        with self._lock:
            return Counter(self.refused)

    def take(self, told: Progress) -> None:
        """Take in what the process tells by itself."""
        with self._lock:
            for run, position, arrivals, size in told.rows:
                if (row := RowId(run, position)) in self._expected:
                    self._progress[row] = arrivals, size
            for fields, count in told.refused:
                self.refused[Refusal._make(fields)] += count
            for number, counts in told.counts:
                if number in self._counts:
                    self._counts[number] = Counts(**counts)
            self.unrequested += told.unrequested


class LocalRow:
    """A row at a receiver of this process; in flight while it is entered.

    Parameters
    ----------
    process
        The receiver's process.
    in_flight
        The rows in flight.
    records
        Returns what the folder's index has of some keys.
    quiet_period
        Of the receiver.
    row
        Which row of which run.
    keys
        The unique keys that the row names.
    host
        Where the PACS is.
    patients
        The PatientIDs that the row names beside its unique keys: instances with another one are named.
    cells
        What the row has in the columns that the path of its instances names.
    admits_others
        Whether instances with another PatientID altogether may be the row's.
    """

    def __init__(
        self,
        process: Asks,
        in_flight: RowsInFlight,
        records: Callable[[Mapping[str, str]], list[InstanceRecord]],
        quiet_period: float,
        *,
        row: RowId,
        keys: Mapping[str, str],
        host: str,
        patients: Collection[str] = (),
        cells: Mapping[str, str] | None = None,
        admits_others: bool = True,
    ) -> None:
        self._process, self._in_flight, self._records, self._quiet_period = process, in_flight, records, quiet_period
        self._row, self._keys, self._host, self._patients = row, dict(keys), host, list(patients)
        self._cells = dict(cells or {})
        # One of these PatientIDs is to be that of the row's instances, in whatever spelling; of none, any may be.
        self._none_but: Sequence[str] = () if admits_others else self._patients
        self._refused: Mapping[Refusal, int] = {}
        self._seen = (0, 0)
        self._last_activity = time.monotonic()
        self._pid = 0

    def __enter__(self) -> Self:
        """Let the PACS in, and count from now on.

        Raises
        ------
        ReceiverError
            The receiver is gone for good.
        """
        self._refused, self._pid = self._in_flight.refusals(), self._process.pid
        self._last_activity = time.monotonic()
        expect = Expect(self._row, self._keys, addresses(self._host), self._cells, self._none_but)
        self._in_flight.begin(expect)
        try:
            self._process.ask(expect)
        except BaseException:
            self._in_flight.end(self._row)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._in_flight.end(self._row)

    def progress(self) -> tuple[int, int]:
        """Return instances and bytes that have come so far."""
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
        wants_end: Callable[[], bool] = lambda: False,
        on_counts: Callable[[Counts], object] = lambda _: None,
    ) -> GetEnd:
        """Retrieve with C-GET into the folder, in the receiver's process, and return how it ended.

        Parameters
        ----------
        pacs, identifier
            Where, and what.
        sop_classes
            What to propose; none, where that is not known.
        total_timeout
            Seconds for the whole exchange.
        wants_end
            Asked at every turn of the wait: cancels once it says so.
        on_counts
            Called when there are new counts.

        Raises
        ------
        ReceiverError
            The receiver is gone.
        """
        asked = {"query_model": identifier.query_model, "level": identifier.level, "keys": dict(identifier.keys)}
        with self._in_flight.get() as number:
            request = Get.of(number, pacs, self._row, asked, sop_classes=sop_classes, total_timeout=total_timeout)
            return self._got(request, wants_end, on_counts)

    def _got(self, request: Get, wants_end: Callable[[], bool], on_counts: Callable[[Counts], object]) -> GetEnd:
        waiting = ThreadPoolExecutor(1, thread_name_prefix="dicomove-get")
        try:
            end = waiting.submit(self._process.ask_once, request)
            seen = None
            while not wait([end], _LOOK_UP_S).done:
                if wants_end():  # more than once, since the process may not have begun it yet
                    self._process.ask(CancelGet(request.number))
                counts = self._in_flight.counts(request.number)
                if counts is not None and counts != seen:
                    seen = counts
                    on_counts(counts)
            return end.result()
        except KeyboardInterrupt:
            self._process.ask(CancelGet(request.number))
            raise
        finally:
            waiting.shutdown(wait=False)

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it: SOP Instance UIDs and sizes; `read` compares the bytes with the index, too.

        Raises
        ------
        ReceiverError
            The receiver is gone for good.
        """
        return self._process.ask(Held(self._keys, read, self._none_but))

    def other_patients(self) -> tuple[OtherPatient, ...]:
        """Return what is on disk of it with another PatientID than the row names.

        Raises
        ------
        ReceiverError
            The receiver is gone for good.
        """
        return self._process.ask(OtherPatients(self._keys, self._patients)) if self._patients else ()

    def records(self) -> list[InstanceRecord]:
        """Return what the folder's index has of it: what came before the last flush is there."""
        return self._records(self._keys)

    def settle(self, enough: int | None, quiet: float | None = None) -> Settled:
        """Wait until so many came, or for a quiet period, and return what there is.

        Raises
        ------
        ReceiverError
            The receiver is gone for good.
        """
        period = self._quiet_period
        settled = self._process.ask(
            Settle(
                self._row,
                addresses(self._host),
                self._patients,
                enough,
                quiet=period if quiet is None else quiet,
                linger=period,
            )
        )
        # What was told before the answer is there.
        refused = self._in_flight.refusals() - Counter(self._refused)
        return replace(settled, refusals=dict(refused), restarted=self._process.pid != self._pid)


def addresses(host: str) -> list[str]:
    """Return the IP addresses of a host; none of one that is not known, to which no C-MOVE can be sent either."""
    try:
        return _addresses(host)
    except (OSError, UnicodeError):
        return []


@lru_cache(maxsize=64)
def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


REFUSED_COLUMNS: Final = ("address", "ae_title", "reason", "count")


def refused_table(refusals: Mapping[Refusal, int]) -> pd.DataFrame:
    """Return one row for each peer and reason.

    Examples
    --------
    >>> refused_table({Refusal("10.0.0.7", "PACS", "ae_title", "it called OLD"): 2}).to_dict("records")
    [{'address': '10.0.0.7', 'ae_title': 'PACS', 'reason': 'it called OLD', 'count': 2}]
    """
    rows = [(one.address, one.ae_title or None, one.reason, count) for one, count in refusals.items()]
    return pd.DataFrame(rows, columns=list(REFUSED_COLUMNS)).astype({"count": "int64"})
