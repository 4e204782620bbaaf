from __future__ import annotations

import csv
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import UID

from dicomove.testing.archive import Archive
from dicomove.testing.images import (
    DEMO_FILES,
    DEMO_PATIENTS,
    DEMO_STUDIES,
    instance_uid,
    real_images,
    series_uid,
    study_uid,
)

DATASETS = Path(__file__).parents[1] / "datasets"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return real_images(tmp_path_factory.mktemp("images") / "made")


@pytest.fixture(scope="module")
def archive(folder: Path) -> Archive:
    return Archive.from_folder(folder)


def datasets(folder: Path) -> dict[str, Dataset]:
    found = (dcmread(path) for path in folder.rglob("*.dcm"))
    return {str(dataset.SOPInstanceUID): dataset for dataset in found}


def rows(name: str) -> list[dict[str, str]]:
    with (DATASETS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_is_there_and_nothing_else(folder: Path, archive: Archive) -> None:
    assert {one.sop_instance_uid for one in archive.instances} == {instance_uid(file) for file in DEMO_FILES}
    assert archive.skipped == ()
    assert len(list(folder.rglob("*.dcm"))) == len(DEMO_FILES)
    assert (
        repr(archive)
        == f"<Archive: {len(DEMO_PATIENTS)} patients, {len(DEMO_STUDIES)} studies, {len(DEMO_FILES)} instances>"
    )


def test_the_variety(archive: Archive) -> None:
    modalities = {one.header.Modality for one in archive.instances}
    assert modalities == {"CR", "CT", "ECG", "MR", "NM", "OT", "RTDOSE", "RTPLAN", "RTSTRUCT", "SEG", "SR", "US"}
    syntaxes = {UID(one.transfer_syntax) for one in archive.instances}
    assert len(syntaxes) >= 12
    assert sum(syntax.is_compressed for syntax in syntaxes) >= 8
    assert len({one.sop_class_uid for one in archive.instances}) >= 12


def test_every_value_can_be_read(folder: Path) -> None:
    for dataset in datasets(folder).values():
        for element in dataset.iterall():  # a warning would be an error here
            assert element.keyword or element.tag.is_private or element.VR


@pytest.mark.parametrize("file", DEMO_FILES)
def test_recorded_values_are_untouched(folder: Path, file: str) -> None:
    source = get_testdata_file(file, download=False)
    assert source is not None
    original = dcmread(source, force=True)
    copy = datasets(folder)[instance_uid(file)]
    assert copy.file_meta.TransferSyntaxUID == original.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")
    assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID
    assert copy.SOPClassUID == original.SOPClassUID
    assert ("PixelData" in copy) == ("PixelData" in original)
    if "PixelData" in original:
        assert copy.PixelData == original.PixelData
    if "WaveformSequence" in original:
        assert [part.WaveformData for part in copy.WaveformSequence] == [
            part.WaveformData for part in original.WaveformSequence
        ]


def test_the_text_of_a_report_is_untouched(folder: Path) -> None:
    def texts(dataset: Dataset) -> list[str]:
        return [str(element.value) for element in dataset.iterall() if element.keyword == "TextValue"]

    source = get_testdata_file("test-SR.dcm", download=False)
    assert source is not None
    expected = texts(dcmread(source))
    assert texts(datasets(folder)[instance_uid("test-SR.dcm")]) == expected
    assert not "".join(expected).isascii()


def test_uncompressed_pixel_data_are_complete(folder: Path) -> None:
    checked = 0
    for dataset in datasets(folder).values():
        if "PixelData" in dataset and not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            expected = get_expected_length(dataset)
            assert expected <= len(dataset.PixelData) <= expected + 1
            checked += 1
    assert checked > 10


def test_the_archive_hands_out_the_bytes_of_the_files(folder: Path, archive: Archive) -> None:
    for path, one in zip(sorted(folder.rglob("*.dcm")), archive.instances, strict=True):
        end_of_meta = 128 + 4 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
        assert path.read_bytes()[end_of_meta:] == one.read()


def test_the_same_story_makes_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = real_images(tmp_path)
    assert {path.relative_to(again): path.read_bytes() for path in again.rglob("*.dcm")} == {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.dcm")
    }


def test_a_folder_can_be_written_again(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*.dcm")}
    assert real_images(folder) == folder
    assert {path: path.read_bytes() for path in folder.rglob("*.dcm")} == before


def test_names_are_encoded_in_the_patients_character_set(folder: Path) -> None:
    names = {str(one.PatientID): (one.PatientName, one.SpecificCharacterSet) for one in datasets(folder).values()}
    assert names == {
        "000123": ("DEMO^ADA", "ISO_IR 100"),
        "000124": ("DEMO^JÖRG", "ISO_IR 100"),
        "000200": ("DEMO^ŁUCJA", "ISO_IR 192"),
        "000305": ("DEMO^HANAKO=見本^花子=みほん^はなこ", ["", "ISO 2022 IR 87"]),
        "007000": ("DEMO^RAY", "ISO_IR 192"),
        "123": ("DEMO^BOB", "ISO_IR 100"),
    }
    raw = (folder / "A001" / "1" / "1.dcm").read_bytes()
    assert "DEMO^JÖRG".encode("latin-1") in raw
    assert "DEMO^ŁUCJA".encode() in (folder / "A0200" / "1" / "1.dcm").read_bytes()


def test_no_other_person_is_named(folder: Path) -> None:
    known = {patient.name for patient in DEMO_PATIENTS} | {"DEMO^STAFF", ""}
    for dataset in datasets(folder).values():
        names = {str(element.value or "") for element in dataset.iterall() if element.VR == "PN"}
        assert names <= known


def test_a_study_is_one_patients_and_a_series_one_studys(folder: Path) -> None:
    identity: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for one in datasets(folder).values():
        who = (one.PatientID, str(one.PatientName), one.PatientBirthDate, one.PatientSex)
        identity[one.StudyInstanceUID].add((*who, one.AccessionNumber, one.StudyDate, one.StudyDescription))
        identity[one.SeriesInstanceUID].add((one.StudyInstanceUID, one.Modality, str(one.SeriesNumber)))
    assert {len(variants) for variants in identity.values()} == {1}


def study_of(archive: Archive, accession: str) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.AccessionNumber = "STUDY", accession
    identifier.ModalitiesInStudy, identifier.NumberOfStudyRelatedInstances = "", None
    identifier.NumberOfStudyRelatedSeries, identifier.PatientID = None, ""
    (match,) = archive.find(identifier, "StudyRoot")
    return match


@pytest.mark.parametrize(
    ("accession", "patient_id", "modalities", "series", "instances"),
    [
        ("A0001", "000123", ["CT", "SR"], 2, 5),
        ("A0002", "000123", "MR", 2, 6),
        ("A001", "000124", ["SR", "US"], 3, 4),
        ("A0010", "000305", "CR", 3, 3),
        ("A0100", "007000", ["CT", "RTDOSE", "RTPLAN", "RTSTRUCT"], 4, 5),
        ("A0101", "007000", ["CT", "SEG"], 2, 2),
        ("A0200", "000200", "ECG", 1, 1),
        ("A0201", "000200", "OT", 2, 6),
        ("A0300", "123", ["CT", "NM"], 2, 3),
    ],
)
def test_the_story(
    archive: Archive, accession: str, patient_id: str, modalities: object, series: int, instances: int
) -> None:
    match = study_of(archive, accession)
    assert (match.StudyInstanceUID, match.PatientID) == (study_uid(accession), patient_id)
    assert match.ModalitiesInStudy == modalities
    assert (match.NumberOfStudyRelatedSeries, match.NumberOfStudyRelatedInstances) == (series, instances)


def test_the_plan_of_a_dose_is_the_plan_beside_it(folder: Path) -> None:
    dose = datasets(folder)[instance_uid("rtdose.dcm")]
    plan = datasets(folder)[dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID]
    assert (plan.Modality, plan.StudyInstanceUID) == ("RTPLAN", dose.StudyInstanceUID)


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="DCMTK is not installed")
def test_dcmtk_reads_every_file(folder: Path) -> None:
    paths = sorted(folder.rglob("*.dcm"))
    done = subprocess.run(["dcmdump", "-q", "+P", "SOPInstanceUID", *paths], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.count("SOPInstanceUID") >= len(paths)


def test_demo_uids_are_those_of_the_demo_archive(archive: Archive) -> None:
    table = rows("demo_uids.csv")
    studies = [row for row in table if row["QueryRetrieveLevel"] == "STUDY"]
    assert [row["StudyInstanceUID"] for row in studies[:-1]] == [study_uid(study.accession) for study in DEMO_STUDIES]
    assert [row["remark"] for row in studies[:-1]] == [study.description for study in DEMO_STUDIES]
    assert not UID(studies[-1]["StudyInstanceUID"], validation_mode=0).is_valid
    (series,) = (row for row in table if row["QueryRetrieveLevel"] == "SERIES")
    assert (series["StudyInstanceUID"], series["SeriesInstanceUID"]) == (study_uid("A0001"), series_uid("A0001", 2))
    assert {series["SeriesInstanceUID"]} <= {one.series_instance_uid for one in archive.instances}


def test_demo_cohort_has_one_of_each_kind(archive: Archive) -> None:
    table = rows("demo_cohort.csv")
    studies = {(study.patient_id, study.accession) for study in DEMO_STUDIES}
    asked = [(row["MRN"], row["Accession Number"]) for row in table]
    assert [pair in studies for pair in asked] == [True] * 6 + [False] * 3 + [True, False, False]
    assert asked[6:] == [("000200", "A9999"), ("", ""), ("000124", "A00*"), asked[0], ("000123", "A000?"), ("", "")]
    assert table[-1]["StudyInstanceUID"] not in {instance.study_instance_uid for instance in archive.instances}
    assert len(study_of(archive, asked[3][1]).ModalitiesInStudy) == 4
    assert sum(patient == "000123" for patient, _ in studies) == 2
