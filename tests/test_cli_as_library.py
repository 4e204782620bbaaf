"""The shell does what the library does: pipes, JSON, exit codes, criteria, plans, resuming, receiving."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cli import commands, main, tools
from dicomove.cli.main import parser
from dicomove.events import StudyReceived
from dicomove.receiver.studies import QuietStudies
from dicomove.store import JOURNAL_FILE, StudySize
from dicomove.testing import RunningPacs, Synthetic
from tests import forks, receiving
from tests.images import slices
from tests.servers import wait_until

Start = Callable[..., RunningPacs]
SMALL = Synthetic(studies=3, instances=2, size=64)
SHELL = forks.python("-c", "import sys; from dicomove.cli import main; sys.exit(main())")
COMMANDS = [
    "demo",
    "echo",
    "doctor",
    "find",
    "query",
    "plan",
    "move",
    "retrieve",
    "resume",
    "verify",
    "report",
    "receive",
    "index",
    "arrange",
    "convert",
]


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.csv"
    path.write_text("accession\n000001\n000003\n")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_fits_on_a_screen_and_has_an_example(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args([command, "--help"])
    shown = capfd.readouterr().out
    assert f"example: dicomove {command} " in shown
    assert len(shown.splitlines()) <= 48
    assert max(map(len, shown.splitlines())) <= 120


def test_every_command_is_in_the_completion(capfd: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh"):
        with pytest.raises(SystemExit):
            main(["--print-completion", shell])
        shown = capfd.readouterr().out
        assert all(command in shown for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("find coh", "cohort.csv"),
        ("move cohort.csv -o res", "results.csv"),
        ("plan cohort.csv --receive im", "images"),
        ("resume im", "images"),
        ("plan cohort.csv --method g", "get"),
    ],
)
def test_bash_completes_files_folders_and_words(
    words: str, completed: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    (tmp_path / "completion").write_text(capfd.readouterr().out)
    for name in ("cohort.csv", "results.csv"):
        (tmp_path / name).touch()
    (tmp_path / "images").mkdir()
    asked = "COMP_WORDS=(dicomove $*); COMP_CWORD=$#; _shtab_dicomove 2> /dev/null; echo ${COMPREPLY[*]}"
    command = ["bash", "-c", f"source completion; {asked}", "bash", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [completed]


def test_find_feeds_move_through_a_pipe(tmp_path: Path, cohort: Path) -> None:
    images = tmp_path / "images"
    with receiving.pacs({}, source=SMALL) as pacs:
        moving = [*SHELL, "move", "-", str(pacs), "--receive", str(images), "--method", "get"]
        with subprocess.Popen([*SHELL, "find", str(cohort), str(pacs)], stdout=subprocess.PIPE) as finding:
            moved = subprocess.run(moving, stdin=finding.stdout, capture_output=True, text=True, check=False)
    assert moved.returncode == 0, moved.stderr
    assert "Rows: 2 complete." in moved.stdout
    assert len(receiving.files(images)) == 4


def test_the_only_profile_is_the_pacs(
    tmp_path: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    profiles = tmp_path / "dicomove.toml"
    with receiving.pacs({}, source=SMALL) as pacs:
        profiles.write_text(f'[pacs.main]\naddress = "{pacs.address}"\n')
        command = forks.python("-m", "dicomove", "find", str(cohort))
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert pd.read_csv(io.StringIO(done.stdout))["outcome"].tolist() == ["matched"] * 2
        profiles.write_text(f'[pacs.main]\naddress = "{pacs.address}"\n[pacs.test]\naddress = "A@h:104"\n')
        assert main(["find", str(cohort)]) == 2
    assert "for a profile of dicomove.toml: main, test" in capfd.readouterr().err


def test_a_file_that_standard_output_is_sent_to_gets_the_table(tmp_path: Path, cohort: Path) -> None:
    with receiving.pacs({}, source=SMALL) as pacs, (tmp_path / "found.csv").open("w") as file:
        finding = [*SHELL, "find", str(cohort), str(pacs)]
        said = subprocess.run(finding, stdout=file, stderr=subprocess.PIPE, text=True, check=True).stderr
    assert "Rows: 2 matched." in said
    assert dm.read_cohort(tmp_path / "found.csv")["outcome"].tolist() == ["matched", "matched"]


def test_a_reader_that_has_read_enough_of_a_pipe(cohort: Path) -> None:
    with receiving.pacs({}, source=SMALL) as pacs:
        reading, writing = os.pipe()
        os.close(reading)
        finding = subprocess.run(
            [*SHELL, "find", str(cohort), str(pacs)], stdout=writing, stderr=-1, text=True, check=False
        )
        os.close(writing)
    assert finding.returncode == 1
    assert "pipe" not in finding.stderr.lower()


def test_a_table_as_json_and_as_csv_on_standard_output(
    rehearsal_pacs: Start, cohort: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs = rehearsal_pacs(SMALL)
    assert main(["find", str(cohort), str(pacs), "--json"]) == 0
    shown = capfd.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()]
    assert [row["AccessionNumber"] for row in rows] == ["000001", "000003"]
    assert "Rows: 2 matched." in shown.err
    assert main(["find", str(cohort), str(pacs), "-o", "-"]) == 0
    again = pd.read_csv(io.StringIO(capfd.readouterr().out), dtype=str)
    assert again["StudyInstanceUID"].tolist() == [row["StudyInstanceUID"] for row in rows]


def test_a_table_from_standard_input(
    rehearsal_pacs: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("accession\n000002\n"))
    assert main(["find", "-", str(rehearsal_pacs(SMALL))]) == 0
    assert "Rows: 1 matched." in capsys.readouterr().out


def test_json_feeds_a_command_as_csv_does(
    tmp_path: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tables = []
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SMALL) as pacs:
        for way in (["--json"], ["-o", "-"]):
            capfd.readouterr()
            assert main(["find", str(cohort), str(pacs), *way]) == 0
            monkeypatch.setattr("sys.stdin", io.StringIO(capfd.readouterr().out))
            assert main(["plan", "-", str(pacs), receiver.ae_title, "-o", str(tmp_path / "plan.csv")]) == 0
            tables.append(pd.read_csv(tmp_path / "plan.csv", dtype=str))
        pd.testing.assert_frame_equal(tables[0], tables[1])
        for wrong in ('{"mrn": ', "[1, 2]"):
            capfd.readouterr()
            monkeypatch.setattr("sys.stdin", io.StringIO(wrong))
            assert main(["find", "-", str(pacs)]) == 2
            assert "standard input: " in capfd.readouterr().err
    assert tables[0]["AccessionNumber"].tolist() == ["000001", "000003"]


def test_json_with_a_byte_order_mark(
    rehearsal_pacs: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = io.BytesIO('\ufeff{"accession": "000002"}\n'.encode())  # as PowerShell pipes it
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(given))
    assert main(["find", "-", str(rehearsal_pacs(SMALL))]) == 0
    assert "Rows: 1 matched." in capsys.readouterr().out


def test_a_column_that_is_there_twice_is_in_json_too(
    rehearsal_pacs: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "twice.csv").write_text("accession,note,note\n000001,a,b\n")
    pacs = rehearsal_pacs(SMALL)
    assert main(["retrieve", str(tmp_path / "twice.csv"), str(pacs), pacs.destination, "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["note"], found["note_2"], found["outcome"]) == ("a", "b", "complete")


def test_a_carriage_return_in_a_cell_does_not_end_its_row(
    rehearsal_pacs: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old.csv").write_text('accession,note\n000001,"a\rb"\n', newline="")
    pacs, results = rehearsal_pacs(SMALL), tmp_path / "results.csv"
    assert main(["find", str(tmp_path / "old.csv"), str(pacs), "-o", str(tmp_path / "found.csv")]) == 0
    assert main(["move", str(tmp_path / "found.csv"), str(pacs), pacs.destination, "-o", str(results)]) == 0
    assert "Rows: 1 complete." in capfd.readouterr().out
    assert dm.read_results(results)["note"].tolist() == ["a\rb"]
    assert main(["find", str(tmp_path / "old.csv"), str(pacs), "-o", "-"]) == 0
    assert '"a\rb"' in capfd.readouterr().out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("more", [[], ["--json"]])
@pytest.mark.parametrize("verb", ["find", "move", "retrieve"])
def test_a_full_disk_does_not_lose_the_table(
    verb: str, more: list[str], rehearsal_pacs: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs, path = rehearsal_pacs(SMALL), tmp_path / "studies.csv"
    receiving.studies(SMALL, 1).to_csv(path, index=False)
    destination = [] if verb == "find" else [pacs.destination]
    assert main([verb, str(path), str(pacs), *destination, *more, "-o", "/dev/full"]) == 1
    shown = capfd.readouterr()
    assert "--output /dev/full: No space left on device; the table follows on standard output" in shown.err
    assert receiving.studies(SMALL, 1)["StudyInstanceUID"][0] in shown.out
    assert ("matched" if verb == "find" else "complete") in shown.out


def test_query_by_criteria(rehearsal_pacs: Start, capsys: pytest.CaptureFixture[str]) -> None:
    pacs = rehearsal_pacs(SMALL)
    assert main(["query", str(pacs), "study_date=2024-01-01..2024-06-30", "modality=CT", "modality=MR"]) == 0
    assert "Rows: 2 matched." in capsys.readouterr().out
    assert main(["query", str(pacs), "modality=MR", "modality=XA", "--level", "series"]) == 1
    assert "Rows: 2 empty." in capsys.readouterr().out
    assert main(["query", str(pacs), "patient_name=*"]) == 0
    assert main(["query", str(pacs)]) == 2
    assert main(["query", str(pacs), "study_dat=2024"]) == 2
    assert "study_date" in capsys.readouterr().err


def test_find_at_scale(rehearsal_pacs: Start, cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pacs, journal = rehearsal_pacs(SMALL), tmp_path / "find.sqlite"
    cohort.write_text("accession\n1\n000003\n")
    command = ["find", str(cohort), str(pacs), "--concurrency", "2", "--journal", str(journal), "--max-age", "1 day"]
    assert main([*command, "--loose"]) == 0
    assert "Rows: 2 matched." in capsys.readouterr().out
    assert journal.exists()
    assert main(command) == 1


def test_exit_codes(rehearsal_pacs: Start, cohort: Path, tmp_path: Path) -> None:
    pacs = rehearsal_pacs(SMALL)
    assert main(["move", str(cohort), str(pacs), pacs.destination]) == 2  # accession numbers alone: find first
    assert main(["retrieve", str(cohort), str(pacs), pacs.destination]) == 0
    some = tmp_path / "some.csv"
    some.write_text("accession\n000001\n999998\n")
    assert main(["retrieve", str(some), str(pacs), pacs.destination]) == 1
    assert main(["retrieve", str(some), "PACS@127.0.0.1:1", "X"]) == 3
    assert main(["echo", "PACS@127.0.0.1:1"]) == 3


def test_a_plan(tmp_path: Path, cohort: Path, capfd: pytest.CaptureFixture[str]) -> None:
    studies = tmp_path / "studies.csv"
    with receiving.pacs({}, source=SMALL) as pacs:
        assert main(["find", str(cohort), str(pacs), "-o", str(studies)]) == 0
        capfd.readouterr()
        assert main(["plan", str(studies), str(pacs), "--hours", "20:00-06:00 UTC"]) == 0
    shown = capfd.readouterr().out
    assert "action" in shown
    assert "bytes_low" in shown


def test_a_run_is_resumed_from_its_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images = tmp_path / "images"
    rows = receiving.studies(SMALL, 3)
    with receiving.receiver(images) as receiver, receiving.pacs(receiver, source=SMALL) as pacs:
        first = dm.move(rows, pacs, receiver, progress=False, max_failures=None)
        assert first["outcome"].eq("complete").all()
        next(images.rglob("*.dcm")).unlink()
        port = receiver.port
    with receiving.pacs({receiver.ae_title: ("127.0.0.1", port)}, source=SMALL) as pacs:
        assert main(["resume", str(images), str(pacs), "--port", str(port)]) == 0
    assert "3 complete" in capfd.readouterr().out
    assert len(receiving.files(images)) == 6


def test_a_resumed_run_keeps_its_receiver(tmp_path: Path) -> None:
    images = tmp_path / "images"
    limits = dm.receiver.Limits(handshake=7)
    options: dict[str, Any] = {"allow": ["10.0.0.0/8"], "existing": "replace", "mislabelled": "keep"}
    options |= {"accept": "any", "quiet_period": 0.5, "min_free": 9, "limits": limits}
    rows = receiving.studies(SMALL, 2).assign(subject=["one", "two"])
    with receiving.pacs({}, source=SMALL) as pacs:
        with dm.Receiver(images, port=None, path="sub-{subject}/{SOPInstanceUID}.dcm", **options) as receiver:
            dm.move(rows, pacs, receiver, progress=False, method="get")
        first = dm.read_journal(images).attrs["run"]["options"]["receiver"]
        before = set(images.rglob("*.dcm"))
        next(images.rglob("*.dcm")).unlink()
        assert main(["resume", str(images), str(pacs)]) == 0
    again = dm.read_journal(images).attrs["run"]["options"]["receiver"]
    assert again == first | {**options, "limits": asdict(limits)}
    assert set(images.rglob("*.dcm")) == before
    dm.report(dm.read_journal(images / JOURNAL_FILE), tmp_path / "report.html")
    assert "subject}" not in (tmp_path / "report.html").read_text()


def _rewrite(journal: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Give the runs of a journal other options, as an earlier version kept them."""
    with closing(sqlite3.connect(journal)) as connection, connection:
        options = json.loads(connection.execute("SELECT options FROM runs").fetchone()[0])
        change(options)
        connection.execute("UPDATE runs SET options = ?", [json.dumps(options)])


