"""Decides where an instance goes, and the Status of the answer; has the instance recorded."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicomove.logs import SparingLog
from dicomove.outcome.advice import DAMAGED
from dicomove.receiver.own_process.commit import Committer, PendingFile
from dicomove.receiver.own_process.incoming import CStoreRequest, IncomingInstance
from dicomove.receiver.own_process.tallies import RowTallies, RowTally
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.placing import FULL, CompleteFile, Disposition, FileStore, Placed
from dicomove.store.instances import KEYS, InstanceRecord

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700

#: Why an instance is in quarantine if another file has its name, and the index does not say whose it is.
_UNREADABLE: Final = "a file with its name is there, and the record could not be read to compare them"
#: Why an instance is in quarantine if the folder cannot take it: a file has the name of a folder, say.
_NO_PLACE: Final = "its place in the folder cannot be used"

_NEEDED: Final = ("SpecificCharacterSet", "SOPClassUID", *KEYS)

#: This process, or the system, has no more open files: not a reason to refuse an instance, because it passes.
_TOO_MANY_FILES: Final = (errno.EMFILE, errno.ENFILE)
#: How long an instance waits for open files to become durable, in seconds.
_LONGEST_WAIT_S: Final = 10.0

#: Reasons for the quarantine.
_Problem = tuple[Disposition, str]

logger = logging.getLogger("dicomove.receiver")


@dataclass(frozen=True, slots=True)
class Finished:
    """An instance that has come, and its place; without a place if the disk refused it."""

    incoming: IncomingInstance
    values: Mapping[str, str]
    written: CompleteFile
    placed: Placed | None
    contradiction: str | None = None

    @property
    def status(self) -> int:
        """The Status of the answer."""
        return SUCCESS if self.placed else OUT_OF_RESOURCES


class Storage:
    """Stores instances for the rows that asked for them, and puts the others into quarantine.

    Parameters
    ----------
    files
        The folder.
    template
        The template of paths.
    committer
        Makes files durable.
    tallies
        The rows.
    accept_any
        Whether to store instances that no row asked for.
    keep_mislabelled
        Whether to store instances that contradict their transfer syntax.
    """

    def __init__(
        self,
        files: FileStore,
        template: PathTemplate,
        committer: Committer,
        tallies: RowTallies,
        *,
        accept_any: bool,
        keep_mislabelled: bool = False,
    ) -> None:
        self._files, self._template, self._committer, self._tallies = files, template, committer, tallies
        self._accept_any, self._keep_mislabelled = accept_any, keep_mislabelled
        self._wanted = [tag_for_keyword(name) or 0 for name in {*_NEEDED, *template.keywords}]
        self._lock = threading.Lock()
        self._log = SparingLog(logger)
        #: Whether the system can rename open files. The first file shows it.
        self._renames_open = os.name == "posix"
        self._coming: set[IncomingInstance] = set()
        self.unrequested = 0

    @property
    def folder(self) -> Path:
        """The folder of the instances."""
        return self._files.folder

    def begin(self, request: CStoreRequest) -> IncomingInstance:
        """Return an instance that is about to come."""
        incoming = self._opened(request)
        if incoming.failure and incoming.failure.errno in _TOO_MANY_FILES:
            self._committer.flush(_LONGEST_WAIT_S)  # each file that is not durable yet is open
            incoming = self._opened(request)
        with self._lock:
            self._coming.add(incoming)
        return incoming

    def _opened(self, request: CStoreRequest) -> IncomingInstance:
        follow, check_free = self._committer.follow, self._files.check_free
        incoming = IncomingInstance(request, self._files.temporary(), self._wanted, follow, check_free)
        incoming.open()
        return incoming

    def abandon(self, incoming: IncomingInstance) -> None:
        """Forget an instance whose association ended before it had come."""
        incoming.discard()
        self._gone(incoming)

    def finish(self, incoming: IncomingInstance) -> Finished:
        """Place an instance that has come. `note` follows when the peer has the answer.

        The answer is Success whenever the instance is safe, also in quarantine: some PACS drop the rest of a study
        after a refusal.
        """
        incoming.is_whole = True
        incoming.flush()
        found = incoming.values()
        values = {**found, "SOPInstanceUID": found.get("SOPInstanceUID") or incoming.request.sop_instance_uid}
        written = incoming.written()
        placed, contradiction = None, incoming.contradiction()
        if incoming.failure is None:
            try:
                problem = self._problem(incoming, found, contradiction)
                placed = self._placed_or_aside(incoming, written, values, problem)
            except OSError as error:
                incoming.fail(error)
        if placed is None:
            self._warn("an instance cannot be stored", incoming.failure)
        return Finished(incoming, values, written, placed, contradiction)

    def _warn(self, what: str, error: OSError | None) -> None:
        # Without the path: a template may put the patient into it, and logs must not contain patients.
        self._log.warning(f"{what}: {(error and error.strerror) or error}", (what, error and error.errno))

    def note(self, finished: Finished) -> None:
        """Record an instance, while the peer already prepares the next one."""
        incoming, placed = finished.incoming, finished.placed
        disposition: Disposition = placed.disposition if placed else "refused"
        try:
            if placed:
                self._commit(finished, placed)
        except OSError as error:
            self._warn("an instance cannot be recorded", error)
            disposition = "refused"
        finally:
            incoming.close()
        if disposition == "unrequested":
            with self._lock:
                self.unrequested += 1
        reason = placed.quarantine if placed else None
        self._tallies.arrived(finished.values, disposition, incoming.size, reason)
        self._gone(incoming)

    def is_coming(self, tally: RowTally, quiet: float) -> bool:
        """Whether an instance of this row is on its way.

        One whose UIDs are still unknown counts for so many seconds after its latest bytes: it may be of any row, and a
        peer that announces an instance and falls silent must not delay them all.
        """
        since = time.monotonic() - quiet
        with self._lock:
            coming = [(one.values(), one.is_whole or one.last >= since) for one in self._coming]
        return any(tally.is_of(values) or (is_live and tally.may_be_of(values)) for values, is_live in coming)

    def coming(self) -> list[tuple[dict[str, str], int]]:
        """Return the known values of the instances on their way, each with its number of bytes so far."""
        with self._lock:
            return [(incoming.values(), incoming.size) for incoming in self._coming]

    def _gone(self, incoming: IncomingInstance) -> None:
        with self._lock:
            self._coming.discard(incoming)

    def _placed_or_aside(
        self, incoming: IncomingInstance, written: CompleteFile, values: Mapping[str, str], problem: _Problem | None
    ) -> Placed:
        """Place an instance. If only its place cannot be used, it goes to quarantine; on a full disk, this raises."""
        try:
            return self._placed(incoming, written, values, problem)
        except OSError as error:
            if error.errno in FULL:
                raise
            self._warn("an instance is in quarantine, because its place in the folder cannot be used", error)
            placed = self._placed(incoming, written, values, ("differs", f"{_NO_PLACE} ({error.strerror})"))
            if incoming.file:  # the attempt may have closed it: it opens again under this name
                incoming.file.path = self.folder / placed.path
            return placed

    def _placed(
        self, incoming: IncomingInstance, written: CompleteFile, values: Mapping[str, str], problem: _Problem | None
    ) -> Placed:
        if self._renames_open:
            try:
                return self._place(written, values, problem)
            except PermissionError:
                if incoming.file is None:
                    raise
        with incoming.file.released() if incoming.file else nullcontext():
            placed = self._place(written, values, problem)
            if incoming.file:
                incoming.file.path = self.folder / placed.path
        self._renames_open = False
        return placed

    def _place(self, written: CompleteFile, values: Mapping[str, str], problem: _Problem | None) -> Placed:
        template = self._template
        relative = template.relative(values, self._tallies.cells(values) if template.columns else None)
        if problem:
            return self._files.quarantine(written, relative.name, *problem)
        clash = values["SOPInstanceUID"] if template.may_clash else None
        try:
            return self._files.place(written, relative, self._committer.sha256, clash)
        except sqlite3.Error as error:  # for example, a backup has it locked; nothing was renamed yet
            self._log.warning(f"the record cannot be read: {error}")
            return self._files.quarantine(written, relative.name, "differs", _UNREADABLE)

    def _commit(self, finished: Finished, placed: Placed) -> None:
        if placed.disposition == "duplicate":
            finished.incoming.close()  # the existing file is durable, or about to be
        record = _record(finished, placed)
        digest = None if record.sha256 else finished.incoming.digest
        self._committer.put(PendingFile(finished.incoming.hand_over(), record, digest))

    def _problem(
        self, incoming: IncomingInstance, values: Mapping[str, str], contradiction: str | None
    ) -> _Problem | None:
        """Return the reason for the quarantine, if there is one."""
        damage = (None if self._keep_mislabelled else contradiction) or incoming.problem()
        absent = [name for name in KEYS[1:] if not values.get(name)]
        if not damage and absent:
            damage = f"no {', '.join(absent)}"
        if not damage and incoming.request.sop_instance_uid not in ("", values["SOPInstanceUID"]):
            damage = "the C-STORE names another instance than its data set"
        if damage:
            return "damaged", DAMAGED + damage
        unrequested = None if self._accept_any else self._tallies.why_unrequested(values)
        return ("unrequested", unrequested) if unrequested else None


def _record(finished: Finished, placed: Placed) -> InstanceRecord:
    request, values, written = finished.incoming.request, finished.values, finished.written
    sop_class = values.get("SOPClassUID") or request.sop_class_uid
    return InstanceRecord(
        path=placed.path,
        bytes=written.size,
        # The hash of a duplicate is known. For other files, a separate thread hashes them.
        sha256=written.sha256 if placed.disposition == "duplicate" else "",
        SOPClassUID=sop_class,
        TransferSyntaxUID=request.transfer_syntax_uid,
        PatientID=values.get("PatientID", ""),
        StudyInstanceUID=values.get("StudyInstanceUID", ""),
        SeriesInstanceUID=values.get("SeriesInstanceUID", ""),
        SOPInstanceUID=values.get("SOPInstanceUID", ""),
        calling_ae_title=request.calling_ae_title,
        address=request.address,
        move_originator_ae_title=request.move_originator_ae_title,
        move_originator_message_id=request.move_originator_message_id,
        received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        quarantine=placed.quarantine,
        remark=None if placed.quarantine else finished.contradiction or finished.incoming.without_pixel_data(sop_class),
    )
