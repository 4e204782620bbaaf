"""What a person reads who has made a mistake in a shell: what is wrong, where, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from dicomove.cli import main
from dicomove.cli.tables import brief
from dicomove.testing import RunningPacs, Synthetic

NOWHERE = "X@127.0.0.1:1"
SMALL = Synthetic(studies=2, instances=1, size=64)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cohort.csv").write_text("accession\n000001\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "odd.csv").write_text("a,b\n1,2,3\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("find missing.csv X@h:1", "missing.csv: No such file"),
        ("find empty.csv X@h:1", "empty.csv: the file is empty"),
        ("find odd.csv X@h:1", "odd.csv: line 2 has 3 fields"),
        (
            "find cohort.csv X@h:1 --max-age 1day",
            "--max-age 1day is the age of answers in a journal: name it with --journal",
        ),
        ("find cohort.csv X@h:1 --within 3days", "--within 3days belongs to --matches nearest"),
        ("find cohort.csv X@h:1 --matches nearest", "--matches nearest needs the column StudyDate"),
        ("find cohort.csv X@h:1 --concurrency 0", "--concurrency 0: a whole number"),
        ("query X@h:1 modality=CT level=SERIES", "level is an option, and not a criterion: write --level SERIES"),
        ("query X@h:1 study_date=..", "study_date has no value"),
        ("query X@h:1 modality=", "modality has no value"),
        ("query X@h:1 CT", "X@h:1 CT: these are more words than the command takes: write a criterion as NAME=VALUE"),
        ("index cohort.csv", "give --folder"),
        ("find cohort.csv X@h:1 -o found.xlsx", "--output found.xlsx: the table is written as CSV: give it another"),
        ("find cohort.csv X@h:1 -o found.json", "--output found.json: the table is written as CSV"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_shell(words: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    shown = capfd.readouterr().err
    assert said in shown
    assert "[Errno" not in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "find cohort.csv X@h:1 --levl STUDY",
            "dicomove find: error: unrecognized arguments: --levl STUDY; do you mean --level?",
        ),
        ("find cohort.csv X@h:1 --frobnicate", "unrecognized arguments: --frobnicate\n"),
        ("move cohort.csv X@h:1 Y --retry -1", "argument --retry: '-1' is not a whole number from 1"),
        (
            "move cohort.csv X@h:1 Y --concurrency two",
            "argument --concurrency: 'two' is neither a whole number nor auto",
        ),
    ],
)
def test_an_option_that_cannot_be(words: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert said in capfd.readouterr().err


@pytest.mark.parametrize(
    ("output", "said"), [("nowhere/found.csv", "there is no folder nowhere"), (".", "this is a folder, and not a file")]
)
def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(
    output: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["find", "cohort.csv", NOWHERE, "-o", output]) == 2
    shown = capfd.readouterr()
    assert f"--output {output}: {said}" in shown.err
    assert "unreachable" not in shown.out + shown.err


def test_no_control_character_reaches_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "odd.csv").write_text("PatientID,AccessionNumber\n7,A\x1b[2J\x9b1\n", encoding="utf-8")
    assert main(["find", "odd.csv", NOWHERE]) == 1
    shown = capsys.readouterr()
    assert "A?[2J?1" in shown.out
    assert not {"\x1b", "\x9b"}.intersection(shown.out + shown.err)
    assert main(["find", "odd.csv", NOWHERE, "-o", "found.csv"]) == 1
    assert "A\x1b[2J\x9b1" in (folder / "found.csv").read_text(encoding="utf-8")


def test_json_goes_to_the_file_of_the_option(folder: Path, rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    assert main(["find", "cohort.csv", str(rehearsal_pacs(SMALL)), "--json", "-o", "found.json"]) == 0
    assert json.loads((folder / "found.json").read_text())["AccessionNumber"] == "000001"


def test_an_advice_names_the_options_of_the_shell(
    capfd: pytest.CaptureFixture[str], rehearsal_pacs: Callable[..., RunningPacs]
) -> None:
    pacs = str(rehearsal_pacs(SMALL))
    assert main(["find", "cohort.csv", pacs, "-o", "found.csv"]) == 0
    assert main(["move", "found.csv", pacs, "REHEARSAL_STORE", "--max-per-row", "0"]) in (1, 2)
    shown = capfd.readouterr()
    assert "--max-per-row" in shown.out + shown.err
    assert "max_per_row" not in shown.out + shown.err


def test_a_report_on_standard_output(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "results.csv").write_text("PatientID,outcome\nÄ7,complete\n", encoding="utf-8")
    assert main(["report", "results.csv", "-o", "-", "--identify"]) == 0
    page = capfd.readouterr().out
    assert page.startswith("<!doctype html>")
    assert page.endswith("</html>\n")
    assert not (folder / "-").exists()


def test_a_table_of_paths_fits_on_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    path = f"1.2.840.{'9' * 40}/1.3.12.{'8' * 40}/1.2.3.4.dcm"
    brief(pd.DataFrame({"path": [path, "sub-01/anat.nii.gz"]}), ["path"])
    shown = capsys.readouterr().out.split()
    assert shown == ["path", "0", "…999999999999/…888888888888/1.2.3.4.dcm", "1", "sub-01/anat.nii.gz"]


def test_a_table_without_rows_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    brief(pd.DataFrame({"path": []}), ["path"])
    assert capsys.readouterr().out == ""