def test_a_journal_that_keeps_only_the_path_of_its_receiver(tmp_path: Path) -> None:
    images, rows = tmp_path / "images", receiving.studies(SMALL, 2).assign(subject=["one", "two"])
    with receiving.pacs({}, source=SMALL) as pacs:
        with dm.Receiver(images, port=None, path="sub-{subject}/{SOPInstanceUID}.dcm") as receiver:
            dm.move(rows, pacs, receiver, progress=False, method="get")
        next(images.rglob("*.dcm")).unlink()
        _rewrite(images / JOURNAL_FILE, lambda options: options.pop("receiver"))
        dm.report(images / JOURNAL_FILE, tmp_path / "report.html")
        assert main(["resume", str(images), str(pacs)]) == 0
    assert len(list(images.glob("sub-*/*.dcm"))) == len(list(images.rglob("*.dcm"))) == 4
    assert "subject}" not in (tmp_path / "report.html").read_text()


def test_a_journal_that_does_not_keep_the_quiet_period_of_its_destination(tmp_path: Path) -> None:
    journal, rows = tmp_path / "run.sqlite", receiving.studies(SMALL, 2)
    with receiving.pacs({}, source=SMALL) as pacs:
        dm.move(rows, pacs, dm.Destination("ARCHIVE", ask=pacs), journal=journal, progress=False)
        _rewrite(journal, lambda options: options.pop("ask_quiet_period"))
        assert main(["resume", str(journal), str(pacs)]) == 0


