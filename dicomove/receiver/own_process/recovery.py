"""After a receiver's process died: the complete files that are not in the index yet.

They had their final names, or were in quarantine. `recover` reads and records them. A power cut may have spoilt a file
under its final name: if its File Meta Information is whole, it goes to quarantine, and else it is put aside. With
``existing="replace"``, a file may be newer than its record. Files whose paths do not come from the receiver are the
user's, and stay as they are.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from dicomove.files import files_in, synchronise_file, synchronise_folder
from dicomove.logs import log_exception
from dicomove.outcome.advice import DAMAGED
from dicomove.receiver.own_paths import fits
from dicomove.receiver.own_process.stored_file import StoredFile, is_regular, read_stored
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.placing import CompleteFile, FileStore
from dicomove.store.instances import InstanceIndex, InstanceRecord

#: So many files are synchronised before their folders are, and one transaction records them.
_BATCH: Final = 200
#: Seconds between two signs of life for the process that waits for the start.
_SIGN_S: Final = 5.0
#: The longest time from the arrival of a file to its record. Earlier changes of a file are those of other programs.
_UNRECORDED: Final = timedelta(minutes=1)
_QUARANTINED: Final = re.compile(r"[A-Za-z0-9._=+~-]+~[0-9a-f]{16}\.quarantined")
_NOT_RECORDED: Final = "the receiver was killed before it recorded the reason"

logger = logging.getLogger("dicomove.receiver")


def recover(folder: Path, index: InstanceIndex, files: FileStore, template: PathTemplate) -> bool:
    """Record the files of a killed receiver that are not in its index; an incomplete one goes to quarantine.

    Parameters
    ----------
    folder
        The folder.
    index
        Its index.
    files
        Puts files into quarantine.
    template
        The paths of its files.

    Returns
    -------
    bool
        Whether all could be recorded. If not, the log has the reason.
    """
    recovery = _Recovery(folder, index, files, template)
    try:
        recovery.run()
    except sqlite3.Error as error:
        logger.warning("the files of the receiver that was killed cannot be recorded: %s", error)
        return False
    return True


class _Recovery:
    """Records files in batches, because the system synchronises many files as quickly as one."""

    def __init__(self, folder: Path, index: InstanceIndex, files: FileStore, template: PathTemplate) -> None:
        self._folder, self._index, self._files, self._template = folder, index, files, template
        self._waiting: list[InstanceRecord] = []
        self._looked = self._aside = self._replaced = 0
        self._said = time.monotonic()

    def run(self) -> None:
        """Record all files."""
        for path, recovered in self._unrecorded(self._index.arrivals()):
            try:
                record = recovered(path)
                if record is not None:
                    synchronise_file(self._folder / record.path)
                    self._waiting.append(record)
            except OSError as error:
                # Without the path, which may name a patient.
                logger.info("a file of the receiver that was killed cannot be read: %s", error.strerror)
            except Exception as error:  # noqa: BLE001 (it is logged, and the other files count)
                log_exception(logger, "a defect in dicomove: a file of the receiver that was killed is left out", error)
            if len(self._waiting) >= _BATCH:
                self._write()
        self._write()
        if self._aside:
            logger.warning("after a crash, %d files were not whole, and are in quarantine as .changed", self._aside)
        if self._replaced:
            logger.warning("after a crash, %d files were newer than their records, and were recorded", self._replaced)

    def _unrecorded(self, known: Mapping[str, str]) -> Iterator[tuple[str, Callable[[str], InstanceRecord | None]]]:
        quarantined = self._files.quarantined()  # before others join them
        latest = max(known.values(), default="")
        for path in files_in(self._folder):
            self._sign()
            if path in known:
                if self._files.replaces and _is_newer(self._folder / path, known[path], latest):
                    yield path, self._newer
            elif fits(self._template, path) and is_regular(self._folder / path):
                yield path, self._placed
        for path in quarantined:
            name = PurePosixPath(path).name
            if path not in known and _QUARANTINED.fullmatch(name) and is_regular(self._folder / path):
                yield path, self._quarantined

    def _newer(self, path: str) -> InstanceRecord | None:
        """Return the record of a file that replaced the recorded one; ``None`` if it is the recorded one."""
        record = self._placed(path)
        if record is None or record.sha256 == self._index.sha256(path):
            return None
        self._replaced += 1
        return record

    def _placed(self, path: str) -> InstanceRecord | None:
        """Return the record of a file that has a final name."""
        full = self._folder / path
        found = read_stored(full, self._template.keywords, self._sign)
        if found is None:
            if fits(self._template, path, plain_uids=True):
                self._files.put_aside(PurePosixPath(path))
                self._aside += 1
            return None
        # If it was cut, the values after the cut are unknown.
        values = {name: value for name, value in found.values.items() if value or not found.problem}
        if not fits(self._template, path, values):
            return None
        if not found.problem:
            return _record(found, path, full, None)
        reason = DAMAGED + found.problem
        placed = self._files.quarantine(CompleteFile(full, found.size), full.name, "damaged", reason)
        return _record(found, placed.path, self._folder / placed.path, reason)

    def _quarantined(self, path: str) -> InstanceRecord | None:
        full = self._folder / path
        found = read_stored(full, alive=self._sign)
        if found is None:
            return None
        return _record(found, path, full, DAMAGED + found.problem if found.problem else _NOT_RECORDED)

    def _write(self) -> None:
        """Synchronise the folders too, because the receiver may have been killed before it did so."""
        for above in {above for record in self._waiting for above in Path(record.path).parents}:
            synchronise_folder(self._folder / above)
        self._index.add(self._waiting)
        self._waiting = []

    def _sign(self) -> None:
        self._looked += 1
        if time.monotonic() - self._said >= _SIGN_S:
            self._said = time.monotonic()
            logger.info("the receiver looks for files of the one that was killed: %d so far", self._looked)


def _is_newer(path: Path, recorded: str, latest: str) -> bool:
    """Whether a file may have replaced the recorded one, after the latest record was written or shortly before.

    `verify` has to find other changes.
    """
    try:
        found = path.lstat()
    except OSError:
        return False
    since = max(datetime.fromisoformat(recorded), datetime.fromisoformat(latest) - _UNRECORDED)
    return stat.S_ISREG(found.st_mode) and found.st_mtime > since.timestamp()


def _record(found: StoredFile, path: str, full: Path, reason: str | None) -> InstanceRecord:
    received_at = datetime.fromtimestamp(full.stat().st_mtime, UTC)
    return InstanceRecord(
        path=path,
        bytes=found.size,
        sha256=found.sha256,
        SOPClassUID=found.sop_class_uid,
        TransferSyntaxUID=found.transfer_syntax_uid,
        PatientID=found.values["PatientID"],
        StudyInstanceUID=found.values["StudyInstanceUID"],
        SeriesInstanceUID=found.values["SeriesInstanceUID"],
        SOPInstanceUID=found.values["SOPInstanceUID"],
        calling_ae_title="",
        address="",
        move_originator_ae_title=None,
        move_originator_message_id=None,
        received_at=received_at.isoformat(timespec="milliseconds"),
        quarantine=reason,
        remark=None if reason else found.remark,
    )
