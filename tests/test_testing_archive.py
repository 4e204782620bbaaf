from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from itertools import islice
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dsutils import decode, encode

from dicomove.testing.archive import Archive, IdentifierMismatch, Instance
from dicomove.testing.synthetic import synthetic_instances


def instance(study: str, series: str, number: int, **attributes: object) -> Instance:
    header = Dataset()
    header.StudyInstanceUID, header.SeriesInstanceUID = study, f"{study}.{series}"
    header.SOPInstanceUID, header.InstanceNumber = f"{study}.{series}.{number}", number
    header.SOPClassUID = MRImageStorage if attributes.get("Modality") == "MR" else CTImageStorage
    for keyword, value in attributes.items():
        setattr(header, keyword, value)
    return Instance(
        sop_class_uid=header.SOPClassUID,
        sop_instance_uid=header.SOPInstanceUID,
        transfer_syntax=ExplicitVRLittleEndian,
        study_instance_uid=header.StudyInstanceUID,
        series_instance_uid=header.SeriesInstanceUID,
        patient_id=header.get("PatientID", ""),
        describe=lambda: header,
        source=lambda: header.SOPInstanceUID.encode(),
    )


ADA = {"PatientID": "001", "PatientName": "DEMO^ADA", "SpecificCharacterSet": "ISO_IR 100"}
JORG = {"PatientID": "1", "PatientName": "DEMO^JÖRG", "SpecificCharacterSet": "ISO_IR 100"}
HANAKO = {"PatientID": "P*", "PatientName": "DEMO^HANAKO=見本^花子", "SpecificCharacterSet": r"\ISO 2022 IR 87"}
FIRST = ADA | {"AccessionNumber": "A001", "StudyDate": "20240110", "StudyTime": "081500.5", "StudyDescription": "Head"}
SECOND = ADA | {
    "AccessionNumber": "A0010",
    "StudyDate": "20240229",
    "StudyTime": "1230",
    "StudyDescription": "head (2)",
}
THIRD = JORG | {"AccessionNumber": "B[1]", "StudyDate": "20250101", "StudyTime": "235959"}
FOURTH = HANAKO | {"AccessionNumber": ""}


@pytest.fixture(scope="module")
def archive() -> Archive:
    return Archive(
        [
            instance("1.1", "1", 1, Modality="CT", SeriesNumber=1, **FIRST),
            instance("1.1", "1", 2, Modality="CT", SeriesNumber=1, **FIRST),
            instance("1.1", "2", 1, Modality="MR", SeriesNumber=2, **FIRST),
            instance("1.2", "1", 1, Modality="CT", SeriesNumber=1, **SECOND),
            instance("1.3", "1", 1, Modality="SR", SeriesNumber=1, **THIRD),
            instance("1.4", "1", 1, Modality="US", SeriesNumber=1, **FOURTH),
        ]
    )


def identifier(level: str, **keys: object) -> Dataset:
    """Make an identifier as it comes from the network: bytes, of which pydicom has not yet had an opinion."""
    dataset = Dataset()
    with disable_value_validation():
        for keyword, value in {"QueryRetrieveLevel": level, **keys}.items():
            setattr(dataset, keyword, value)
        return received(dataset)


def received(dataset: Dataset) -> Dataset:
    if any(not str(element.value).isascii() for element in dataset) and "SpecificCharacterSet" not in dataset:
        dataset.SpecificCharacterSet = "ISO_IR 192"
    encoded = encode(dataset, is_implicit_vr=True, is_little_endian=True)
    assert encoded is not None
    return decode(BytesIO(encoded), is_implicit_vr=True, is_little_endian=True)


def found(archive: Archive, keyword: str, level: str, query_model: str, **keys: object) -> list[str]:
    return [match[keyword].value for match in archive.find(identifier(level, **keys), query_model)]


ALL = ["1.1", "1.2", "1.3", "1.4"]