@pytest.mark.parametrize("asked", [{"level": "PATIENT", "query_model": "PatientRoot"}, {"level": "STUDY"}])
def test_a_resumed_run_makes_the_same_requests(tmp_path: Path, asked: dict[str, Any]) -> None:
    images, series = tmp_path / "images", list(SMALL.instances_of_all())[::2]
    rows = pd.DataFrame(
        {
            "PatientID": [one.patient_id for one in series],
            **({} if asked["level"] == "PATIENT" else {"StudyInstanceUID": [one.study_instance_uid for one in series]}),
            **(
                {}
                if asked["level"] == "PATIENT"
                else {"SeriesInstanceUID": [one.series_instance_uid for one in series]}
            ),
        }
    )
    with receiving.pacs({}, source=SMALL) as pacs:
        with dm.Receiver(images, port=None) as receiver:
            first = dm.move(rows, pacs, receiver, progress=False, method="get", **asked)
        assert set(first["outcome"]) == {"complete"}
        assert main(["resume", str(images), str(pacs)]) == 0
    again = dm.read_journal(images / JOURNAL_FILE)
    assert again["resumed"].all()
    assert again["outcome"].tolist() == first["outcome"].tolist()


def test_a_run_with_several_receivers_is_not_resumed_with_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        both = [stack.enter_context(dm.Receiver(tmp_path / name, ae_title=name, port=0)) for name in ("R1", "R2")]
        studies = pd.DataFrame({"StudyInstanceUID": ["1.2.3"]})
        dm.move(studies, dm.Pacs("X@127.0.0.1:1"), both, verify="arrivals", progress=False)
    assert main(["resume", str(tmp_path / "R1")]) == 2
    assert "the run had several receivers (R1, R2)" in capfd.readouterr().err


