from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from dicomove.cohort import find_queries, move_identifiers
from dicomove.cohort.damage import IDENTIFIERS, damage
from dicomove.cohort.doubts import doubt

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine

STAND_INS = [
    *("NULL", "null", "(null)", "<null>", "None", "nan", "NaN", "<NA>", "NaT", "NA", "N/A", "n.a.", "k. A."),
    *(
        "-",
        "--",
        ".",
        "-9",
        "-999",
        "-inf",
        "1.#QNAN",
        "unknown",
        "UNKNOWN",
        "missing",
        "(blank)",
        "(Leer)",
        "unbekannt",
    ),
    *("inconnu", "desconocido", "onbekend", "неизвестно", "不明", "없음"),
]
ERROR_WORDS = [
    *("#N/A N/A", "#ERR"),
    *("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#GETTING_DATA"),
    *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!", "#FELD!", "#N/V"),
    *("#NOM?", "#VALEUR!", "#NOMBRE!", "#NUL!", "#PROPAGATION!", "#CHAMP!"),
    *("#N/D", "#¡REF!", "#¿NOMBRE?", "#¡VALOR!", "#¡DIV/0!", "#¡NULO!", "#¡NUM!", "#¡DESBORDAMIENTO!"),
    *("#RIF!", "#VERW!", "#NÚM!", "#n/a", "#ERROR!", "Err:502", "Fehler:502"),
]


@pytest.mark.parametrize("value", ERROR_WORDS)
@pytest.mark.parametrize("column", ["PatientID", "StudyInstanceUID", "PatientName", "StudyDate", "Modality", "arm"])
def test_error_words_are_seen_in_every_column(value: str, column: str) -> None:
    assert damage(value, column) == "an error of a spreadsheet"


