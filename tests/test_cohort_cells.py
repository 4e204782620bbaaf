"""Rare cells of files: what a person sees beside a value is not part of it, and nothing ends with a traceback."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from dicomove.cohort import read_cohort
from dicomove.cohort.key_values import criterion
from dicomove.errors import CohortError
from tests.spreadsheets import ods, ods_cell, read

HEADERS = ["mrn", "StudyTime", "arm", "dead", "share"]


def test_a_comment_at_a_cell_of_ods_is_not_part_of_the_identifier(tmp_path: Path) -> None:
    commented = ods_cell("0007<office:annotation><text:p>was 0008</text:p></office:annotation>")
    spaced = ods_cell("a<text:tab/>b<text:line-break/>c<text:span>d</text:span>")
    rows, said = read(ods(tmp_path, HEADERS, [commented, ods_cell(), spaced]))
    assert rows[0]["PatientID"] == "0007"
    assert rows[0]["arm"].split() == ["a", "b", "cd"]
    assert said == ""


def test_times_percentages_and_truths_of_ods(tmp_path: Path) -> None:
    cell = '<table:table-cell office:value-type="{}" office:{}-value="{}"><text:p>{}</text:p></table:table-cell>'
    time, true = cell.format("time", "time", "PT08H30M00S", "8:30"), cell.format("boolean", "boolean", "true", "WAHR")
    rows, _ = read(
        ods(tmp_path, HEADERS, [ods_cell("7"), time, ods_cell("x"), true, ods_cell("50%", "percentage", value="0.5")])
    )
    assert rows[0] == {"PatientID": "7", "StudyTime": "08:30:00", "arm": "x", "dead": "True", "share": "0.5"}


def test_a_broken_xlsb_is_a_cohort_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.xlsb"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.bin", b"\x83\x01\x00 and then nothing")
    with pytest.raises(CohortError, match="cannot be read"):
        read_cohort(path)


@pytest.mark.parametrize("value", ["2200-0600", "22:00-06:00", "10:00:30-10:00:29"])
def test_a_range_of_times_that_ends_before_it_begins_says_how_to_write_it(value: str) -> None:
    with pytest.raises(ValueError, match="over midnight, write two rows"):
        criterion(value, "StudyTime")
