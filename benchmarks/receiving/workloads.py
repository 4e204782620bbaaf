"""What is moved: four archives, each made and uploaded piece by piece."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, generate_uid

import dicomove as dm
from benchmarks.receiving.datasets import Digest
from benchmarks.receiving.pacs import Orthanc
from dicomove.dimse.data_sets import encode, file_head
from dicomove.testing.images import real_images
from dicomove.testing.synthetic import synthetic_instances

KIB, MIB = 1 << 10, 1 << 20
# The size of a file, and its bytes in pieces.
File = tuple[int, Iterable[bytes]]


@dataclass(frozen=True)
class Workload:
    """What is uploaded.

    Attributes
    ----------
    unit
        What the speed is counted in: ``"instances"``, ``"studies"`` or ``"bytes"``.
    instances, size
        Of each study, and bytes of each instance.
    rewritten
        Orthanc encodes these data sets anew when it sends them.
    """

    name: str
    title: str
    unit: str
    studies: int
    instances: int = 1
    size: int = 0
    rewritten: bool = False


FULL = {
    "ct": Workload("ct", "10 studies of 200 CT images of 512 KiB", "instances", 10, 200, 512 * KIB),
    "small": Workload("small", "500 studies of 2 instances of 2 to 8 KiB", "studies", 500, 2, 8 * KIB),
    "big": Workload("big", "one multi-frame instance of 1 GiB", "bytes", 1, 1, 1024 * MIB),
    "real": Workload("real", "the real images of dicomove.testing.images", "instances", 9, rewritten=True),
}
QUICK = {
    "ct": Workload("ct", "4 studies of 100 CT images of 512 KiB", "instances", 4, 100, 512 * KIB),
    "small": Workload("small", "60 studies of 2 instances of 2 to 8 KiB", "studies", 60, 2, 8 * KIB),
    "big": Workload("big", "one multi-frame instance of 128 MiB", "bytes", 1, 1, 128 * MIB),
    "real": FULL["real"],
}


@dataclass(frozen=True)
class Held:
    """A workload as Orthanc holds it.

    Attributes
    ----------
    table
        What C-FIND says of its studies.
    digests
        Its data sets, by study and by instance.
    sent
        The SHA-256 of the data sets that Orthanc sends in place of others, by instance.
    """

    workload: Workload
    table: pd.DataFrame
    digests: Mapping[str, Mapping[str, Digest]]
    sent: Mapping[str, str] = field(default_factory=dict)

    def first(self, studies: int | None) -> Held:
        """Take the first studies only."""
        table = self.table.head(len(self.table) if studies is None else studies)
        return replace(self, table=table, digests={uid: self.digests[uid] for uid in table["StudyInstanceUID"]})

    @property
    def studies(self) -> list[str]:
        return list(self.table["StudyInstanceUID"])

    @cached_property
    def instances(self) -> dict[str, Digest]:
        return {uid: one for study in self.digests.values() for uid, one in study.items()}

    def is_intact(self, one: Digest) -> bool:
        """Whether a data set is bit for bit what Orthanc holds, or what it makes of it when it sends it."""
        return one.sha256 in (self.instances[one.sop_instance_uid].sha256, self.sent.get(one.sop_instance_uid))

    @property
    def bytes(self) -> int:
        return sum(one.size for one in self.instances.values())


def upload(server: Orthanc, workload: Workload) -> Held:
    """Make a workload, let Orthanc store it, and ask Orthanc what it holds now."""
    return store(server, workload, _FILES[workload.name](workload))


def store(server: Orthanc, workload: Workload, files: Iterable[tuple[str, File]]) -> Held:
    """Let Orthanc store the files of a workload, each with its study, and ask Orthanc what it holds now."""
    server.hang_up()
    names = [(study, server.upload(*file)) for study, file in files]
    digests: dict[str, dict[str, Digest]] = {}
    for study, name in names:
        one = server.digest(name)
        digests.setdefault(study, {})[one.sop_instance_uid] = one
    table = dm.find(pd.DataFrame({"StudyInstanceUID": list(digests)}), server.pacs, progress=False)
    return Held(workload, table, digests)


def _ct(workload: Workload) -> Iterator[tuple[str, File]]:
    return _synthetic(workload, workload.size)


def _small(workload: Workload) -> Iterator[tuple[str, File]]:
    """Take turns between 2 and 8 KiB."""
    streams = [_synthetic(workload, workload.size // share) for share in (4, 2, 1)]
    for number, files in enumerate(zip(*streams, strict=True)):
        yield files[number % len(streams)]


def _synthetic(workload: Workload, size: int) -> Iterator[tuple[str, File]]:
    shape = {"studies": workload.studies, "instances": workload.instances, "size": size}
    for one in synthetic_instances(**shape, seed=len(workload.name)):
        data = file_head(one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax) + one.read()
        yield one.study_instance_uid, (len(data), [data])


def _real(_: Workload) -> Iterator[tuple[str, File]]:
    with TemporaryDirectory(prefix="dicomove-benchmark-") as folder:
        for path in sorted(real_images(Path(folder)).rglob("*.dcm")):
            data = path.read_bytes()
            yield dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID, (len(data), [data])


def _big(workload: Workload) -> Iterator[tuple[str, File]]:
    """One instance, of which no process ever holds more than a frame."""
    frame = random.Random(0).randbytes(512 * KIB)
    frames = workload.size // len(frame)
    header = multi_frame(frames)
    syntax = ExplicitVRLittleEndian
    head = file_head(header.SOPClassUID, header.SOPInstanceUID, syntax) + encode(header, syntax)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, frames * len(frame))
    size = len(head) + len(pixels) + frames * len(frame)
    yield header.StudyInstanceUID, (size, chain([head + pixels], repeat(frame, frames)))


def multi_frame(frames: int) -> Dataset:
    """Return a data set of so many frames of 512 KiB, without them."""
    uids = [generate_uid(entropy_srcs=["dicomove benchmark", part, str(frames)]) for part in "abc"]
    header = Dataset()
    header.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID = uids
    header.PatientID, header.PatientName, header.AccessionNumber = "BIG", "SYNTHETIC^BIG", "BIG"
    header.StudyDate, header.Modality, header.InstanceNumber = "20240101", "OT", 1
    header.Rows = header.Columns = 512
    header.NumberOfFrames = frames
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 0
    return header


_FILES = {"ct": _ct, "small": _small, "big": _big, "real": _real}
