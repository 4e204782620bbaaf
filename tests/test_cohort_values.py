from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydicom.uid import UID
from pydicom.valuerep import PersonName

from dicomove.cohort.values import EDGES, given_key, is_blank, is_number, is_uid, text, whole_number, zone_of
from dicomove.errors import IdentifierError

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        np.float32("nan"),
        Decimal("nan"),
        pd.NA,
        pd.NaT,
        np.datetime64("NaT", "ns"),
        "",
        " \t\x00\n",
        "\ufeff",
        PersonName(""),
        UID(""),
    ],
)
def test_blank(value: object) -> None:
    assert is_blank(value)


@pytest.mark.parametrize(
    "value", [0, 0.0, False, "0", "nan", "NULL", [], [None], b"", {}, PersonName("A^B"), np.array([])]
)
def test_not_blank(value: object) -> None:
    assert not is_blank(value)


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (" 000123 ", "AccessionNumber", "000123"),
        ("1.2.3\0", "StudyInstanceUID", "1.2.3"),
        (UID("1.2.3"), "StudyInstanceUID", "1.2.3"),
        ("urn:oid:1.2.3", "StudyInstanceUID", "1.2.3"),
        ("URN:OID:1.2.3", "StudyInstanceUID", "1.2.3"),
        ("1.2.urn:oid:3", "StudyInstanceUID", "1.2.urn:oid:3"),  # two cells that were joined: no UID
        ("urn:oid:urn:oid:3", "StudyInstanceUID", "urn:oid:3"),
        ("urn:oid:1.2.3", "PatientID", "urn:oid:1.2.3"),
        (np.str_("A 1"), "PatientID", "A 1"),
        (PersonName("Doe^Jane"), "PatientName", "Doe^Jane"),
        (dt.date(2024, 1, 5), "StudyDate", "20240105"),
        (dt.datetime(2024, 1, 5, 12), "StudyDate", "20240105"),  # noqa: DTZ001 (a cell has no zone)
        (pd.Timestamp("2024-01-05"), "PatientBirthDate", "20240105"),
        (dt.date(987, 1, 5), "StudyDate", "09870105"),
        (dt.time(9, 5), "StudyTime", "090500"),
        (7, "SeriesNumber", "7"),
        (7.0, "InstanceNumber", "7"),
        (np.int64(7), "InstanceNumber", "7"),
    ],
)
def test_text(value: object, column: str, expected: str) -> None:
    found = text(value, column)
    assert found == expected
    assert type(found) is str


SECRET = 987654321


@pytest.mark.parametrize(
    ("value", "column"),
    [
        (SECRET, "PatientID"),
        (float(SECRET), "AccessionNumber"),
        (np.int64(SECRET), "StudyInstanceUID"),
        (Decimal(SECRET), "PatientID"),
        (True, "PatientID"),
        (True, "SeriesNumber"),
        (SECRET + 0.5, "SeriesNumber"),
        (dt.date(2024, 1, 5), "AccessionNumber"),
        (pd.Timestamp("2024-01-05"), "PatientID"),
        ([str(SECRET)], "PatientID"),
        ((str(SECRET),), "PatientID"),
        ({str(SECRET)}, "PatientID"),
        ({str(SECRET): 1}, "PatientID"),
        (str(SECRET).encode(), "PatientID"),
        (np.array([str(SECRET)]), "PatientID"),
    ],
)
def test_cells_that_are_not_text_are_refused_and_not_shown(value: object, column: str) -> None:
    with pytest.raises(IdentifierError, match=column) as caught:
        text(value, column)
    assert caught.value.column == column
    assert str(SECRET) not in str(caught.value)
    assert "2024" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (3, "3"),
        (3.0, "3"),
        (3.5, None),
        (True, None),
        (np.bool_(1), None),
        (float("inf"), None),
        (float("nan"), None),
        (2**60 + 1, str(2**60 + 1)),
        (Decimal(2**60 + 1), str(2**60 + 1)),
        (Decimal("1.5"), None),
        ("3", None),
        (1.0000001, None),
        (np.float64(4), "4"),
    ],
)
def test_whole_number(value: object, digits: str | None) -> None:
    assert whole_number(value) == digits


@pytest.mark.parametrize("value", [1, 1.5, True, np.bool_(1), np.int8(1), Decimal(1)])
def test_number(value: object) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", ["1", None, dt.date(2024, 1, 1), [1]])
def test_not_a_number(value: object) -> None:
    assert not is_number(value)


@pytest.mark.parametrize("value", ["1.2", "0.0", "2.25.123", "1.2.840.10008.1.0", "1." + "2" * 62])
def test_uid(value: str) -> None:
    assert is_uid(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        "1.",
        ".1",
        "1..2",
        "1.2\n",
        "1.2 ",
        "1,2",
        "1.2.*",
        "1.2\\1.3",
        "1.a",
        "1.٣",
        "-1.2",
        "1." + "2" * 63,
    ],
)
def test_not_a_uid(value: str) -> None:
    assert not is_uid(value)


@relaxed
@given(st.text(max_size=20), st.text(alphabet=EDGES, max_size=5), st.text(alphabet=EDGES, max_size=5))
def test_padding_never_changes_a_value(core: str, before: str, after: str) -> None:
    padded = before + core + after
    assert is_blank(padded) == is_blank(core)
    assert text(padded, "PatientID") == text(core, "PatientID")


def test_a_uid_that_the_pacs_gave_is_returned_as_it_is() -> None:
    """A typed one loses a prefix that only other standards have."""
    assert given_key(" urn:oid:1.2.3 ", "StudyInstanceUID") == "urn:oid:1.2.3"
    assert text(" urn:oid:1.2.3 ", "StudyInstanceUID") == "1.2.3"


def test_the_zone_of_a_moment_is_named_as_people_know_it() -> None:
    assert zone_of(pd.Timestamp("2024-01-04 23:00", tz="Europe/Berlin")) == "CET"
    assert zone_of(dt.datetime(2024, 1, 4, 23, tzinfo=dt.timezone(dt.timedelta(hours=1)))) == "UTC+01:00"
    assert zone_of(dt.datetime(2024, 1, 4, 23)) is None  # noqa: DTZ001 (that is the case)
    assert zone_of("2024-01-04") is None
