from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cli import main
from dicomove.testing import RunningPacs, Synthetic

Start = Callable[..., RunningPacs]
SMALL = Synthetic(studies=3, instances=2, size=64)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.csv"
    path.write_text("accession,arm\n000001,a\n000003,b\n999999,a\n")
    return path


def test_the_demo_shows_every_kind_of_thing_that_happens(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    shown = capfd.readouterr().out
    assert "Rows: 10 complete, 2 invalid, 1 empty." in shown
    assert "27 images arrived" in shown
    assert "What to do next" in shown


def test_echo_says_that_the_pacs_is_there(rehearsal_pacs: Start, capfd: pytest.CaptureFixture[str]) -> None:
    pacs = rehearsal_pacs(SMALL)
    assert main(["echo", str(pacs)]) == 0
    assert "0x0000" in capfd.readouterr().out


def test_find_and_move_write_tables(rehearsal_pacs: Start, cohort: Path, tmp_path: Path) -> None:
    pacs = rehearsal_pacs(SMALL)
    studies, results = tmp_path / "studies.csv", tmp_path / "results.csv"
    assert main(["find", str(cohort), str(pacs), "-o", str(studies)]) == 1
    assert main(["move", str(studies), str(pacs), pacs.destination, "-o", str(results), "--concurrency", "2"]) == 1
    table = dm.read_cohort(results)
    assert table["outcome"].tolist() == ["complete", "complete", "invalid"]
    assert table["arm"].tolist() == ["a", "b", "a"]
    assert table["AccessionNumber"].tolist() == ["000001", "000003", "999999"]


def test_the_exit_code_is_0_when_every_row_is_complete(rehearsal_pacs: Start, tmp_path: Path) -> None:
    pacs = rehearsal_pacs(SMALL)
    path = tmp_path / "studies.csv"
    uids = dict.fromkeys(one.study_instance_uid for one in SMALL.instances_of_all())
    pd.DataFrame({"StudyInstanceUID": list(uids)}).to_csv(path, index=False)
    assert main(["move", str(path), str(pacs), pacs.destination]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["echo", "nowhere"], "is no address of a PACS"),
        (["echo", "PACS@127.0.0.1:1"], "no connection"),
        (["find", "absent.csv", "PACS@127.0.0.1:1"], "absent.csv"),
        (["demo", "--fault", "no-pending"], "no-pendings"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capfd.readouterr().err
    assert error.startswith("dicomove: ")
    assert said in error


def test_it_is_a_command() -> None:
    command = Path(sys.executable).parent / "dicomove"
    assert "COMMAND" in subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
