"""After a receiver's process died: the complete files that are not in the index yet.

They had their final names. `recover` reads and records them; it puts an incomplete one into quarantine.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.errors import InvalidDicomError

from dicomove.files import files_in, synchronise_file, synchronise_folder
from dicomove.outcome.advice import DAMAGED
from dicomove.receiver.placing import CompleteFile, FileStore
from dicomove.receiver.scan import DataSetScanner, text
from dicomove.store.instances import KEYS, InstanceIndex, InstanceRecord

_PREFIX: Final = 128 + 4 + 12
_BLOCK: Final = 1 << 20
_WANTED: Final = [tag_for_keyword(name) or 0 for name in ("SpecificCharacterSet", *KEYS)]

logger = logging.getLogger("dicomove.receiver")


def recover(folder: Path, index: InstanceIndex, files: FileStore) -> None:
    """Record every DICOM file of a folder that is not in its index; an incomplete one goes to quarantine."""
    known = index.paths()
    for path in files_in(folder):
        relative = path.relative_to(folder).as_posix()
        if relative not in known:
            try:
                record = _record(path, relative, files)
                _synchronise(folder, Path(record.path))
                index.add([record])
            except (OSError, InvalidDicomError, AttributeError):
                logger.info("a file in the folder does not belong to the receiver")


def _record(path: Path, relative: str, files: FileStore) -> InstanceRecord:
    meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
    values, problem = _look_over(path, str(meta.TransferSyntaxUID), _PREFIX + meta.FileMetaInformationGroupLength)
    written, stat = CompleteFile(path, path.stat().st_size), path.stat()
    sha256 = written.sha256
    reason = DAMAGED + problem if problem else None
    return InstanceRecord(
        path=files.quarantine(written, path.name, "damaged", reason).path if reason else relative,
        bytes=written.size,
        sha256=sha256,
        SOPClassUID=str(meta.MediaStorageSOPClassUID),
        TransferSyntaxUID=str(meta.TransferSyntaxUID),
        PatientID=values["PatientID"],
        StudyInstanceUID=values["StudyInstanceUID"],
        SeriesInstanceUID=values["SeriesInstanceUID"],
        SOPInstanceUID=values["SOPInstanceUID"] or str(meta.MediaStorageSOPInstanceUID),
        calling_ae_title="",
        address="",
        move_originator_ae_title=None,
        move_originator_message_id=None,
        received_at=datetime.fromtimestamp(stat.st_mtime, UTC).isoformat(timespec="milliseconds"),
        quarantine=reason,
    )


def _synchronise(folder: Path, relative: Path) -> None:
    """Synchronise a file and its folders, because the previous process may have been killed before it did so."""
    synchronise_file(folder / relative)
    for above in relative.parents:
        synchronise_folder(folder / above)


def _look_over(path: Path, transfer_syntax: str, start: int) -> tuple[dict[str, str], str | None]:
    scanner = DataSetScanner(transfer_syntax, _WANTED)
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(_BLOCK):
            scanner.feed(block)
    return {name: text(scanner.values, tag_for_keyword(name) or 0) for name in KEYS}, scanner.problem()
