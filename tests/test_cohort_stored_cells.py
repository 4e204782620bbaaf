"""Cells as a file stores them: the text that a person saw, and what is said where that is lost."""

from __future__ import annotations

import datetime as dt

import pytest

from dicomove.cohort.files.stored_cells import Cells, Grid, Range, Shown, cell_problem, cell_text, shown

#: As Excel and LibreOffice show them; #### where that is not certain.
FORMATS = [
    (7, "000", "007"),
    (1234, "000", "1234"),
    (0, "000", "000"),
    (7, "#", "7"),
    (123, "####", "123"),
    (7, "??0", "7"),
    (0, "#", ""),
    (7, "#-00", "-07"),
    (123, "0-00", "1-23"),
    (1234, "0-00", "12-34"),
    (123456789, "000-00-0000", "123-45-6789"),
    (1234567890, "000-00-0000", "1234-56-7890"),
    (930, "00:00", "09:30"),
    (12, r"\A000", "A012"),
    (12, '"MRN "000" b"', "MRN 012 b"),
    (12, '"0;0"000', "0;0012"),
    (7, "[Red]000", "007"),
    (7, "[$-407]000", "007"),
    (7, "000_)", "007"),
    (7, "* 000", "007"),
    (7, "@", "7"),
    (7, "General", "7"),
    (7.0, "STANDARD", "7"),
    (0.5, "General", "0.5"),
    # The first section is for what has none of its own.
    (7, "000;0", "007"),
    (0, "000;0", "000"),
    (0, "000;0;00", "00"),
    (7, "000;0;00", "007"),
    (1, "000;0;00", "001"),
    (7, "000;;", "007"),
    (0, "000;;", "000"),
    (-7, "000;General", "-7"),
    (-7, "General;", "-7"),
    (-0.5, "0%;0.0%", "-50.0%"),
    # Numbers that are shown as numbers.
    (1234567, "#,##0", "1,234,567"),
    (1234.5, "#,##0.00", "1,234.50"),
    (12345.678, "0.00", "12345.68"),
    (1234, "_(* #,##0_);_(* (#,##0)", "1,234"),
    (0.25, "0.0%", "25.0%"),
    (123456, "0.0E+00", "1.2E+05"),
    (10**15, "0", "1.00000000000000E+15"),
    (-(10**15), "General", "-1.00000000000000E+15"),
    (10**15 - 1, "0", "999999999999999"),
    # What dicomove does not know.
    (-7, "000", "####"),
    (1.5, "0 ?/?", "####"),
    (1.5, "0 0/0", "####"),
    (12024, "00/0000", "####"),
    (1234567, "0,", "####"),
    (7, '"seven"', "####"),
    (7, "dd", "####"),
    (7, "$0", "####"),
    (7, "", "####"),
]


@pytest.mark.parametrize(("value", "number_format", "seen"), FORMATS)
def test_a_number_as_the_spreadsheet_shows_it(value: float, number_format: str, seen: str) -> None:
    assert shown(value, number_format) == seen


WITH_TIME = dt.datetime(2024, 1, 5, 9, 30, 0, 500_000)  # noqa: DTZ001 (a cell has no zone)
MIDNIGHT = dt.datetime(2024, 1, 5)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("cell", "label", "written"),
    [
        (b" 000123\0", "PatientID", "000123"),
        ("Müller".encode(), "arm", "Müller"),
        ("Müller".encode("latin-1"), "arm", "M\ufffdller"),
        (None, "PatientID", ""),
        (0.5, "PatientID", "0.5"),
        (123.0, "PatientID", "123"),
        (2.0**60, "PatientID", "1.15292150460685E+18"),
        (2**60, "PatientID", "1152921504606846976"),
        (Shown(0, ""), "PatientID", "0"),
        (Shown(7, "007"), "arm", "007"),
        (Shown(7, "7 €"), "arm", "7"),
        (Shown(7, "007"), "SeriesNumber", "007"),
        (WITH_TIME, "StudyDate", "20240105"),
        (WITH_TIME, "StudyTime", "09:30:00.500000"),
        (WITH_TIME, "PatientID", "2024-01-05 09:30:00"),
        (MIDNIGHT, "PatientID", "2024-01-05 00:00:00"),
        (dt.date(2024, 1, 5), "AccessionNumber", "2024-01-05 00:00:00"),
        (dt.date(2024, 1, 5), "arm", "2024-01-05"),
        (MIDNIGHT, "arm", "2024-01-05"),
        (WITH_TIME, "arm", "2024-01-05T09:30:00.500000"),
        (dt.time(9, 30), "StudyTime", "09:30:00"),
        (dt.timedelta(hours=9, minutes=30), "StudyTime", "09:30:00"),
        (dt.timedelta(), "StudyTime", "00:00:00"),
        (dt.timedelta(days=1), "arm", "1 day, 0:00:00"),
        (dt.timedelta(hours=-1), "arm", "-1 day, 23:00:00"),
    ],
)
def test_the_text_of_a_cell(cell: object, label: str, written: str) -> None:
    assert cell_text(cell, label) == written