@pytest.mark.parametrize(
    ("keys", "studies"),
    [
        # universal
        ({}, ALL),
        ({"StudyInstanceUID": ""}, ALL),
        ({"AccessionNumber": None, "PatientName": ""}, ALL),
        ({"AccessionNumber": "*", "PatientName": "**"}, ALL),
        # single value
        ({"StudyInstanceUID": "1.2"}, ["1.2"]),
        ({"StudyInstanceUID": "1"}, []),
        ({"AccessionNumber": "A001"}, ["1.1"]),
        ({"AccessionNumber": "a001"}, []),
        ({"AccessionNumber": "A001", "PatientID": "1"}, []),
        ({"StudyInstanceUID": "1.2", "AccessionNumber": "A001"}, []),
        ({"PatientID": "001"}, ["1.1", "1.2"]),
        ({"PatientID": "1"}, ["1.3"]),
        ({"StudyDescription": "Head"}, ["1.1"]),
        ({"AccessionNumber": "B[1]"}, ["1.3"]),
        # list of UID
        ({"StudyInstanceUID": ["1.3", "1.1", "1.9"]}, ["1.3", "1.1"]),
        ({"StudyInstanceUID": ["1.3", "1.3"]}, ["1.3"]),
        # wildcards
        ({"AccessionNumber": "A001*"}, ["1.1", "1.2"]),
        ({"AccessionNumber": "A001?"}, ["1.2"]),
        ({"AccessionNumber": "*0*0"}, ["1.2"]),
        ({"AccessionNumber": "B[*"}, ["1.3"]),
        ({"AccessionNumber": "?"}, []),
        ({"StudyDescription": "head (?)"}, ["1.2"]),
        ({"PatientID": "P*"}, ["1.4"]),
        ({"PatientID": "??1"}, ["1.1", "1.2"]),
        ({"StudyInstanceUID": "*"}, []),
        ({"StudyInstanceUID": "1.*"}, []),
        # person names
        ({"PatientName": "demo^ada"}, ["1.1", "1.2"]),
        ({"PatientName": "DEMO^ADA^^"}, ["1.1", "1.2"]),
        ({"PatientName": "demo^j*g"}, ["1.3"]),
        ({"PatientName": "DEMO^jörg"}, ["1.3"]),
        ({"PatientName": "ADA"}, []),
        ({"PatientName": "demo^hanako"}, ["1.4"]),
        ({"PatientName": "見本^*"}, ["1.4"]),
        ({"PatientName": "DEMO^HANAKO=見本^花子"}, ["1.4"]),
        # ranges
        ({"StudyDate": "20240110"}, ["1.1"]),
        ({"StudyDate": "20240110-20240229"}, ["1.1", "1.2"]),
        ({"StudyDate": "20240111-"}, ["1.2", "1.3"]),
        ({"StudyDate": "-20240228"}, ["1.1"]),
        ({"StudyDate": "20240111-20240228"}, []),
        ({"StudyTime": "1230"}, ["1.2"]),
        ({"StudyTime": "123000.000"}, ["1.2"]),
        ({"StudyTime": "08-1230"}, ["1.1", "1.2"]),
        ({"StudyTime": "081501-2359"}, ["1.2", "1.3"]),
        ({"StudyTime": "-0815"}, ["1.1"]),
        ({"StudyDate": "20240101-", "StudyTime": "12-"}, ["1.2", "1.3"]),
        # computed
        ({"ModalitiesInStudy": "MR"}, ["1.1"]),
        ({"ModalitiesInStudy": "C*"}, ["1.1", "1.2"]),
        ({"ModalitiesInStudy": ["SR", "US"]}, ["1.3", "1.4"]),
        ({"SOPClassesInStudy": MRImageStorage}, ["1.1"]),
        # keys of a lower level, and unknown ones, do not narrow
        ({"Modality": "MR", "SeriesInstanceUID": "1.1.2"}, ALL),
        ({"ImplantName": "no such key"}, ALL),
    ],
)
def test_studies_match(archive: Archive, keys: dict[str, object], studies: list[str]) -> None:
    assert found(archive, "StudyInstanceUID", "STUDY", "StudyRoot", **keys) == studies


