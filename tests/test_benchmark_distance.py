"""`benchmarks.distance`: what its rows say together, and that it runs, in a miniature."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.distance.__main__ import options
from benchmarks.distance.contestants import AUTO, ONE
from benchmarks.distance.report import markdown
from benchmarks.distance.results import Results, Row, read, write
from benchmarks.distance.wire import missing
from tests import servers


def row(contestant: str, number: int, seconds: float, **more: object) -> Row:
    values: dict[str, object] = {
        "kind": "ct", "delay_ms": 5.0, "mbit_per_s": 0.0, "contestant": contestant, "round": number, "studies": 2,
        "instances": 80, "arrived": 80, "changed": 0, "bytes": 80 << 19, "seconds": seconds, "cpu_s": 0.5,
        "round_trip_ms": 10.1, "others_cores": 0.2, "load": 0.5, "reason": "",
    }  # fmt: skip
    return Row(**{**values, **more})  # type: ignore[arg-type]


def test_rows_are_compared_within_their_round() -> None:
    results = Results([row(ONE, 0, 4.0), row(ONE, 1, 8.0), row(AUTO, 0, 1.0), row(AUTO, 1, 4.0), row(AUTO, 2, 0.1)])
    ratio = results.ratio("ct", 0.0, 5.0, AUTO, ONE)
    assert ratio
    assert list(ratio.values) == [4.0, 2.0]
    text = markdown(results, "today")
    assert "- CT: 3.00 (2.00 to 4.00) times, reached. Round by round: 4.00, 2.00." in text
    assert f"| {AUTO} | 80 (20 to 800) |" in text


def test_the_goal_is_judged_for_each_kind() -> None:
    slow = [row(ONE, 0, 4.0, kind="small"), row(AUTO, 0, 2.0, kind="small")]
    text = markdown(Results([row(ONE, 0, 4.0), row(AUTO, 0, 1.0), *slow]), "today")
    assert "- CT: 4.00 (4.00 to 4.00) times, reached." in text
    assert "- Small studies: 2.00 (2.00 to 2.00) times, **not reached**." in text


def test_the_goal_has_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["distance", "--goal", "--repeats", "3"])
    told = options()
    assert [entry.name for entry in told.contestants] == [ONE, AUTO]
    assert (told.delays, told.rates, told.kinds, told.repeats) == ([5.0], [None], ["ct", "small", "mixed"], 3)


@pytest.mark.parametrize("lost", [{"arrived": 79}, {"changed": 1}])
def test_a_contestant_that_loses_something_gets_no_number(lost: dict[str, object]) -> None:
    results = Results([row(ONE, 0, 4.0), row(AUTO, 0, 1.0, **lost)])
    assert results.rates("ct", 0.0, 5.0, AUTO) is None
    assert results.ratio("ct", 0.0, 5.0, AUTO, ONE) is None
    assert f"- ct, 5 ms, {AUTO}: " in markdown(results, "today")


def test_a_contestant_that_cannot_run_is_named_with_its_reason() -> None:
    results = Results([row(ONE, 0, 4.0), row("node-dicom-rs", -1, 0, reason="RuntimeError: npm and node are missing")])
    assert "- ct, 5 ms, node-dicom-rs: could not run. RuntimeError: npm and node are missing" in markdown(results, "")


def test_a_user_reads_how_long_a_thousand_studies_take() -> None:
    results = Results([row(ONE, 0, 4.0, delay_ms=1.0), row("sink", 0, 1.0, delay_ms=1.0)])
    text = markdown(results, "today")
    assert f"| {ONE} | 2 h 47 min | 20 |" in text  # 200,000 images at 20 per second
    assert "| sink | 0 h" not in text


def test_rows_are_kept_as_they_are(tmp_path: Path) -> None:
    rows = [row(ONE, 0, 4.25), row("DCMTK", -1, 0, reason='it said: "no", and ended')]
    write(rows, tmp_path / "distance.csv")
    assert list(read(tmp_path / "distance.csv")) == rows


@pytest.mark.timeout(300)
def test_it_moves_over_a_wire_and_leaves_nothing(tmp_path: Path) -> None:
    why_not = missing()
    if why_not:
        pytest.skip(f"a wire cannot be laid here: {why_not}")
    for program in ("Orthanc", "movescu", "storescp"):
        servers.program(program)
    scratch, output = tmp_path / "scratch", tmp_path / "output"
    scratch.mkdir()
    names = [ONE, "dicomove, 2 associations", "DCMTK tuned", "sink"]
    command = [
        *(sys.executable, "-m", "benchmarks.distance", "--delays", "2", "--rates", "unlimited", "--kinds", "small"),
        *("--studies", "4", "--repeats", "1", "--seconds", "0.1", "--contestants", *names),
        *("--scratch", str(scratch), "--output", str(output)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    rows = list(read(output / "distance.csv"))
    assert sorted(one.contestant for one in rows) == sorted(names)
    assert all(one.is_whole for one in rows), rows
    # An association, a study and an instance each take several round trips of 4 ms.
    assert all(one.seconds > one.studies * 3 * 0.004 for one in rows if one.contestant != "dicomove, 2 associations")
    assert not list(scratch.iterdir())
    assert (output / "distance.md").read_text() in done.stdout
