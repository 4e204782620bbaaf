"""Files with their final names, for tests of what makes them durable."""

from __future__ import annotations

from pathlib import Path

from dicomove.receiver.own_process.commit import PendingFile
from dicomove.receiver.own_process.open_file import FollowingDigest, OpenFile
from dicomove.store.instances import InstanceRecord


def placed(folder: Path, number: int, digest: type[FollowingDigest]) -> PendingFile:
    path = folder / f"{number}.dcm"
    file = OpenFile(path)
    file.write([bytes([number])])
    return PendingFile(file, record(path.name, 1, str(number)), digest(file))


def record(path: str, size: int, uid: str) -> InstanceRecord:
    return InstanceRecord(
        path=path,
        bytes=size,
        sha256="",
        SOPClassUID="1.2",
        TransferSyntaxUID="1.2",
        PatientID="",
        StudyInstanceUID="1",
        SeriesInstanceUID="1",
        SOPInstanceUID=uid,
        calling_ae_title="",
        address="",
        move_originator_ae_title=None,
        move_originator_message_id=None,
        received_at="",
    )