def test_a_resumed_run_keeps_its_options(tmp_path: Path) -> None:
    images, rows = tmp_path / "images", receiving.studies(SMALL, 3)
    options: dict[str, Any] = {
        "method": "get",
        "delay": 0.01,
        "hours": "00:00-24:00 UTC",
        "verify": "arrivals",
        "concurrency": 2,
    }
    with receiving.pacs({}, source=SMALL) as pacs:
        with dm.Receiver(images, port=None) as receiver:
            dm.move(rows, pacs, receiver, progress=False, **options)
        next(images.rglob("*.dcm")).unlink()
        assert main(["resume", str(images), str(pacs)]) == 0
        resumed = dm.read_journal(images / JOURNAL_FILE).attrs["run"]["options"]
        assert {name: resumed[name] for name in options} == options
        assert main(["resume", str(images), str(pacs), "--concurrency", "auto"]) == 0
        assert dm.read_journal(images / JOURNAL_FILE).attrs["run"]["options"]["concurrency"] == "auto"
    assert len(receiving.files(images)) == 6


def test_retrieve_and_query_search_as_find_does(
    rehearsal_pacs: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pacs, cohort, kept = rehearsal_pacs(SMALL), tmp_path / "cohort.csv", tmp_path / "answers.sqlite"
    cohort.write_text("accession\n1\n 3\n")
    searching = ["--find-concurrency", "2", "--find-journal", str(kept), "--max-age", "1 day", "--loose"]
    asked = ["retrieve", str(cohort), str(pacs), "--receive", str(tmp_path / "images"), "--method", "get"]
    assert main([*asked, *searching]) == 0
    assert "2 complete" in capsys.readouterr().out
    assert kept.is_file()
    answers = tmp_path / "query.sqlite"
    assert main(["query", str(pacs), "patient_id=SYN*", "--journal", str(answers), "--concurrency", "2"]) == 0
    assert "3 matched" in capsys.readouterr().out
    assert answers.is_file()


def test_a_report(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path / "images") as receiver, receiving.pacs(receiver, source=SMALL) as pacs:
        dm.move(receiving.studies(SMALL, 3), pacs, receiver, progress=False)
    assert main(["report", str(tmp_path / "images"), "-o", str(tmp_path / "page.html")]) == 0
    assert "<html" in (tmp_path / "page.html").read_text().lower()


def test_more_than_a_thousand_studies_need_consent(
    rehearsal_pacs: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs, path = rehearsal_pacs(SMALL), tmp_path / "studies.csv"
    monkeypatch.setattr(commands, "_MANY_STUDIES", 2)
    receiving.studies(SMALL, 3).to_csv(path, index=False)
    command = ["move", str(path), str(pacs), pacs.destination]
    assert main(command) == 2
    assert "Give --yes if that is meant" in capfd.readouterr().err
    assert main([*command, "--max-studies", "3"]) == 0
    assert main([*command, "--yes"]) == 0


def test_no_answer_is_no_consent(
    rehearsal_pacs: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs, path = rehearsal_pacs(SMALL), tmp_path / "studies.csv"
    monkeypatch.setattr(commands, "_MANY_STUDIES", 2)
    receiving.studies(SMALL, 3).to_csv(path, index=False)
    for answer, code in (("", 2), ("n\n", 2), ("y\n", 0)):
        terminal = io.StringIO(answer)
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", terminal)
        assert main(["move", str(path), str(pacs), pacs.destination, "-o", "-"]) == code
        shown = capfd.readouterr()
        assert "Go on? [y/N]" in shown.err
        assert shown.out.startswith("StudyInstanceUID" if code == 0 else "")


def test_receive_prints_a_line_for_each_study(tmp_path: Path) -> None:
    images = tmp_path / "images"
    command = [*SHELL, "receive", str(images), "--port", "0", "--quiet", "0.5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stdout
        port = int(process.stderr.readline().rstrip().rpartition("port ")[2])
        with receiving.pacs({"DICOMOVE": ("127.0.0.1", port)}, source=SMALL) as pacs:
            assert (
                dm.move(receiving.studies(SMALL, 2), pacs, "DICOMOVE", progress=False)["outcome"].eq("complete").all()
            )
        lines = [process.stdout.readline() for _ in range(2)]
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
    assert all("1 series, 2 instances" in line for line in lines)
    assert len(receiving.files(images)) == 4


def test_on_study(tmp_path: Path) -> None:
    told: list[StudyReceived] = []
    options = {"accept": "any", "on_study": told.append, "quiet_period": 0.3}
    with receiving.receiver(tmp_path, **options) as receiver:
        receiving.send(receiver, receiving.instance("1.2.3", "1.2.3.4.5"), receiving.instance("1.2.3", "1.2.3.4.6"))
        wait_until(lambda: bool(told), 20)
        receiving.send(receiver, receiving.instance("1.2.3", "1.2.3.4.7"), receiving.instance("1.2.9", "1.2.9.4.7"))
    assert [(one.study_instance_uid, one.instances) for one in told] == [("1.2.3", 2), ("1.2.3", 3), ("1.2.9", 1)]


def test_a_study_is_told_once_it_is_quiet() -> None:
    quiet = QuietStudies(5)
    quiet.skip({"1.1": StudySize(1, 9, 9)})
    one, two = StudySize(1, 1, 10), StudySize(1, 2, 20)
    assert quiet.update({"1.1": StudySize(1, 9, 9), "1.2": one}, 0) == []
    assert quiet.update({"1.2": two}, 4) == []
    assert quiet.update({"1.2": two}, 8.9) == []
    assert [study.instances for study in quiet.update({"1.2": two}, 9)] == [2]
    assert quiet.update({"1.2": two}, 99) == []
    assert [study.instances for study in quiet.update({"1.3": one}, 100, at_end=True)] == [1]


def test_series_names_and_nifti(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, series, out = tmp_path / "images", tmp_path / "series.csv", tmp_path / "nifti"
    slices(images / "a", [0, 2, 4], SeriesNumber="3")
    assert main(["index", str(images)]) == 0
    assert "Found: 1 rows, 1 volumes, 0 with files that cannot be read." in capsys.readouterr().out
    slices(images / "b", [0, 2, 8], SeriesNumber="4")
    assert main(["index", str(images), "-o", str(series), "--more-key", "KVP"]) == 0
    assert dm.read_cohort(series)[["KVP", "is_volume"]].to_numpy().tolist() == [["120", "True"], ["120", "False"]]
    capsys.readouterr()
    assert main(["convert", str(series), str(out), "{SeriesNumber}", "--folder", str(images)]) == 1
    shown = capsys.readouterr().out
    assert "Series: 1 converted, 1 no_volume." in shown
    assert "1 no_volume: slices are missing between the first and the last: 2" in shown
    convert = ["convert", str(images), str(out), "{SeriesNumber}", "--json"]
    assert main([*convert, "--despite", "gaps"]) == 0
    shown = capsys.readouterr().out
    rows = [json.loads(line) for line in shown.splitlines()]
    assert [(row["outcome"], row["resumed"]) for row in rows] == [
        ("converted", True),
        ("converted_with_warning", False),
    ]
    arrange = ["arrange", str(images), str(tmp_path / "target"), "{SeriesNumber}/{InstanceNumber}.dcm"]
    assert main(arrange) == 0
    shown = capsys.readouterr().out
    assert "Names: 6 made." in shown
    assert "3/1.dcm" in shown
    monkeypatch.setattr(tools, "_ROWS", 2)
    assert main(arrange) == 0
    assert "... and 4 more rows: -o FILE writes all\nNames: 6 kept." in capsys.readouterr().out
    assert main([*arrange[:-1], "{SeriesNumber}.dcm"]) == 2
    assert main([*arrange, "--cohort", str(tmp_path / "nothing.sqlite")]) == 3
    (tmp_path / "empty").mkdir()
    for command in ("index", "convert"):
        assert main([command, str(tmp_path / "empty"), *([str(out)] if command == "convert" else [])]) == 3
