"""Identifiers that are encoded without a data set of pydicom are the same bytes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove.dimse.data_sets import _encoded, _plain, encode_identifier

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
UIDS = st.from_regex(r"[0-9]{1,8}(\.[0-9]{1,12}){0,4}", fullmatch=True)
KEYWORDS = [
    *("StudyDate", "StudyTime", "RetrieveAETitle", "NumberOfStudyRelatedSeries", "PatientAge"),
    *("QueryRetrieveLevel", "PatientID", "AccessionNumber", "StudyInstanceUID", "SOPInstanceUID", "PatientName"),
]
VALUES = UIDS | st.text(max_size=12) | st.lists(UIDS, min_size=1, max_size=4) | st.just("")


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
    ids=["study", "list", "patient", "asked for", "C-FIND"],
)
def test_what_a_run_asks_for_is_plain(keys: dict[str, str | Sequence[str]], syntax: str) -> None:
    assert _plain(keys, syntax) == _encoded(keys, syntax) == encode_identifier(keys, syntax)


@pytest.mark.parametrize(
    "keys",
    [
        {"PatientID": "Müller"},
        {"PatientID": " 1 "},
        {"PatientID": "1\\2"},
        {"PatientName": "A^B"},
        {"StudyInstanceUID": ["1." + "2" * 60] * 1100},
    ],
    ids=["another character set", "blanks", "two values", "another VR", "longer than its field"],
)
def test_the_rest_is_left_to_pydicom(keys: dict[str, str | Sequence[str]]) -> None:
    assert _plain(keys, ExplicitVRLittleEndian) is None
    assert encode_identifier(keys, ImplicitVRLittleEndian) == _encoded(keys, ImplicitVRLittleEndian)


def test_a_word_that_is_no_keyword_is_named() -> None:
    with pytest.raises(ValueError, match="'PatientNumber' is not a DICOM keyword"):
        encode_identifier({"PatientNumber": "1"}, ImplicitVRLittleEndian)
