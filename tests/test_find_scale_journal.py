"""`find(journal=)`: what was found is not asked again, also after the process was killed."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dicomove as dm
from dicomove.errors import JournalError
from dicomove.events import Event, RowFinished
from dicomove.store import Journal
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.archive import Archive
from tests import forks, servers
from tests.servers import Here

pytestmark = pytest.mark.timeout(90)

COHORT = pd.DataFrame({"AccessionNumber": ["A0001", "A0010", "A9999", "", "A001*"]}, index=[*"abcde"])
SCRIPT = """
import sys
import pandas as pd
import dicomove as dm

def show(event):
    if isinstance(event, dm.events.RowFinished):
        print(event.position, event.resumed, flush=True)

if __name__ == "__main__":
    port, journal, concurrency = sys.argv[1:]
    table = pd.DataFrame({"PatientID": [f"SYN{n:06}" for n in range(1, 41)]})
    pacs = dm.Pacs(f"REHEARSAL@127.0.0.1:{port}")
    found = dm.find(table, pacs, journal=journal, concurrency=int(concurrency), delay=0.15, progress=show)
    print(found["outcome"].value_counts().to_dict())
"""


def find(table: pd.DataFrame, pacs: dm.Pacs, journal: Path, **options: Any) -> pd.DataFrame:
    return dm.find(table, pacs, journal=journal, progress=options.pop("progress", False), **options)


def number(here: Here) -> int:
    return len(here.recorder.asked("C-FIND"))


def test_matched_rows_are_not_asked_again(here: Here, tmp_path: Path) -> None:
    journal, events = tmp_path / "find.sqlite", list[Event]()
    first = find(COHORT, here.pacs, journal)
    asked = number(here)
    again = find(COHORT, here.pacs, journal, progress=events.append)
    assert number(here) == asked
    pd.testing.assert_frame_equal(again, first)
    assert [event.resumed for event in events if isinstance(event, RowFinished)] == [True, True, True, False, True]
    # A new row, and several associations.
    longer = pd.concat([COHORT, pd.DataFrame({"AccessionNumber": ["A0200"]}, index=["f"])])
    found = find(longer, here.pacs, journal, concurrency=2)
    assert number(here) == asked + 1
    assert found["cohort_row"].tolist() == [*"abcdeef"]


@pytest.mark.parametrize(
    "other", [{"keys": ["PatientName"]}, {"level": "SERIES"}, {"query_model": "PatientRoot", "broad": "allow"}], ids=str
)
def test_another_question_is_asked(here: Here, tmp_path: Path, other: dict[str, Any]) -> None:
    table = pd.DataFrame({"PatientID": ["000123"], "StudyDate": ["20240110"]})
    find(table, here.pacs, tmp_path / "find.sqlite")
    asked = number(here)
    find(table, here.pacs, tmp_path / "find.sqlite", **other)
    assert number(here) > asked


@pytest.mark.parametrize("other", [{"calling_ae_title": "ANOTHER"}, {"user": "anna"}], ids=str)
def test_another_calling_ae_title_or_user_may_see_something_else(
    here: Here, tmp_path: Path, other: dict[str, Any]
) -> None:
    find(COHORT[:1], here.pacs, tmp_path / "find.sqlite")
    pacs = dm.Pacs(here.pacs.address, **other)
    find(COHORT[:1], pacs, tmp_path / "find.sqlite")
    assert number(here) == 2


@pytest.mark.parametrize(("max_age", "times"), [("1 hour", 1), (dt.timedelta(minutes=10), 2), ("0 s", 2), (None, 1)])
def test_older_answers_are_asked_for_again(
    here: Here, tmp_path: Path, max_age: str | dt.timedelta | None, times: int
) -> None:
    journal = tmp_path / "find.sqlite"
    find(COHORT[:1], here.pacs, journal)
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE answers SET at = at - 1800")
    find(COHORT[:1], here.pacs, journal, max_age=max_age)
    assert number(here) == times


def test_an_error_is_asked_again(tmp_path: Path) -> None:
    journal = tmp_path / "find.sqlite"
    synthetic = Synthetic(studies=3, instances=1, size=64)
    table = pd.DataFrame({"PatientID": ["SYN000001", "SYN000002"]})
    with RehearsalPacs(synthetic, [faults.RefusesAvailability()]) as pacs:
        find(table, pacs, journal)
    with servers.dead_port() as dead:
        assert find(table, dm.Pacs(f"127.0.0.1:{dead}"), journal)["outcome"].tolist() == ["unreachable"] * 2
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(*) FROM answers").fetchone() == (2,)


@pytest.mark.parametrize("concurrency", ["1", "3"])
def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, concurrency: str) -> None:
    script, journal = tmp_path / "script.py", tmp_path / "find.sqlite"
    script.write_text(SCRIPT)
    with RehearsalPacs(Synthetic(studies=40, instances=1, size=64)) as pacs:
        command = forks.python(str(script), str(pacs.port), str(journal), concurrency)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            shown = [process.stdout.readline() for _ in range(10)]
            time.sleep(0.6)  # an answer is durable within half a second
            os.kill(process.pid, signal.SIGKILL)
        before = len(pacs.requests())
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = len(pacs.requests()) - before
    *rows, outcomes = done.stdout.splitlines()
    assert len(shown) == 10
    assert sum(row.endswith("True") for row in rows) >= 10
    assert after > 0
    assert after == sum(row.endswith("False") for row in rows)
    assert outcomes == "{'matched': 40}"


def test_an_interrupted_run_keeps_its_answers(here: Here, tmp_path: Path) -> None:
    def press(event: Event) -> None:
        if isinstance(event, RowFinished) and event.position == 1:
            signal.raise_signal(signal.SIGINT)

    find(COHORT, here.pacs, tmp_path / "at_once.sqlite")
    at_once = number(here)
    with pytest.warns(dm.InterruptedWarning):
        find(COHORT, here.pacs, tmp_path / "find.sqlite", progress=press)
    assert number(here) == at_once + 2
    find(COHORT, here.pacs, tmp_path / "find.sqlite")
    assert number(here) == 2 * at_once


def test_other_files_are_refused_before_anything_is_sent(here: Here, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    other.write_text("a text of more than a few bytes, and not a database of any kind" * 20)
    with pytest.raises(JournalError, match="not a find journal"):
        find(COHORT, here.pacs, other)
    with Journal.open(tmp_path / "move.sqlite"):
        pass
    with pytest.raises(JournalError, match="not a find journal"):
        find(COHORT, here.pacs, tmp_path / "move.sqlite")
    with pytest.raises(JournalError, match="does not exist"):
        find(COHORT, here.pacs, tmp_path / "nowhere" / "find.sqlite")
    assert number(here) == 0


def test_a_journal_has_one_run_at_a_time(here: Here, tmp_path: Path) -> None:
    said = []

    def again(event: Event) -> None:
        if isinstance(event, RowFinished):
            with pytest.raises(JournalError) as raised:
                find(COHORT[:1], here.pacs, tmp_path / "find.sqlite")
            said.append(str(raised.value))

    assert len(find(COHORT[:1], here.pacs, tmp_path / "find.sqlite", progress=again)) == 1
    assert "another process has the journal" in said[0]
    assert (tmp_path / "find.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("max_age", ["soon", 3, "-1 day", dt.timedelta(days=-1)])
def test_an_age_that_cannot_be_right(tmp_path: Path, max_age: Any) -> None:
    with pytest.raises(ValueError, match="max_age"):
        find(COHORT, dm.Pacs("127.0.0.1:1"), tmp_path / "find.sqlite", max_age=max_age)
    with pytest.raises(ValueError, match="journal="):
        dm.find(COHORT, dm.Pacs("127.0.0.1:1"), max_age="1 day")
    assert not list(tmp_path.iterdir())


def test_retrieve_has_them_too(archive: Archive, tmp_path: Path) -> None:
    with servers.here(archive) as here:
        for _ in range(2):
            found = dm.retrieve(
                COHORT[:1],
                here.pacs,
                servers.SINK,
                find_concurrency=2,
                find_journal=tmp_path / "find.sqlite",
                max_age="1 day",
                progress=False,
            )
        by_accession = [keys for keys in here.recorder.asked("C-FIND") if keys.get("AccessionNumber")]
    assert found["outcome"].tolist() == ["complete"]
    assert len(by_accession) == 1


def test_the_journal_of_move_is_another_file(archive: Archive, tmp_path: Path) -> None:
    found, moved = tmp_path / "find.sqlite", tmp_path / "move.sqlite"
    with servers.here(archive) as here:
        studies = dm.find(COHORT[:1], here.pacs, journal=found, progress=False)
        dm.move(studies, here.pacs, servers.SINK, journal=moved, progress=False)
        with pytest.raises(JournalError, match="is not a journal of dicomove, but a find journal, which has a file of"):
            dm.move(studies, here.pacs, servers.SINK, journal=found, progress=False)
        with pytest.raises(JournalError, match="is not a find journal of dicomove, but a journal of move, which has"):
            dm.find(COHORT[:1], here.pacs, journal=moved, progress=False)