@pytest.mark.parametrize(
    ("value", "column", "named"),
    [
        ("########", "PatientID", "too narrow"),
        ("##", "arm", "too narrow"),
        ("#", "AccessionNumber", "too narrow"),
        ('="000123"', "AccessionNumber", "formula"),
        ("=A1", "PatientID", "formula"),
        ('="A"&A2', "StudyInstanceUID", "formula"),
        ("=VLOOKUP(A2,Sheet2!A:B,2,0)", "arm", "formula"),
        ("='Sheet 2'!A1", "PatientName", "formula"),
        ("{=A1:A3}", "StudyDate", "formula"),
        ("=?", "StudyDescription", "formula"),
        ("1.2E+19", "PatientID", "scientific"),
        ("1,2E+19", "AccessionNumber", "scientific"),
        ("1,23457E+19", "StudyInstanceUID", "scientific"),
        ("1.23E+05", "StudyDate", "scientific"),
        ("1e+5", "StudyID", "scientific"),
        ("-1E+5", "PatientID", "scientific"),
        ("1.23E19", "PatientID", "scientific"),
        ("1,23 E+ 19", "PatientID", "scientific"),
        ("1.23 x 10^19", "PatientID", "scientific"),
        ("1,23·10¹⁹", "PatientID", "scientific"),
        ("1.23E-05", "PatientID", "scientific"),
        ("1.234.567", "PatientID", "thousands"),
        ("2.024.000.123", "AccessionNumber", "thousands"),
        ("1,234,567", "PatientID", "thousands"),
        ("20,240", "AccessionNumber", "thousands"),
        ("1'234'567", "StudyID", "thousands"),
        ("1\u2019234", "PatientID", "thousands"),
        ("1 234 567", "PatientID", "thousands"),
        ("1\u00a0234", "PatientID", "thousands"),
        ("1\u202f234\u202f567", "PatientID", "thousands"),
        ("1.234.567,00", "PatientID", "thousands"),
        ("1,234.00", "PatientID", "thousands"),
        ("12,34,567", "PatientID", "thousands"),
        ("20.240.105", "StudyDate", "thousands"),
        ("123.0", "PatientID", ".0"),
        ("123,0", "PatientID", ".0"),
        ("20240105.0", "StudyDate", ".0"),
        ("'000123", "PatientID", "apostrophe"),
        ("'1.2.3", "StudyInstanceUID", "apostrophe"),
        ('"000123"', "AccessionNumber", "quotation"),
        ("1.2.840.1136...", "StudyInstanceUID", "cut off"),
        ("12 %", "PatientID", "percentage"),
        ("2024-01-05 00:00:00", "AccessionNumber", "a date"),
        ("2024-01-05T09:30:00", "PatientID", "a date"),
        ("09:30:00", "PatientID", "a time"),
        ("WAHR", "PatientID", "truth"),
        ("45296", "StudyDate", "number of its day"),
        ("M\ufffdller", "PatientName", "could not read"),
        ("\\N", "AccessionNumber", "mark of a database"),
        ("\\N", "StudyDate", "mark of a database"),
    ],
)
def test_damage_is_named(value: str, column: str, named: str) -> None:
    assert named in (damage(value, column) or "")
    assert value not in (damage(value, column) or "") or value in "####"


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("0001E5", "AccessionNumber"),
        ("1E5", "AccessionNumber"),
        ("12E-45", "AccessionNumber"),
        ("123.00", "PatientID"),
        ("123.10", "PatientID"),
        ("12.01", "PatientID"),
        ("A123.0", "PatientID"),
        ("1.2.0", "AccessionNumber"),
        ("000123", "PatientID"),
        ("12345678901230000", "PatientID"),
        ("O'Neil", "PatientID"),
        ("2024.000.123", "AccessionNumber"),
        ("2024.123", "AccessionNumber"),
        ("20.240", "AccessionNumber"),
        ("1 234", "PatientID"),
        ("001.234.567", "PatientID"),
        ("12.345.678-9", "PatientID"),
        ("123.456.789-09", "PatientID"),
        ("943 476 5919", "PatientID"),
        ("#123", "PatientID"),
        ("#", "Modality"),
        ("A#!", "PatientID"),
        ("NaN", "PatientID"),
        ("NULL", "PatientID"),
        ("MAR-01", "PatientID"),
        ("2024-01-05", "AccessionNumber"),
        ("1.234.567", "StudyInstanceUID"),
        ("1.2.840.113.619", "StudyInstanceUID"),
        ("20240105", "StudyDate"),
        ("20240105-20240109", "StudyDate"),
        ("2024-01-05 00:00:00", "StudyDate"),
        ("093000", "StudyTime"),
        ("'t Hooft", "PatientName"),
        ("=山田^太郎", "PatientName"),
        ("= refused", "arm"),
        ("1.2E+19", "arm"),
        ("1,234,567", "arm"),
        ("*", "PatientID"),
        ("", "PatientID"),
    ],
)
def test_what_is_no_damage(value: str, column: str) -> None:
    assert damage(value, column) is None


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("1234567890120000", "PatientID"),
        ("1234567890123450000", "PatientID"),
        ("123456789012340000", "AccessionNumber"),
        ("20.240", "AccessionNumber"),
        ("1 234", "PatientID"),
        ("1-Mar", "PatientID"),
        ("01. Mrz", "AccessionNumber"),
        ("Mar-24", "AccessionNumber"),
        ("1/5/2024", "AccessionNumber"),
        ("05.01.24", "PatientID"),
        ("1-Mar-24", "PatientID"),
        ("12FEB2024:00:00:00", "AccessionNumber"),
        ("12.02.2024 00:00", "AccessionNumber"),
        ("2024-01-05T00:00:00Z", "AccessionNumber"),
        ("н/д", "AccessionNumber"),
        ("keine Angabe", "PatientID"),
        ("1899-12-30", "PatientID"),
        *((word, "PatientID") for word in STAND_INS),
        *(
            (word, "AccessionNumber")
            for word in ("Total", "Summe: 12", "(2 rows affected)", "12 rows selected.", "------")
        ),
        ("123.00", "AccessionNumber"),
        ("np.str_('000123')", "PatientID"),
        ("Timestamp('2024-01-05 00:00:00')", "AccessionNumber"),
        *(
            (several, "AccessionNumber")
            for several in ("A1;A2", "A1, A2", "123|456", "A1 / A2", "A1 und A2", "A1 & A2")
        ),
        ("000123^^^HOSP&1.2.3&ISO", "PatientID"),
        ("12&amp;3", "AccessionNumber"),
        ("A%2F12", "AccessionNumber"),
        ("2567-01-05", "StudyDate"),
        ("14021015", "StudyDate"),
        ("99991231", "PatientBirthDate"),
        ("18991230", "StudyDate"),
        ("1900-01-01", "SeriesDate"),
        ("1.2", "StudyInstanceUID"),
        ("12", "SOPInstanceUID"),
        ("1,2,840,113619", "StudyInstanceUID"),
        ("NULL", "StudyInstanceUID"),
        ("1" + "0" * 199, "PatientID"),  # the longest cell that is looked through
    ],
)
def test_a_doubt_is_not_damage(value: str, column: str) -> None:
    assert doubt(value, column)
    assert damage(value, column) is None


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("12345678901234560000", "PatientID"),  # more than 15 digits are left
        ("123456789010000", "PatientID"),  # 15 digits
        ("1234567890123000", "PatientID"),
        ("123456789012345678", "PatientID"),
        ("1.2.3", "StudyInstanceUID"),
        ("20.24", "AccessionNumber"),
        ("?", "PatientID"),  # a wildcard, which is ignored
        ("2024/123", "AccessionNumber"),
        ("HOSP|123", "PatientID"),
        ("A-1-2024", "AccessionNumber"),
        ("010203-1234", "PatientID"),
        ("13/32/2024", "AccessionNumber"),
        ("TOTAL-1", "PatientID"),
        ("NULL-1", "PatientID"),
        ("Doe^Jane", "PatientID"),
        ("100%", "arm"),
        ("19000101", "PatientBirthDate"),
        ("18501231", "PatientBirthDate"),
        ("21500105", "StudyDate"),  # dates that were shifted
        ("20240105-99991231", "StudyDate"),
        ("NULL", "PatientName"),
        ("unknown", "arm"),
        ("1234567890120000", "arm"),
        ("1-Mar", "StudyDescription"),
    ],
)
def test_what_is_no_doubt(value: str, column: str) -> None:
    assert doubt(value, column) is None


