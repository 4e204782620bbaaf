"""Synthetic CT studies, which need no disk and little memory: reading an instance generates it.

They are valid CT Image Storage in Explicit VR Little Endian, and show noise. Their content depends only on the seed and
on their place in the archive, so every process gets the same bytes for the same archive.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import product
from math import isqrt
from uuid import NAMESPACE_OID, uuid5
from zlib import crc32

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomove.testing.archive import Instance

_COMMON: dict[str, str | int] = {
    "ImageType": "ORIGINAL\\PRIMARY\\AXIAL",
    "SOPClassUID": CTImageStorage,
    "Modality": "CT",
    "Manufacturer": "dicomove",
    "ReferringPhysicianName": "",
    "StudyDescription": "Synthetic CT",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "SliceThickness": "1",
    "KVP": "120",
    "PatientPosition": "HFS",
    "AcquisitionNumber": "1",
    "ImageOrientationPatient": "1\\0\\0\\0\\1\\0",
    "PositionReferenceIndicator": "",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelSpacing": "1\\1",
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 0,
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
}


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """An archive of synthetic CT studies, evenly spread over the year 2024, and assigned to the patients in turn.

    Parameters
    ----------
    studies
        The number of studies. Their accession numbers are ``"000001"``, ``"000002"``, ...
    series
        The number of series in each study.
    instances
        The number of instances in each series.
    size
        The largest size of the pixel data in bytes. Images are square and have 16 bits.
    patients
        The number of patients who share the studies: ``"SYN000001"``, ``"SYN000002"``, ... By default, each study has
        its own patient.
    seed
        Another seed gives other UIDs and other noise.
    """

    studies: int = 10
    series: int = 1
    instances: int = 10
    size: int = 512 * 1024
    patients: int | None = None
    seed: int = 0

    def instances_of_all(self) -> Iterator[Instance]:
        """Describe every instance."""
        return synthetic_instances(**asdict(self))


def synthetic_instances(
    *,
    studies: int = 10,
    series: int = 1,
    instances: int = 10,
    size: int = 512 * 1024,
    patients: int | None = None,
    seed: int = 0,
) -> Iterator[Instance]:
    """Describe the instances of an archive, with the parameters of `Synthetic`."""
    root = f"2.25.{uuid5(NAMESPACE_OID, f'dicomove synthetic {seed}').int}"
    side = max(1, isqrt(size // 2))
    for study in range(studies):
        moment = datetime(2024, 1, 1) + timedelta(seconds=study * 366 * 86_400 // studies)  # noqa: DTZ001 (as DICOM)
        patient = f"SYN{study % (patients or studies) + 1:06d}"
        study_uid = f"{root}.{study + 1}"
        series_uids = [f"{study_uid}.{number + 1}" for number in range(series)]
        for series_uid, number in product(series_uids, range(instances)):
            image = _Image(f"{series_uid}.{number + 1}", series_uid, study_uid, patient, moment, side, seed)
            yield image.instance()


@dataclass(frozen=True, slots=True)
class _Image:
    uid: str
    series_uid: str
    study_uid: str
    patient: str
    moment: datetime
    side: int
    seed: int

    def instance(self) -> Instance:
        return Instance(
            sop_class_uid=CTImageStorage,
            sop_instance_uid=self.uid,
            transfer_syntax=ExplicitVRLittleEndian,
            study_instance_uid=self.study_uid,
            series_instance_uid=self.series_uid,
            patient_id=self.patient,
            describe=self.describe,
            source=self.encode,
        )

    def describe(self) -> Dataset:
        # pydicom decodes raw elements only on access, so a search in 100,000 studies takes seconds.
        return Dataset({**self._elements()})

    def encode(self) -> bytes:
        header = [_explicit(element) for _, element in sorted(self._elements().items())]
        noise = memoryview(_noise(2 * self.side**2, self.seed))
        turn = 2 * (crc32(self.uid.encode()) % self.side**2)
        pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, len(noise))
        return b"".join((*header, pixels, noise[turn:], noise[:turn]))

    def _elements(self) -> dict[BaseTag, RawDataElement]:
        study, series, number = self.uid.split(".")[-3:]
        return _common() | _encoded(
            {
                "SOPInstanceUID": self.uid,
                "StudyDate": f"{self.moment:%Y%m%d}",
                "StudyTime": f"{self.moment:%H%M%S}",
                "AccessionNumber": f"{int(study):06d}",
                "SeriesDescription": f"Series {series}",
                "PatientName": f"SYNTHETIC^{self.patient}",
                "PatientID": self.patient,
                "StudyInstanceUID": self.study_uid,
                "SeriesInstanceUID": self.series_uid,
                "StudyID": study,
                "SeriesNumber": series,
                "InstanceNumber": number,
                "ImagePositionPatient": f"0\\0\\{number}",
                "FrameOfReferenceUID": f"{self.study_uid}.0",
                "Rows": self.side,
                "Columns": self.side,
            }
        )


@lru_cache(maxsize=4)
def _noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


@cache
def _common() -> dict[BaseTag, RawDataElement]:
    return _encoded(_COMMON)


def _encoded(values: Mapping[str, str | int]) -> dict[BaseTag, RawDataElement]:
    elements = (_element(*_tag_and_vr(keyword), value) for keyword, value in values.items())
    return {element.tag: element for element in elements}


@cache
def _tag_and_vr(keyword: str) -> tuple[BaseTag, str]:
    tag = Tag(keyword)
    return tag, dictionary_VR(tag)


def _element(tag: BaseTag, vr: str, value: str | int) -> RawDataElement:
    encoded = struct.pack("<H", value) if isinstance(value, int) else value.encode("ascii")
    if len(encoded) % 2:
        encoded += b"\0" if vr == "UI" else b" "
    return RawDataElement(tag, vr, len(encoded), encoded, 0, False, True)  # noqa: FBT003 (explicit VR, little endian)


def _explicit(element: RawDataElement) -> bytes:
    tag, vr, value = element.tag, element.VR or "", element.value or b""
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value
