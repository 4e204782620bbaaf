"""Names with umlauts, and times to the minute, at archives that others have written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd
import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

import dicomove as dm
from dicomove.testing import RehearsalPacs

from . import servers

ROOT: Final = "1.2.826.0.1.3680043.9.7777"
HELD: Final = {
    "100": {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Änne", "StudyTime": "103045"},
    "192": {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Łucja", "StudyTime": "103059.999"},
    "6": {"SpecificCharacterSet": "ISO_IR 6", "PatientName": "Mueller^Jane", "StudyTime": "1030"},
    "7": {"SpecificCharacterSet": "", "PatientName": "Mueller^John", "StudyTime": "103100"},
}


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    with disable_value_validation():
        for number, values in HELD.items():
            image(number, values).save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def image(number: str, values: dict[str, str]) -> Dataset:
    data_set = Dataset()
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    study = f"{ROOT}.{number}"
    for keyword, value in {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"{study}.1.1",
        "StudyDate": "20240105",
        "AccessionNumber": f"A{number}",
        "Modality": "CT",
        "PatientID": f"P{number}",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "StudyID": "",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
        **values,
    }.items():
        setattr(data_set, keyword, value)
    return data_set


def orthanc(folder: Path, images: Path) -> Iterator[dm.Pacs]:
    with servers.orthanc(folder, images, {}) as server:
        yield dm.Pacs(f"ORTHANC@127.0.0.1:{server.dicom_port}")


def dcmqrscp(folder: Path, images: Path) -> Iterator[dm.Pacs]:
    with servers.dcmqrscp(folder, images, {}) as port:
        yield dm.Pacs(f"DCMQRSCP@127.0.0.1:{port}")


def rehearsal(_: Path, images: Path) -> Iterator[dm.Pacs]:
    with RehearsalPacs(images) as pacs:
        yield pacs


@pytest.fixture(scope="module", params=[orthanc, dcmqrscp, rehearsal], ids=lambda make: make.__name__)
def pacs(request: pytest.FixtureRequest, named: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dm.Pacs]:
    yield from request.param(tmp_path_factory.mktemp("server"), named)


def found(pacs: dm.Pacs, **keys: str) -> set[str]:
    table = dm.find(pd.DataFrame([keys]), pacs, keys=["PatientName"], progress=False)
    return {str(uid).rsplit(".", 1)[-1] for uid in table.StudyInstanceUID.dropna()}


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("Müller^Änne", {"100"}),
        ("Müller^Ä*", {"100"}),
        ("Mueller*", {"6", "7"}),
        ("Möller*", set()),
        ("Müller^Łucja", {"192"}),
    ],
)
def test_a_name_with_umlauts(pacs: dm.Pacs, name: str, numbers: set[str]) -> None:
    assert found(pacs, PatientName=name) == numbers


@pytest.mark.parametrize(
    ("time", "numbers"),
    [
        ("10:30", {"100", "192", "6"}),
        ("1030", {"100", "192", "6"}),
        ("10:30:45", {"100"}),
        ("10:30:59", {"192"}),
        ("10", {"100", "192", "6", "7"}),
        ("10:31", {"7"}),
        ("10:31-", {"7"}),
        ("09:00-10:30", {"100", "192", "6"}),
        ("11", set()),
    ],
)
def test_a_time_names_all_of_its_minute(pacs: dm.Pacs, time: str, numbers: set[str]) -> None:
    assert {number for number in HELD if found(pacs, AccessionNumber=f"A{number}", StudyTime=time)} == numbers


def test_names_come_back_as_they_are(pacs: dm.Pacs) -> None:
    with dm.FindScu(pacs) as finder:
        matches = finder.find_studies({"AccessionNumber": "A100", "PatientName": ""})
    assert [match["PatientName"] for match in matches] == ["Müller^Änne"]