@relaxed
@given(st.floats(min_value=1e15, max_value=1e25), st.integers(0, 10), st.sampled_from(sorted(IDENTIFIERS)))
def test_scientific_notation_is_always_seen(value: float, digits: int, column: str) -> None:
    assert damage(f"{value:.{digits}E}", column) == "scientific notation"
    assert damage(f"{value:.{digits}e}".replace(".", ","), column) == "scientific notation"


@relaxed
@given(st.integers(1_000, 10**15), st.sampled_from([",", "'", "\u202f", "\u00a0"]))
def test_thousands_are_always_seen(value: int, separator: str) -> None:
    assert damage(f"{value:,}".replace(",", separator), "PatientID") == "thousands separators"


@relaxed
@given(st.integers(1_000_000, 10**15), st.sampled_from([".", " "]))
def test_points_and_blanks_are_thousands_from_a_million(value: int, separator: str) -> None:
    assert damage(f"{value:,}".replace(",", separator), "PatientID") == "thousands separators"


@relaxed
@given(st.from_regex(r"[A-Z]{0,3}[0-9]{1,15}", fullmatch=True))
def test_plain_identifiers_are_never_damage(value: str) -> None:
    assert damage(value, "PatientID") is None
    assert doubt(value, "PatientID") is None


@pytest.mark.parametrize("value", ["1" * 100_000, "1, " * 50_000 + "x", "1 / " * 50_000 + "x", "0" * 100_000])
def test_a_report_in_the_column_of_a_number_is_looked_through_at_once(value: str) -> None:
    assert doubt(value, "PatientID") is None  # it would take minutes


@relaxed
@given(st.text(max_size=30), st.sampled_from(["PatientID", "StudyDate", "StudyInstanceUID", "PatientName", "arm"]))
def test_any_text_has_an_answer(value: str, column: str) -> None:
    assert damage(value, column) is None or damage(value, column) not in {"", value}


def test_the_mark_of_a_database_is_not_called_a_list_of_values() -> None:
    cells = pd.DataFrame({"StudyInstanceUID": ["1.2.3", ""], "AccessionNumber": ["\\N", "\\N"]})
    for said in (find_queries(cells), move_identifiers(cells.head(1))):
        assert all("mark of a database" in str(error) for error in said)
