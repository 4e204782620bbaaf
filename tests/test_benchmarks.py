"""The benchmarks run, in a miniature."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.scale.report import markdown
from benchmarks.scale.run import Measured, require
from tests import forks

ROOT = Path(__file__).parents[1]


def measured(rows: int, seconds: float, *, concurrency: int = 1, shown: bool = False) -> Measured:
    return Measured(rows, concurrency, shown, seconds, seconds, 1.0, 100.0, 500 * rows, 0.1)


@pytest.mark.timeout(120)
def test_scale(tmp_path: Path) -> None:
    sizes = ["--rows", "20", "40", "--files", "3", "--repeats", "1"]
    command = forks.python("-m", "benchmarks.scale", *sizes, "--output", str(tmp_path))
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    found = json.loads((tmp_path / "scale.json").read_text())
    assert [(one["rows"], one["concurrency"], one["shown"]) for one in found["rows"]] == [
        (20, 1, False),
        (20, 4, False),
        (40, 1, False),
        (40, 1, True),
        (40, 4, False),
    ]
    assert all(one["seconds"] > 0 and one["journal_bytes"] > 0 for one in found["rows"])
    assert [one["rows"] for one in found["files"]] == [3]
    assert "times as long as one of 20" in (tmp_path / "scale.md").read_text()


@pytest.mark.timeout(120)
def test_gaps() -> None:
    sizes = ["--studies", "6", "--instances", "2", "--kib", "1", "--rounds", "1"]
    command = forks.python("-m", "benchmarks.gaps", *sizes)
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert "| one association | 5 |" in done.stdout


@pytest.mark.timeout(120)
def test_the_panel() -> None:
    command = forks.python("-m", "benchmarks.panel", "--rows", "20", "--rounds", "2")
    done = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert "| the panel |" in done.stdout
    assert "With the panel, the kernel needs" in done.stdout


def test_ratios_of_scale_compare_runs_of_one_round() -> None:
    # The second round is twice as slow throughout: each ratio is that of its round, and so the spread is none.
    runs = [measured(10, 1.0), measured(100, 20.0), measured(10, 2.0), measured(100, 40.0)]
    shown = [measured(100, 30.0, shown=True), measured(100, 60.0, shown=True)]
    text = markdown([*runs, *shown], [])
    assert "a row of 100 takes 2.00 (2.00 to 2.00) times as long as one of 10" in text
    assert "100 rows take 1.50 (1.50 to 1.50) times as long" in text
    assert "| 10 | 1 | 150.00 (100.00 to 200.00) |" in text


def test_one_size_has_no_ratio() -> None:
    assert "as long as one of" not in markdown([measured(10, 1.0)], [])


def test_the_speed_of_something_else_is_not_reported() -> None:
    with pytest.raises(SystemExit, match="not all rows are complete"):
        require(pd.DataFrame({"outcome": ["complete", "failed"]}), "complete")