@pytest.mark.parametrize(
    ("level", "query_model", "keys", "expected"),
    [
        ("PATIENT", "PatientRoot", {}, ["001", "1", "P*"]),
        ("PATIENT", "PatientRoot", {"PatientID": "?"}, ["1"]),
        ("PATIENT", "PatientRoot", {"PatientName": "*ada"}, ["001"]),
        ("PATIENT", "PatientRoot", {"AccessionNumber": "A001"}, ["001", "1", "P*"]),
        ("STUDY", "PatientRoot", {"PatientID": "001"}, ["1.1", "1.2"]),
        ("STUDY", "PatientRoot", {"PatientID": "001", "StudyInstanceUID": "1.3"}, []),
        ("STUDY", "PatientRoot", {"PatientID": "1", "AccessionNumber": "A001"}, []),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.1"}, ["1.1.1", "1.1.2"]),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.1", "Modality": "M?"}, ["1.1.2"]),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.1", "SeriesNumber": "1"}, ["1.1.1"]),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.1", "SeriesInstanceUID": ["1.1.2", "1.2.1"]}, ["1.1.2"]),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.9"}, []),
        ("SERIES", "PatientRoot", {"PatientID": "001", "StudyInstanceUID": "1.1"}, ["1.1.1", "1.1.2"]),
        ("SERIES", "PatientRoot", {"PatientID": "1", "StudyInstanceUID": "1.1"}, []),
        ("IMAGE", "StudyRoot", {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1"}, ["1.1.1.1", "1.1.1.2"]),
        (
            "IMAGE",
            "StudyRoot",
            {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "InstanceNumber": "2"},
            ["1.1.1.2"],
        ),
        ("IMAGE", "StudyRoot", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.1.1"}, []),
        (
            "IMAGE",
            "PatientRoot",
            {"PatientID": "001", "StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.2", "SOPInstanceUID": ""},
            ["1.1.2.1"],
        ),
    ],
)
def test_levels_and_models(
    archive: Archive, level: str, query_model: str, keys: dict[str, object], expected: list[str]
) -> None:
    unique = {"PATIENT": "PatientID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
    assert found(archive, unique.get(level, "StudyInstanceUID"), level, query_model, **keys) == expected


HIERARCHY_ERRORS = [
    ("", "StudyRoot", {"StudyInstanceUID": "1.1"}),
    ("FRAME", "StudyRoot", {"StudyInstanceUID": "1.1"}),
    ("study", "StudyRoot", {"StudyInstanceUID": "1.1"}),
    ("PATIENT", "StudyRoot", {"PatientID": "001"}),
    ("STUDY", "PatientRoot", {"StudyInstanceUID": "1.1"}),
    ("STUDY", "PatientRoot", {"StudyInstanceUID": "1.1", "PatientID": "0*"}),
    ("STUDY", "PatientRoot", {"StudyInstanceUID": "1.1", "PatientID": ["001", "1"]}),
    ("SERIES", "StudyRoot", {"SeriesInstanceUID": "1.1.1"}),
    ("SERIES", "StudyRoot", {"SeriesInstanceUID": "1.1.1", "StudyInstanceUID": ""}),
    ("SERIES", "StudyRoot", {"SeriesInstanceUID": "1.1.1", "StudyInstanceUID": ["1.1", "1.2"]}),
    ("SERIES", "PatientRoot", {"SeriesInstanceUID": "1.1.1", "StudyInstanceUID": "1.1"}),
    ("IMAGE", "StudyRoot", {"SOPInstanceUID": "1.1.1.1", "StudyInstanceUID": "1.1"}),
    ("IMAGE", "StudyRoot", {"SOPInstanceUID": "1.1.1.1", "SeriesInstanceUID": "1.1.1"}),
]


@pytest.mark.parametrize("ask", [Archive.find, Archive.select])
@pytest.mark.parametrize(("level", "query_model", "keys"), HIERARCHY_ERRORS)
def test_keys_outside_of_the_hierarchy_are_refused_at_once(
    archive: Archive,
    ask: Callable[[Archive, Dataset, str], object],
    level: str,
    query_model: str,
    keys: dict[str, object],
) -> None:
    with pytest.raises(IdentifierMismatch):
        ask(archive, identifier(level, **keys), query_model)


def test_a_missing_level_is_refused(archive: Archive) -> None:
    with pytest.raises(IdentifierMismatch):
        archive.find(Dataset(), "StudyRoot")


def test_counts(archive: Archive) -> None:
    counts = {
        "NumberOfPatientRelatedStudies": 2,
        "NumberOfPatientRelatedSeries": 3,
        "NumberOfPatientRelatedInstances": 4,
        "NumberOfStudyRelatedSeries": 2,
        "NumberOfStudyRelatedInstances": 3,
    }
    (match,) = archive.find(identifier("STUDY", StudyInstanceUID="1.1", **dict.fromkeys(counts)), "StudyRoot")
    assert {keyword: match[keyword].value for keyword in counts} == counts

    keys = {"StudyInstanceUID": "1.1", "NumberOfSeriesRelatedInstances": None, "NumberOfStudyRelatedInstances": None}
    series = list(archive.find(identifier("SERIES", **keys), "StudyRoot"))
    assert [one.NumberOfSeriesRelatedInstances for one in series] == [2, 1]
    assert [one.NumberOfStudyRelatedInstances for one in series] == [3, 3]

    keys = {"PatientID": "001", "NumberOfPatientRelatedInstances": None, "NumberOfStudyRelatedInstances": None}
    (patient,) = archive.find(identifier("PATIENT", **keys), "PatientRoot")
    assert patient.NumberOfPatientRelatedInstances == 4
    assert patient["NumberOfStudyRelatedInstances"].is_empty


def test_the_parts_of_a_study(archive: Archive) -> None:
    keys = {"StudyInstanceUID": ["1.1", "1.2"], "ModalitiesInStudy": "", "SOPClassesInStudy": ""}
    first, second = archive.find(identifier("STUDY", **keys), "StudyRoot")
    assert first.ModalitiesInStudy == ["CT", "MR"]
    assert first.SOPClassesInStudy == [CTImageStorage, MRImageStorage]
    assert second.ModalitiesInStudy == "CT"


def test_an_answer_has_what_was_asked_and_the_unique_keys(archive: Archive) -> None:
    keys = identifier("SERIES", StudyInstanceUID="1.1", Modality="MR", StudyDate="", InstanceNumber=None, PatientAge="")
    keys.RequestAttributesSequence = [Dataset()]
    keys.add_new(0x00090010, "LO", "SOMEBODY")
    keys.add_new(0x00091001, "LO", "private")
    (match,) = archive.find(keys, "StudyRoot")
    assert {element.tag: element.value or None for element in match} == {
        0x00080020: "20240110",
        0x00080052: "SERIES",
        0x00080060: "MR",
        0x00090010: None,
        0x00091001: None,
        0x00101010: None,
        0x0020000D: "1.1",
        0x0020000E: "1.1.2",
        0x00200013: None,
        0x00400275: None,
    }


def test_an_answer_has_the_patients_key_in_the_patient_root_only(archive: Archive) -> None:
    (match,) = archive.find(identifier("STUDY", PatientID="1"), "PatientRoot")
    assert (match.PatientID, match.StudyInstanceUID) == ("1", "1.3")
    (match,) = archive.find(identifier("STUDY", StudyInstanceUID="1.3"), "StudyRoot")
    assert "PatientID" not in match


@pytest.mark.parametrize(
    ("patient_id", "charset"), [("001", None), ("1", "ISO_IR 100"), ("P*", ["", "ISO 2022 IR 87"])]
)
def test_text_survives_the_wire(archive: Archive, patient_id: str, charset: object) -> None:
    name = next(one.header.PatientName for one in archive.instances if one.patient_id == patient_id)
    match = next(archive.find(identifier("STUDY", PatientID=patient_id, PatientName=""), "StudyRoot"))
    assert match.get("SpecificCharacterSet") == charset
    assert received(match).PatientName == name


def test_an_answer_may_be_changed_without_changing_the_archive(archive: Archive) -> None:
    keys = identifier("STUDY", StudyInstanceUID="1.1", PatientName="", StudyDescription="", AccessionNumber="")
    (match,) = archive.find(keys, "StudyRoot")
    match.PatientName, match.StudyDescription, match.AccessionNumber = "X", "X", "X"
    (again,) = archive.find(keys, "StudyRoot")
    assert [again.PatientName, again.StudyDescription, again.AccessionNumber] == ["DEMO^ADA", "Head", "A001"]


@pytest.mark.parametrize(
    ("level", "query_model", "keys", "selected"),
    [
        ("PATIENT", "PatientRoot", {"PatientID": "001"}, ["1.1.1.1", "1.1.1.2", "1.1.2.1", "1.2.1.1"]),
        ("PATIENT", "PatientRoot", {"PatientID": "9"}, []),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": "1.1"}, ["1.1.1.1", "1.1.1.2", "1.1.2.1"]),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": ["1.3", "1.2", "1.9"]}, ["1.3.1.1", "1.2.1.1"]),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": ["1.2", "1.2"]}, ["1.2.1.1"]),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": "1.2", "AccessionNumber": "B[1]"}, ["1.2.1.1"]),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": "1.2", "PatientID": "1"}, ["1.2.1.1"]),
        ("STUDY", "PatientRoot", {"StudyInstanceUID": "1.2", "PatientID": "1"}, []),
        ("STUDY", "PatientRoot", {"StudyInstanceUID": ["1.2", "1.3"], "PatientID": "1"}, ["1.3.1.1"]),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.2"}, ["1.1.2.1"]),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.1.2"}, []),
        (
            "SERIES",
            "StudyRoot",
            {"StudyInstanceUID": "1.1", "SeriesInstanceUID": ["1.1.1", "1.1.2"]},
            ["1.1.1.1", "1.1.1.2", "1.1.2.1"],
        ),
        (
            "IMAGE",
            "StudyRoot",
            {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPInstanceUID": ["1.1.1.2", "1.1.2.1"]},
            ["1.1.1.2"],
        ),
    ],
)
def test_selection(
    archive: Archive, level: str, query_model: str, keys: dict[str, object], selected: list[str]
) -> None:
    instances = archive.select(identifier(level, **keys), query_model)
    assert [one.sop_instance_uid for one in instances] == selected