@pytest.mark.parametrize(
    ("cell", "label", "said"),
    [
        ("#N/A", "AccessionNumber", "an error of a spreadsheet"),
        (b"#N/A", "arm", "an error of a spreadsheet"),
        ("1.234", "PatientID", "a point that may separate thousands"),
        (Shown(7, "007"), "PatientID", None),
        (Shown(7, "7"), "PatientID", "stored as a number, leading zeros may be lost"),
        (7, "PatientID", "stored as a number, leading zeros may be lost"),
        (Shown(1234, "1,234"), "PatientID", "stored as a number, and shown with thousands separators"),
        (Shown(7, "####"), "PatientID", "stored as a number, and shown with #### in the place of a value "
                                        "(a column that was too narrow?)"),
        (0.5, "arm", None),
        (Shown(2.0**60, "####"), "PatientName", "#### in the place of a value (a column that was too narrow?)"),
        (Shown(2.0**60, "####"), "arm", None),
        (10.0**15, "PatientID", "stored as a number, digits after the 15th are lost"),
        (10**15, "PatientID", "stored as a number, leading zeros may be lost"),
        (True, "PatientID", "stored as a truth value"),
        (MIDNIGHT, "PatientID", "stored as a date"),
        (dt.date(2024, 1, 5), "StudyInstanceUID", "stored as a date"),
        (dt.time(9, 30), "PatientID", "stored as a time"),
        (dt.timedelta(hours=9), "PatientID", "stored as a time"),
        (("1",), "PatientID", "a list, or another structure of a program"),
        (("1",), "StudyInstanceUID", "stored as a tuple"),
        (("1",), "arm", None),
        (dt.date(2024, 1, 5), "StudyDate", None),
        (WITH_TIME.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))), "StudyDate",
         "a moment in the time zone UTC+01:00: its day there was taken"),
        (20240105, "StudyDate", None),
        (2024, "StudyDate", "stored as a number, leading zeros may be lost"),
        (2024.015, "StudyDate", "stored as a number, leading zeros may be lost"),
        (45296, "StudyDate", "a date as the number of its day"),
        (None, "PatientID", None),
    ],
)  # fmt: skip
def test_remarks_on_a_cell(cell: object, label: str, said: str | None) -> None:
    assert cell_problem(cell, cell_text(cell, label), label) == said


def test_a_sheet_has_the_rows_that_are_not_empty() -> None:
    cells = Cells(
        {(1, 1): "PatientID", (1, 3): "arm", (3, 1): "7", (4, 2): " ", (5, 3): "A", (9, 9): None},
        problems={(3, 2): "an error"},
        merged=[Range(7, 8, 1, 2), Range(3, 5, 1, 1)],
        hidden={2, 5},
    )
    assert cells.as_grid("Cohort", is_hidden=False) == Grid(
        rows=[["PatientID", "", "arm"], ["7", "", ""], ["7", " ", ""], ["7", "", "A"]],
        lines=[1, 3, 4, 5],
        name="Cohort",
        problems={(1, 1): "an error"},
        merged=frozenset({(2, 0), (3, 0)}),
        hidden=frozenset({3}),
    )


def test_a_part_of_a_sheet_keeps_what_is_known_of_its_rows() -> None:
    grid = Grid(
        rows=[["a"], ["b"], ["c"]],
        lines=[1, 3, 7],
        problems={(0, 0): "first", (2, 0): "last"},
        merged=frozenset({(0, 0), (2, 0)}),
        hidden=frozenset({0, 2}),
    )
    assert grid.only([2, 1]) == Grid(
        rows=[["c"], ["b"]],
        lines=[7, 3],
        problems={(0, 0): "last"},
        merged=frozenset({(0, 0)}),
        hidden=frozenset({0}),
    )
    assert Grid(rows=[["a"], ["b"]]).only([1]) == Grid(rows=[["b"]])
