"""Identifiers as bytes, and back; those that are encoded without a data set of pydicom are the same bytes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomove.dimse.data_sets import (
    _encoded,
    _plain,
    decode,
    decode_match,
    encode,
    encode_identifier,
    failed_uids,
    raw_elements,
    split_charset,
)
from dicomove.dimse.messages import Message
from dicomove.errors import InvalidResponse

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
UIDS = st.from_regex(r"[0-9]{1,8}(\.[0-9]{1,12}){0,4}", fullmatch=True)
KEYWORDS = [
    *("StudyDate", "StudyTime", "RetrieveAETitle", "NumberOfStudyRelatedSeries", "PatientAge"),
    *("QueryRetrieveLevel", "PatientID", "AccessionNumber", "StudyInstanceUID", "SOPInstanceUID", "PatientName"),
]
VALUES = UIDS | st.text(max_size=12) | st.lists(UIDS, max_size=4) | st.just("")


@given(keys=st.dictionaries(st.sampled_from(KEYWORDS), VALUES, min_size=1), syntax=st.sampled_from(SYNTAXES))
def test_they_are_the_bytes_of_pydicom(keys: dict[str, str | Sequence[str]], syntax: str) -> None:
    plain = _plain(keys, syntax)
    assert plain is None or plain == _encoded(keys, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "keys",
    [
        {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2.3"},
        {"StudyInstanceUID": "1.2.34", "QueryRetrieveLevel": "IMAGE", "SOPInstanceUID": ["1.2", "1.34"]},
        {"QueryRetrieveLevel": "PATIENT", "PatientID": "A 17*"},
        {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""},
        {"StudyInstanceUID": [], "PatientID": ["17"]},
        {
            "SpecificCharacterSet": "",
            "QueryRetrieveLevel": "STUDY",
            "PatientID": "7",
            "PatientName": "",
            "StudyDate": "20240101-20240131",
            "StudyTime": "08-092959.999999",
            "NumberOfStudyRelatedSeries": "",
        },
    ],
    ids=["study", "list", "patient", "asked for", "lists of none and of one", "C-FIND"],
)
def test_identifiers_of_a_run_are_plain(keys: dict[str, str | Sequence[str]], syntax: str) -> None:
    assert _plain(keys, syntax) == _encoded(keys, syntax) == encode_identifier(keys, syntax)


@pytest.mark.parametrize(
    "keys",
    [
        {"PatientID": "Müller"},
        {"PatientID": " 1 "},
        {"PatientID": "1\\2"},
        {"PatientID": ["Müller"]},
        {"ModalitiesInStudy": ["CT", "MR"]},
        {"StudyInstanceUID": ["1.2", ""]},
        {"StudyInstanceUID": ["1.2", " "]},
        {"PatientName": "A^B"},
        {"StudyInstanceUID": ["1." + "2" * 60] * 1100},
    ],
)
def test_the_rest_is_left_to_pydicom(keys: dict[str, str | Sequence[str]]) -> None:
    assert _plain(keys, ExplicitVRLittleEndian) is None
    assert encode_identifier(keys, ImplicitVRLittleEndian) == _encoded(keys, ImplicitVRLittleEndian)


def test_a_word_that_is_not_a_keyword_is_named() -> None:
    with pytest.raises(ValueError, match="'PatientNumber' is not a DICOM keyword"):
        encode_identifier({"PatientNumber": "1"}, ImplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("keys", "charset", "name"),
    [
        ({"PatientName": "Muller"}, None, b"Muller"),
        ({"PatientName": "Müller"}, "ISO_IR 100", b"M\xfcller"),
        ({"PatientName": "Žižka"}, "ISO_IR 192", "Žižka".encode()),
        ({"SpecificCharacterSet": "", "PatientName": "Müller"}, "ISO_IR 100", b"M\xfcller"),
        ({"SpecificCharacterSet": "ISO_IR 144", "PatientName": "Жук"}, "ISO_IR 144", "Жук".encode("iso8859-5")),
        ({"StudyInstanceUID": ("1.2", "1.3"), "PatientName": "Müller"}, "ISO_IR 100", b"M\xfcller"),
    ],
)
def test_text_brings_the_character_set_that_it_needs(
    keys: dict[str, str | Sequence[str]], charset: str | None, name: bytes
) -> None:
    data_set = decode(encode_identifier(keys, ImplicitVRLittleEndian), ImplicitVRLittleEndian)
    raw = data_set.get_item("PatientName")
    assert (data_set.get("SpecificCharacterSet"), raw.value.strip()) == (charset, name)
    assert data_set.get("StudyInstanceUID", []) == [*keys.get("StudyInstanceUID", [])]


@pytest.mark.parametrize("syntax", [*SYNTAXES, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_every_transfer_syntax_both_ways(syntax: str) -> None:
    data_set = Dataset()
    data_set.PatientID = "000123"
    data = encode(data_set, syntax)
    assert decode(data, syntax) == data_set
    assert encode_identifier({"PatientID": "000123"}, syntax) == data


def element(group: int, number: int, content: bytes = b"") -> bytes:
    """An element in Implicit VR Little Endian."""
    return struct.pack("<HHI", group, number, len(content)) + content


CHARSET = element(8, 5, b"ISO_IR 100")
NAME = element(0x10, 0x10, b"M\xfcller")


@pytest.mark.parametrize(
    ("data", "label", "rest"),
    [
        (CHARSET + NAME, b"ISO_IR 100", NAME),
        (element(8, 0, bytes(4)) + CHARSET + NAME, b"ISO_IR 100", element(8, 0, bytes(4)) + NAME),
        (element(8, 5), b"", b""),
        (NAME, b"", NAME),
        (b"", b"", b""),
        (CHARSET[:7], b"", CHARSET[:7]),
        (element(8, 0, bytes(4)) + NAME + CHARSET, b"", element(8, 0, bytes(4)) + NAME + CHARSET),
        # Behind other elements it is not near the beginning.
        (element(8, 6) + CHARSET, b"", element(8, 6) + CHARSET),
        (element(8, 0x1030, b"CT") + CHARSET, b"", element(8, 0x1030, b"CT") + CHARSET),
    ],
)
def test_the_character_set_is_taken_out(data: bytes, label: bytes, rest: bytes) -> None:
    assert split_charset(data, ImplicitVRLittleEndian) == (label, rest)


def test_an_answer_is_read_without_its_sequences_and_unknown_elements() -> None:
    data = element(8, 0x60, b"CT") + element(8, 0x1111, element(0xFFFE, 0xE000, NAME)) + element(9, 1, b"?") + NAME
    data += element(0x20, 0xD) + element(0x20, 0x1208) + element(0x28, 0x1201, b"\1\2")
    values = {name: found.value or b"" for name, found in raw_elements(data, ImplicitVRLittleEndian).items()}
    assert values == {
        "Modality": b"CT",
        "PatientName": b"M\xfcller",
        "StudyInstanceUID": b"",
        "NumberOfStudyRelatedInstances": b"",
    }
    endless = struct.pack("<HHI", 8, 0x1111, 0xFFFFFFFF) + element(0xFFFE, 0xE0DD)
    assert [*raw_elements(endless + NAME, ImplicitVRLittleEndian)] == ["PatientName"]
    unknown = struct.pack("<HH2s2xI", 0x10, 0x20, b"UN", 2) + b"17"
    assert raw_elements(unknown, ExplicitVRLittleEndian) == {}


@pytest.mark.parametrize("length", range(1, len(NAME)))
def test_an_answer_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InvalidResponse, match=r"an identifier that (cannot be decoded|ends inside its first element)"):
        raw_elements(NAME[:length], ImplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (element(8, 0x58, b"1.2\\1.34\0"), ("1.2", "1.34")),
        (element(8, 0x58, b" 1.2 \\\\ 1.3"), ("1.2", "1.3")),
        (element(8, 0x58, b"1.2\\1.\xff"), ("1.2", "1.\ufffd")),
        (element(8, 0x58), ()),
        (NAME, ()),
        (b"", ()),
        (None, ()),
        (b"garbage!", ()),
    ],
)
def test_the_instances_that_a_response_lists_as_failed(data: bytes | None, expected: tuple[str, ...]) -> None:
    assert failed_uids(Message(1, {"Status": 0xB000}, data), ImplicitVRLittleEndian) == expected


EVERY = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.mark.parametrize("negotiated", EVERY)
@pytest.mark.parametrize("used", EVERY)
@pytest.mark.parametrize("first", ["SpecificCharacterSet", "RetrieveAETitle", "PatientID", "StudyInstanceUID"])
def test_an_answer_is_read_in_the_transfer_syntax_that_its_first_element_shows(
    negotiated: str, used: str, first: str
) -> None:
    answer = Dataset()
    for keyword in ("SpecificCharacterSet", "RetrieveAETitle", "PatientID", "StudyInstanceUID"):
        setattr(answer, keyword, {"SpecificCharacterSet": "ISO_IR 192", "StudyInstanceUID": "1.2.3"}.get(keyword, "X"))
    answer.PatientName, answer.NumberOfStudyRelatedInstances, answer.Rows = "Mueller^A", 7, 515
    for before in [element.tag for element in answer if element.tag < tag_for_keyword(first)]:
        del answer[before]
    match = decode_match(encode(answer, used), negotiated)
    assert match["StudyInstanceUID"] == "1.2.3"
    assert match["Rows"] == "515"
    assert match.get("PatientID", "X") == "X"


def test_another_vr_than_usual_speaks_for_no_other_transfer_syntax() -> None:
    """A value of 64 KiB has the VR UN (PS3.5 6.2.2)."""
    long = struct.pack("<HH2sHI", 0x0008, 0x0058, b"UN", 0, 1 << 16) + bytes(1 << 16)
    patient = struct.pack("<HH2sH", 0x0010, 0x0020, b"LO", 2) + b"17"
    assert raw_elements(long + patient, ExplicitVRLittleEndian)["PatientID"].value == b"17"