@pytest.mark.parametrize(
    ("level", "query_model", "keys"),
    [
        ("STUDY", "StudyRoot", {}),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": ""}),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": "*"}),
        ("STUDY", "StudyRoot", {"StudyInstanceUID": ["1.1", "1.*"]}),
        ("STUDY", "StudyRoot", {"AccessionNumber": "A001"}),
        ("STUDY", "StudyRoot", {"StudyDate": "20240101-20241231"}),
        ("PATIENT", "PatientRoot", {}),
        ("PATIENT", "PatientRoot", {"PatientID": " "}),
        ("PATIENT", "PatientRoot", {"PatientID": "*"}),
        ("PATIENT", "PatientRoot", {"PatientID": "P*"}),
        ("PATIENT", "PatientRoot", {"PatientID": ["001", "1"]}),
        ("SERIES", "StudyRoot", {"StudyInstanceUID": "1.1"}),
        ("IMAGE", "StudyRoot", {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.1.1", "SOPInstanceUID": ""}),
    ],
)
def test_nothing_is_guessed_when_images_are_moved(
    archive: Archive, level: str, query_model: str, keys: dict[str, object]
) -> None:
    with pytest.raises(IdentifierMismatch):
        archive.select(identifier(level, **keys), query_model)


def test_the_first_of_two_instances_with_one_uid_is_kept() -> None:
    archive = Archive([instance("1.1", "1", 1, PatientID="A"), instance("1.1", "1", 1, PatientID="B")])
    assert [one.patient_id for one in archive.instances] == ["A"]
    assert len(archive) == 1
    assert found(archive, "PatientID", "PATIENT", "PatientRoot") == ["A"]


