from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cli import main
from dicomove.cli.tables import advice as _advice
from dicomove.testing import RunningPacs, Synthetic, faults
from dicomove.testing.faults.base import Request
from tests import forks, receiving, servers

Start = Callable[..., RunningPacs]
SMALL = Synthetic(studies=3, instances=2, size=64)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    path = tmp_path / "cohort.csv"
    path.write_text("accession,arm\n000001,a\n000003,b\n999998,a\n")
    return path


def test_the_demo_shows_every_kind_of_thing_that_happens(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    shown = capfd.readouterr().out
    assert "Rows: 9 complete, 2 empty, 1 invalid." in shown
    assert "results = retrieve(cohort, pacs, receiver)" in shown
    assert "verdicts(cohort, results)" in shown
    assert "Files: 27 ok." in shown
    assert "What to do next" in shown
    assert "<NA>" not in shown
    assert "nan" not in shown


def test_the_demo_shows_a_fault_and_keeps_the_images(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cohort, images = tmp_path / "cohort.csv", tmp_path / "images"
    cohort.write_text("accession\nA0001\nA0010\n")
    assert main(["demo", str(cohort), "--fault", "stores-another-study", "--receive", str(images)]) == 0
    shown = capfd.readouterr().out
    assert "Rows: 2 complete." in shown
    assert "in quarantine: unrequested" in shown
    assert main(["verify", str(images)]) == 0
    assert len(receiving.files(images)) == 8


def test_the_demo_ends_though_nothing_came(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cohort = tmp_path / "cohort.csv"
    cohort.write_text("accession\nA0010\n")
    assert main(["demo", str(cohort), "--fault", "false-success"]) == 0
    shown = capfd.readouterr().out
    assert "Rows: 1 failed." in shown
    assert "Files: none." in shown


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"dicomove {dm.__version__}\n"


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
    assert table["outcome"].tolist() == ["complete", "complete", "empty"]
    assert table["arm"].tolist() == ["a", "b", "a"]
    assert table["AccessionNumber"].tolist() == ["000001", "000003", "999998"]


def test_the_exit_code_is_0_when_every_row_is_complete(rehearsal_pacs: Start, tmp_path: Path) -> None:
    pacs = rehearsal_pacs(SMALL)
    path = tmp_path / "studies.csv"
    uids = dict.fromkeys(one.study_instance_uid for one in SMALL.instances_of_all())
    pd.DataFrame({"StudyInstanceUID": list(uids)}).to_csv(path, index=False)
    assert main(["move", str(path), str(pacs), pacs.destination]) == 0


class SomeOfAStudyFail(faults.SomeFail):
    """... and come when they are asked for by themselves."""

    def concerns(self, request: Request) -> bool:
        return super().concerns(request) and request.level == "STUDY"


def test_move_receives_here(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    studies, results, images = tmp_path / "studies.csv", tmp_path / "results.csv", tmp_path / "images"
    uids = receiving.studies(SMALL, 3).iloc[:, 0].tolist()
    pd.DataFrame({"StudyInstanceUID": [*uids, "1.2.3"]}).to_csv(studies, index=False)
    port = servers.free_port()
    where = {"RESEARCH": ("127.0.0.1", port)}
    with receiving.pacs(where, SomeOfAStudyFail(studies=(uids[2],)), source=SMALL) as pacs:
        receive = ["--receive", str(images), "--port", str(port), "--ae-title", "RESEARCH"]
        assert main(["move", str(studies), str(pacs), *receive, "-o", str(results)]) == 1
        told = capfd.readouterr()
        assert "Rows: 2 complete, 1 partial, 1 empty." in told.out
        assert "the PACS's administrator enters the AE title RESEARCH, host " in told.err
        assert f", port {port}\n" in told.err
        advertised = ["--advertise", "node7.hospital.example:30104"]
        assert main(["doctor", str(pacs), *receive, *advertised]) == 0
        assert "host node7.hospital.example, port 30104" in capfd.readouterr().err
        table = dm.read_cohort(results)
        assert table["received"].tolist() == ["2", "2", "1", "0"]
        table[:3].to_csv(studies, index=False)
        assert main(["move", str(studies), str(pacs), *receive]) == 0
    shown = capfd.readouterr().out
    assert "Rows: 3 complete (2 of them from an earlier run)." in shown
    assert "received" in shown
    assert "missing" in shown
    assert receiving.is_free(port)
    assert main(["verify", str(images)]) == 0
    assert len(receiving.files(images)) == 6


@pytest.mark.parametrize("method", ["get", "auto"])
def test_c_get_in_the_shell(tmp_path: Path, method: str, cohort: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The PACS knows no destination; with `get`, the receiver has no port."""
    port = [] if method == "get" else ["--port", "0"]
    with receiving.pacs({}, source=SMALL) as pacs:
        command = ["retrieve", str(cohort), str(pacs), "--receive", str(tmp_path / "images"), "--method", method, *port]
        assert main(command) == 1
    assert "Rows: 2 complete, 1 empty." in capfd.readouterr().out
    assert len(receiving.files(tmp_path / "images")) == 4


def test_columns_of_a_receiver_are_not_shown_for_another_destination(
    rehearsal_pacs: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs = rehearsal_pacs(SMALL)
    path = tmp_path / "studies.csv"
    receiving.studies(SMALL).to_csv(path, index=False)
    assert main(["move", str(path), str(pacs), pacs.destination]) == 0
    shown = capfd.readouterr().out
    assert "completed" in shown
    assert "received" not in shown


def test_verify_reads_every_file_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    images, output = tmp_path / "images", tmp_path / "verified.csv"
    with receiving.receiver(images, accept="any") as receiver:
        assert receiving.send(receiver, *SMALL.instances_of_all()) == [0] * 6
    assert main(["verify", str(images)]) == 0
    assert capfd.readouterr().out == "Files: 6 ok.\n"
    gone, changed, *_ = sorted(receiving.files(images).values())
    gone.unlink()
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    (images / "mine.txt").write_text("")
    assert main(["verify", str(images), "-o", str(output)]) == 1
    shown = capfd.readouterr().out
    for part in (
        "Files: 4 ok, 1 missing, 1 hash_differs, 1 unrecorded.",
        f"  missing: {gone.relative_to(images)}",
        f"  hash_differs: {changed.relative_to(images)}",
        "  unrecorded: mine.txt",
    ):
        assert part in shown
    assert sorted(pd.read_csv(output)["verified"]) == ["hash_differs", "missing", "ok", "ok", "ok", "ok", "unrecorded"]


NOBODY = "PACS@127.0.0.1:1"
WHERE = "give one destination"


@pytest.mark.parametrize("more", [["--port", "1"], ["--ae-title", "A"], ["--allow", "10.0.0.1"], ["--receive", "x"]])
def test_there_is_one_destination(more: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "studies.csv"
    path.write_text("StudyInstanceUID\n1.2.3\n")
    assert main(["move", str(path), NOBODY, "DESTINATION_AE", *more]) == 2
    assert WHERE in capfd.readouterr().err
    assert main(["move", str(path), NOBODY]) == 2
    assert WHERE in capfd.readouterr().err
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--port", "99999"], "--port 99999"),
        (["--ae-title", "AN AE TITLE TOO LONG"], "--ae-title"),
        (["--allow", "10.0.0.0/99"], "allow"),
        (["--port", "0", "--concurrency", "0"], "--concurrency 0"),
        (["--port", "0", "--delay", "-1"], "--delay -1"),
    ],
)
def test_an_argument_that_cannot_be_right(
    more: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "studies.csv"
    path.write_text("StudyInstanceUID\n1.2.3\n")
    assert main(["move", str(path), NOBODY, "--receive", str(tmp_path / "images"), *more]) == 2
    assert said in capfd.readouterr().err


def test_each_advice_is_shown_once_and_not_too_many_of_them() -> None:
    advised = [f"Advice {min(number, 14)}." for number in range(20)]
    lines = _advice(pd.DataFrame({"outcome": "failed", "advice": [*advised, None]})).splitlines()
    assert lines[0] == "  6 failed: Advice 14."
    assert lines[1:10] == [f"  1 failed: Advice {number}." for number in range(9)]
    assert lines[10:] == ["  5 more: see the column advice"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["echo", "nowhere"], "is not an address"),
        (["echo", "PACS@127.0.0.1:1"], "no connection"),
        (["find", "absent.csv", "PACS@127.0.0.1:1"], "absent.csv"),
        (["demo", "--fault", "no-pending"], "no-pendings"),
        (["verify", "absent"], "there is no folder absent"),
        (["verify", "SOMETHING_EMPTY"], "has neither files"),
    ],
)
def test_an_impossible_command_ends_with_one_line(
    arguments: list[str], said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = 3 if said in ("no connection", "has neither files") else 2
    assert main([str(tmp_path) if word == "SOMETHING_EMPTY" else word for word in arguments]) == wrong
    error = capfd.readouterr().err
    assert error.startswith("dicomove: ")
    assert said in error


def test_it_is_a_command() -> None:
    command = Path(sys.executable).parent / "dicomove"
    assert "COMMAND" in subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout


def test_a_warning_is_its_sentence_and_no_line_of_python(rehearsal_pacs: Start, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort.csv"
    cohort.write_text("PatientID,accession\nSYN000001,000001\nSYN000002,\n")
    command = forks.python("-c", "import sys; from dicomove.cli import main; sys.exit(main())")
    found = subprocess.run(
        [*command, "find", str(cohort), str(rehearsal_pacs(SMALL))], capture_output=True, text=True, check=True
    )
    assert "dicomove: 1 of 2 rows are asked by fewer keys than the table has" in found.stderr
    assert "FindWarning" not in found.stderr
    assert ".py:" not in found.stderr


def test_a_move_that_is_left_alone_goes_on_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    studies, images = tmp_path / "studies.csv", tmp_path / "images"
    journal = tmp_path / "pull.sqlite"
    source = Synthetic(studies=3, instances=2, size=512)
    receiving.studies(source, 3).to_csv(studies, index=False)
    with receiving.receiver(images, accept="any") as store, receiving.pacs(store, source=source) as pacs:
        options = ["--retry", "2", "--hours", "00:00-24:00", "--outage-timeout", "1", "--max-failures", "9"]
        command = ["move", str(studies), pacs.address, store.ae_title, "--journal", str(journal), *options]
        assert main(command) == 0
        assert main([*command, "-o", str(tmp_path / "results.csv")]) == 0
    assert set(pd.read_csv(tmp_path / "results.csv")["resumed"]) == {True}
    assert main([*command[:-2], "--max-failures", "0"]) == 2
    assert "--max-failures" in capsys.readouterr().err


def test_retrieve_says_what_became_of_each_row_of_the_cohort(
    rehearsal_pacs: Start, cohort: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs, results = rehearsal_pacs(SMALL), tmp_path / "results.csv"
    command = ["retrieve", str(cohort), str(pacs), pacs.destination, "--concurrency", "2", "-o", str(results)]
    assert main(command) == 1
    shown = capfd.readouterr().out
    assert "Rows: 2 complete, 1 empty." in shown
    assert "studies_complete" in shown
    table = dm.read_cohort(results)
    assert table["cohort_row"].tolist() == ["0", "1", "2"]
    assert table["outcome"].tolist() == ["complete", "complete", "empty"]
    assert dm.verdicts(dm.read_cohort(cohort), table)["outcome"].tolist() == ["complete", "complete", "empty"]
    cohort.write_text("accession,arm\n000001,a\n000003,b\n")
    assert main(command) == 0


def test_retrieve_to_a_receiver_and_again(tmp_path: Path, cohort: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cohort.write_text("PatientID\nSYN000001\n")
    port = servers.free_port()
    with receiving.pacs({"RESEARCH": ("127.0.0.1", port)}, source=SMALL) as pacs:
        receive = ["--receive", str(tmp_path / "images"), "--port", str(port), "--ae-title", "RESEARCH"]
        for _ in range(2):
            assert main(["retrieve", str(cohort), str(pacs), *receive, "-o", str(tmp_path / "results.csv")]) == 0
    assert "Rows: 1 complete." in capfd.readouterr().out
    assert set(pd.read_csv(tmp_path / "results.csv")["resumed"]) == {True}


def test_a_broad_search_has_to_be_asked_for(
    rehearsal_pacs: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pacs, cohort = rehearsal_pacs(SMALL), tmp_path / "day.csv"
    cohort.write_text("ModalitiesInStudy\nCT\n")
    for command in (["find", str(cohort), str(pacs)], ["retrieve", str(cohort), str(pacs), pacs.destination]):
        assert main(command) == 2
        assert "dicomove: " in capfd.readouterr().err
        assert main([*command, "--broad"]) == 0


@pytest.mark.parametrize("more", [[], ["DEST", "--receive", "images"], ["DEST", "--partial-keys", "maybe"]])
def test_retrieve_that_cannot_be(more: list[str], cohort: Path) -> None:
    command = ["retrieve", str(cohort), "NOBODY@127.0.0.1:1", *more]
    if "maybe" in more:
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
    else:
        assert main(command) == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_locale_without_all_characters_changes_neither_the_end_nor_a_cell(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, images = tmp_path / "cohort.csv", tmp_path / "images"
    cohort.write_text("accession,place\n000001,Žižkov\n", encoding="utf-8")
    with receiving.pacs({}, source=SMALL) as pacs:
        for name, arguments in (
            ("found", ["find", str(cohort), str(pacs)]),
            ("moved", ["retrieve", str(cohort), str(pacs), "--receive", str(images), "--method", "get"]),
        ):
            with (tmp_path / name).open("w", encoding=encoding) as stream:
                monkeypatch.setattr(sys, "stdout", stream)
                assert main(arguments) == 0
    assert "Žižkov" in (tmp_path / "found").read_text("utf-8")
    assert "complete" in (tmp_path / "moved").read_text("utf-8")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_does_not_stop_a_command(closed: str, cohort: Path) -> None:
    cohort.write_text("accession\n000001\n")
    with receiving.pacs({}, source=SMALL) as pacs:
        command = shlex.join([sys.executable, "-m", "dicomove", "find", str(cohort), str(pacs)])
        done = subprocess.run(["/bin/sh", "-c", f"{command} {closed}"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
