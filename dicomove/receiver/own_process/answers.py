"""Answers the requests of the caller's process, in the receiver's process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dicomove.files import file_sha256
from dicomove.outcome.patients import ALTOGETHER, AMONG_THEM, difference, minority
from dicomove.receiver.admission import Admission
from dicomove.receiver.api import (
    AwaitArrivals,
    CancelGet,
    EndRun,
    Expect,
    Flush,
    Get,
    Held,
    OtherPatient,
    OtherPatients,
    ReceivedRow,
    Request,
    RowId,
)
from dicomove.receiver.own_process.c_get import Getter
from dicomove.receiver.own_process.commit import Committer
from dicomove.receiver.own_process.storage import Storage
from dicomove.receiver.own_process.tallies import RowTallies
from dicomove.store.instances import InstanceRecord


@dataclass(frozen=True)
class Api:
    """Answers the requests of the caller's process."""

    getter: Getter
    storage: Storage
    committer: Committer
    tallies: RowTallies
    admission: Admission
    #: Files whose bytes are not the received ones, by their paths and the times at which these came.
    damaged: set[tuple[str, str]] = field(default_factory=set)

    def answer(self, request: Request[Any]) -> object:
        """Return the answer to a request."""
        match request:
            case Expect():
                self.expect(request)
            case EndRun(run):
                self._end_run(run)
            case CancelGet(number):
                self.getter.cancel(number)
            case AwaitArrivals():
                return self._await_arrivals(request)
            case Held(keys, read_bytes, patients):
                return self._held(keys, patients, read=read_bytes)
            case OtherPatients(keys, patients):
                return tuple(_others(self.committer.records(keys), patients))
            case Flush(seconds, forgets):
                return self.committer.flush(seconds, forgets=forgets and not self.tallies.are_open)
            case Get():
                return self.getter.get(request)
        return None

    def is_quick(self, request: Request[Any]) -> bool:
        """Return whether the answer needs no wait, and so no thread of its own."""
        if not isinstance(request, AwaitArrivals):
            return isinstance(request, Expect)
        has_enough = self.tallies.has(request.row, request.enough)
        return has_enough and self.committer.has_read(request.row) and self.admission.is_decided

    def expect(self, request: Expect) -> None:
        """Open a row: its PACS may connect, and its arrivals are counted."""
        self.committer.watch(request.row, request.keys)
        self.tallies.open(request.row, request.keys, request.cells, request.patients)
        self.admission.open(request.row, request.addresses)

    def _await_arrivals(self, request: AwaitArrivals) -> ReceivedRow:
        """Wait for late instances, and return the arrivals of a row and its instances on disk."""
        self.admission.open(request.row, request.addresses)  # also if it waits a second time
        is_coming = partial(self.storage.is_coming, quiet=request.quiet)
        tally = self.tallies.await_arrivals(request.row, request.enough, request.quiet, is_coming)
        self.admission.close(request.row, request.linger)
        records = self._whole(self.committer.watched(request.row, tally.keys))
        held = _of(records, tally.patients)
        return ReceivedRow(
            arrivals=tally.arrivals,
            dispositions=tally.dispositions,
            aside=tally.aside,
            without_row=tally.without_row,
            held=_sizes(held),
            remarks=Counter(one.remark for one in held if one.remark),
            others=(*tally.others, *_others(records, request.patients)),
        )

    def _held(self, keys: Mapping[str, str], patients: Sequence[str], *, read: bool) -> dict[str, int]:
        """Return the instances on disk with these keys: SOP Instance UIDs and sizes. `read` compares the bytes, too."""
        records = _of(self.committer.records(keys), patients)
        if read:
            self.damaged.difference_update((one.path, one.received_at) for one in records)
            self.damaged.update((one.path, one.received_at) for one in records if not self._is_unchanged(one))
        return _sizes(self._whole(records))

    def _whole(self, records: Iterable[InstanceRecord]) -> list[InstanceRecord]:
        """Return the records without those of damaged files; a file that came again has another time."""
        return [one for one in records if (one.path, one.received_at) not in self.damaged]

    def _is_unchanged(self, record: InstanceRecord) -> bool:
        if not record.sha256:  # it has just come, and its hash is not computed yet
            return True
        try:
            return file_sha256(self.storage.folder / record.path) == record.sha256
        except OSError:  # a bad sector, or no right to read
            return False

    def _end_run(self, run: int) -> None:
        self.tallies.end(run)
        if not self.tallies.are_open:
            self.committer.forget_losses()
        self.committer.forget(lambda row: isinstance(row, RowId) and row.run == run)
        self.admission.end(run)


def _sizes(records: Iterable[InstanceRecord]) -> dict[str, int]:
    return {record.SOPInstanceUID: record.bytes for record in records}


def _of(records: Iterable[InstanceRecord], patients: Collection[str]) -> list[InstanceRecord]:
    """Return the records without those of other patients."""
    return [one for one in records if not patients or difference(one.PatientID, patients) != ALTOGETHER]


def _others(records: Collection[InstanceRecord], patients: Collection[str]) -> Iterator[OtherPatient]:
    """Yield the instances with another PatientID than the row; if the row names none, than most of its instances."""
    rest = frozenset() if patients else minority(record.PatientID for record in records)
    for record in records if patients or rest else ():
        words = difference(record.PatientID, patients) if patients else AMONG_THEM if record.PatientID in rest else None
        if words:
            yield OtherPatient(record.StudyInstanceUID, record.SeriesInstanceUID, record.SOPInstanceUID, words)