def test_a_study_of_two_patients_is_counted_as_it_is_moved() -> None:
    archive = Archive([instance("1.1", "1", 1, PatientID="A"), instance("1.1", "1", 2, PatientID="B")])
    keys = identifier("STUDY", StudyInstanceUID="1.1", NumberOfStudyRelatedInstances=None)
    (match,) = archive.find(keys, "StudyRoot")
    assert match.NumberOfStudyRelatedInstances == len(archive.select(keys, "StudyRoot")) == 2


def test_a_uid_is_looked_up_and_not_searched() -> None:
    described = []

    def watched(one: Instance) -> Instance:
        def describe() -> Dataset:
            described.append(one.sop_instance_uid)
            return one.header

        fields = {name: getattr(one, name) for name in Instance.__dataclass_fields__}
        return Instance(**fields | {"describe": describe})

    archive = Archive(map(watched, synthetic_instances(studies=50, instances=2, size=2)))
    wanted = archive.instances[40]
    keys = identifier(
        "STUDY", StudyInstanceUID=wanted.study_instance_uid, StudyDate="", NumberOfStudyRelatedInstances=None
    )
    assert len(list(archive.find(keys, "StudyRoot"))) == 1
    assert described == [wanted.sop_instance_uid]

    keys = identifier(
        "IMAGE",
        StudyInstanceUID=wanted.study_instance_uid,
        SeriesInstanceUID=wanted.series_instance_uid,
        SOPInstanceUID=wanted.sop_instance_uid,
    )
    described.clear()
    assert len(list(archive.find(keys, "StudyRoot"))) == 1
    assert described == []


