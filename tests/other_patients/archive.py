"""An archive in which most patients are in no cohort, and look like those that are."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicomove.testing.archive import Archive, Instance, tolerant

ROOT: Final = "1.2.826.0.1.3680043.8.498.11"


@dataclass(frozen=True)
class Study:
    """One study, with one instance in each of its series."""

    number: int
    patient: str
    name: str
    accession: str
    study_id: str
    date: str
    modality: str = "CT"
    series: int = 1
    time: str = "101500"
    description: str = ""
    other_uid: str = ""
    born: str = ""

    @property
    def uid(self) -> str:
        return self.other_uid or f"{ROOT}.{self.number}"

    def series_uid(self, series: int) -> str:
        return f"{self.uid}.{series}"

    def instance_uid(self, series: int) -> str:
        return f"{self.uid}.{series}.1"

    def values(self, series: int = 1) -> dict[str, str]:
        """Every attribute that a cohort may name."""
        return {
            "PatientID": self.patient,
            "PatientName": self.name,
            "PatientBirthDate": self.born,
            "AccessionNumber": self.accession,
            "StudyID": self.study_id,
            "StudyInstanceUID": self.uid,
            "StudyDate": self.date,
            "Modality": self.modality,
            "SeriesInstanceUID": self.series_uid(series),
            "SOPInstanceUID": self.instance_uid(series),
        }


#: IDs of one patient are a prefix of another's, or differ in case or in zeros; accession numbers, study IDs and dates
#: are shared; the number of one attribute is that of another patient's other attribute; some have none.
STUDIES: Final = (
    Study(1, "000123", "Doe^Jane", "A2", "1", "20240105", series=2, born="19500203"),
    Study(2, "000123", "Doe^Jane", "A20", "2", "20240212", "MR", born="19500203"),
    Study(3, "00012", "Doe^John", "A2", "1", "20240105", born="19610715"),
    Study(11, "0001234", "Doe^Jane Mary", "A21", "2", "20240212", series=2, born="19721130"),
    Study(12, "123", "Roe^Richard", "17", "17", "20240105", born="19830419"),
    Study(13, "17", "Roe^Jane", "A200", "1", "20240212", born="19940608"),
    Study(14, "ABC-7", "Poe^Ann", "A3", "3", "20240105", born="19450521"),
    Study(15, "Abc-7", "Poe^Anne", "a3", "3", "20240105", born="19560914"),
    Study(16, "A2", "Noe^Jane", "000123", "2", "20240212", born="19671012"),
    Study(17, "888", "Moe^Max", "", "", "20240105", born="19780127"),
    Study(18, "", "Loe^Lea", "B9", "1", "20240212"),
    Study(19, "n/a", "Koe^Kim", "nan", "9", "20240105", born="19890716"),
)


@cache
def archive(studies: tuple[Study, ...] = STUDIES) -> Archive:
    """All of them, or some."""
    return Archive(list(_instances(studies)))


def _instances(studies: tuple[Study, ...]) -> Iterator[Instance]:
    for study in studies:
        for series in range(1, study.series + 1):
            yield _instance(study, series)


def owner(study_instance_uid: str) -> Study | None:
    """Whose study it is."""
    return next((study for study in STUDIES if study.uid == study_instance_uid), None)


def _instance(study: Study, series: int) -> Instance:
    values = study.values(series) | {"SOPClassUID": CTImageStorage, "StudyTime": study.time}
    values |= {"SeriesNumber": str(series), "InstanceNumber": "1", "StudyDescription": study.description}
    data = b"".join(_element(keyword, values[keyword]) for keyword in sorted(values, key=Tag))
    data += struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 64) + bytes(64)
    header = Dataset()
    with tolerant():
        for keyword, value in values.items():
            setattr(header, keyword, value)
    return Instance(
        sop_class_uid=CTImageStorage,
        sop_instance_uid=study.instance_uid(series),
        transfer_syntax=ExplicitVRLittleEndian,
        study_instance_uid=study.uid,
        series_instance_uid=study.series_uid(series),
        patient_id=study.patient,
        describe=lambda: header,
        source=lambda: data,
    )


def _element(keyword: str, value: str) -> bytes:
    tag, vr, content = Tag(keyword), dictionary_VR(keyword), value.encode("ascii")
    content += (b"\0" if vr == "UI" else b" ") * (len(content) % 2)
    return struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(content)) + content