def written(path: Path, syntax: str = ExplicitVRLittleEndian, **changes: object) -> Path:
    dataset = instance("1.1", "1", 1, PatientID="001", PatientName="DEMO^ADA").header
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_a_file_is_read_bit_for_bit(tmp_path: Path, syntax: str) -> None:
    path = written(tmp_path / "one.dcm", syntax)
    one = Instance.from_file(path)
    content = path.read_bytes()
    end_of_meta = 128 + 4 + 12 + dcmread(path).file_meta.FileMetaInformationGroupLength
    assert one.read() == content[end_of_meta:]
    assert one.transfer_syntax == syntax
    assert (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid) == ("1.1", "1.1.1", "1.1.1.1")
    assert (one.sop_class_uid, one.patient_id, one.header.PatientName) == (CTImageStorage, "001", "DEMO^ADA")


def test_odd_bytes_of_a_file_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "one.dcm")
    padding = bytes.fromhex("fcfffcff") + b"OB\0\0" + (4).to_bytes(4, "little") + b"odd!"
    path.write_bytes(path.read_bytes() + padding)
    assert Instance.from_file(path).read().endswith(padding)


def test_a_folder_is_read_and_other_files_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    content = written(tmp_path / "deep" / "deeper" / "image").read_bytes()
    (tmp_path / "DICOMDIR").write_bytes(content.replace(b"1.1.1.1\0", b"\0\0\0\0\0\0\0\0"))
    (tmp_path / "cut.dcm").write_bytes(content[:180])
    (tmp_path / "damaged.dcm").write_bytes(content[:-70] + b"\x08\0\x18\0??" + bytes(64))
    (tmp_path / "empty.dcm").touch()
    (tmp_path / "notes.txt").write_text("no DICOM")
    written(tmp_path / "no_study.dcm", StudyInstanceUID="")
    archive = Archive.from_folder(tmp_path)
    assert [one.sop_instance_uid for one in archive.instances] == ["1.1.1.1"]
    skipped = ["DICOMDIR", "cut.dcm", "damaged.dcm", "empty.dcm", "no_study.dcm", "notes.txt"]
    assert [path.name for path in archive.skipped] == skipped


def test_the_archive_says_what_it_holds(archive: Archive) -> None:
    assert repr(archive) == "<Archive: 3 patients, 4 studies, 6 instances>"


def test_synthetic_instances_are_valid_and_add_up() -> None:
    instances = list(synthetic_instances(studies=4, series=2, instances=3, size=2 * 16 * 16, patients=2))
    archive = Archive(instances)
    assert repr(archive) == "<Archive: 2 patients, 4 studies, 24 instances>"
    one = instances[-1]
    dataset = decode(BytesIO(one.read()), is_implicit_vr=False, is_little_endian=True)
    for element in dataset:
        if element.tag in one.header:
            assert one.header[element.tag] == element
    assert encode(dataset, is_implicit_vr=False, is_little_endian=True) == one.read()
    assert dataset.SOPInstanceUID == one.sop_instance_uid
    assert (dataset.PatientID, dataset.AccessionNumber, dataset.StudyDate) == ("SYN000002", "000004", "20241001")
    assert dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8 == len(dataset.PixelData) == 512
    keys = {"AccessionNumber": "000002", "NumberOfStudyRelatedInstances": None, "ModalitiesInStudy": ""}
    (match,) = archive.find(identifier("STUDY", **keys), "StudyRoot")
    assert (match.NumberOfStudyRelatedInstances, match.ModalitiesInStudy) == (6, "CT")


def test_synthetic_instances_depend_on_their_seed_only() -> None:
    one, same, other = (list(synthetic_instances(studies=2, instances=2, size=200, seed=seed)) for seed in (1, 1, 2))
    assert one == same
    assert [image.read() for image in one] == [image.read() for image in same]
    assert not {image.sop_instance_uid for image in one} & {image.sop_instance_uid for image in other}
    assert len({image.read()[-200:] for image in [*one, *other]}) == 8


def test_synthetic_studies_are_made_when_they_are_asked_for() -> None:
    endless = synthetic_instances(studies=10**6, instances=10**6)
    assert len(list(islice(endless, 3))) == 3
