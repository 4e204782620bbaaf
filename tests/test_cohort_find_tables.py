"""What `find` said of a row that it could not match stays, also through a file; nothing is sent for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.cohort import Identifier, Unmatched, is_found, move_identifiers
from dicomove.errors import IdentifierError
from dicomove.testing import Synthetic
from dicomove.testing.archive import Archive
from tests import servers
from tests.servers import Here

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=2, series=1, instances=2, size=64, patients=2)
ALL = list(SOURCE.instances_of_all())
FIRST, SECOND = dict.fromkeys(one.study_instance_uid for one in ALL)
SAID = ["outcome", "status", "error", "advice", "error_comment"]


@pytest.fixture
def here() -> Iterator[Here]:
    with servers.here(Archive(ALL)) as made:
        yield made


def cells(table: pd.DataFrame, names: list[str]) -> list[list[object]]:
    found = table[names].astype(object)
    return found.where(found.notna(), None).to_numpy().tolist()


def found(**more: list[object]) -> pd.DataFrame:
    count = len(next(iter(more.values())))
    columns: dict[str, list[object]] = {"cohort_row": list(range(count)), "filtered": [0] * count}
    return pd.DataFrame(columns | {"StudyInstanceUID": [None] * count, "matches": [0] * count} | more)


@pytest.mark.parametrize("cell", [[FIRST], (FIRST,), {FIRST}, {"uid": FIRST}, FIRST.encode(), object(), "1.2.\uff13"])
def test_a_cell_that_the_user_has_changed_into_something_else_is_not_sent(cell: object) -> None:
    table = found(StudyInstanceUID=[cell], matches=[1], outcome=["matched"])
    (requested,) = move_identifiers(table)
    assert isinstance(requested, IdentifierError)
    assert "StudyInstanceUID" in str(requested)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["cohort_row", "outcome", "matches", "filtered"], True),
        (["filtered", "own", "matches", 7, "outcome", "cohort_row"], True),
        ([("cohort_row", ""), ("outcome", ""), ("matches", ""), ("filtered", ""), ("own", "a")], True),
        ([("cohort_row", "x"), ("outcome", ""), ("matches", ""), ("filtered", "")], False),
        (["cohort_row", "outcome", "matches"], False),
        ([], False),
    ],
)
def test_a_table_of_find_is_known_by_its_columns_as_a_set(columns: list[object], expected: bool) -> None:
    assert is_found(columns) is expected


@pytest.mark.parametrize(
    "outcome", ["empty", "failed", "unreachable", "interrupted", "cancelled", "invalid", "not_attempted"]
)
@pytest.mark.parametrize("none", [0, "0", 0.0, "0.0"])
def test_each_word_of_find_stays(outcome: str, none: object) -> None:
    advice: list[object] = [" Wait. \0"]
    table = found(outcome=[outcome], status=["0xA700"], error=["out_of_resources"], advice=advice, matches=[none])
    assert move_identifiers(table) == [Unmatched(outcome, "0xA700", "out_of_resources", "Wait.")]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "matches"),
    [("matched", 1), ("partial", 2), ("complete", 1), ("failed", 1), ("empty", None), ("", "")],
)
def test_a_row_that_matched_is_read_as_any_other(outcome: str | None, matches: object) -> None:
    (blank,) = move_identifiers(found(outcome=[outcome], matches=[matches]))
    assert isinstance(blank, IdentifierError)
    (filled,) = move_identifiers(found(outcome=[outcome], matches=[matches], StudyInstanceUID=["1.2.3"]))
    assert isinstance(filled, Identifier)


@pytest.mark.parametrize("outcome", ["died", "", None, "EMPTY", "matched"])
@pytest.mark.parametrize(("error", "expected"), [(None, "empty"), ("connection_failed", "failed")])
def test_a_row_that_matched_nothing_stays_so_whatever_the_user_writes_beside_it(
    outcome: str | None, error: str | None, expected: str
) -> None:
    (row,) = move_identifiers(found(outcome=[outcome], error=[error], StudyInstanceUID=["1.2.3"]))
    assert isinstance(row, Unmatched)
    assert (row.outcome, row.error) == (expected, error)


def test_a_row_without_advice_gets_no_blank_before_the_reason() -> None:
    (row,) = move_identifiers(found(outcome=["empty"], StudyInstanceUID=["1.2.3"]))
    assert isinstance(row, Unmatched)
    assert (row.advice or "").startswith("C-FIND")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"outcome": ["ambiguous"], "error": ["ambiguous"]}, id="a table of find"),
        pytest.param({"outcome": ["invalid"], "error": ["ambiguous"]}, id="a move of it"),
        pytest.param({"outcome": ["ambiguous"]}, id="its error was left out"),
    ],
)
def test_a_row_for_which_find_did_not_decide_stays_undecided(said: dict[str, list[object]]) -> None:
    """It has matches, and the cohort may have given it a UID: that is one of them, and need not be the right one."""
    (row,) = move_identifiers(found(**said, matches=[2], StudyInstanceUID=["1.2.3"], advice=["2 match."]))
    assert isinstance(row, Unmatched)
    assert (row.outcome, row.error) == ("invalid", said.get("error", [None])[0])
    assert (row.advice or "").startswith("2 match. C-FIND")


@pytest.mark.parametrize("matches", ["several", "0 or 1"])
def test_a_column_matches_of_the_users_own_is_not_read(matches: str) -> None:
    (row,) = move_identifiers(found(outcome=["empty"], matches=[matches], StudyInstanceUID=["1.2.3"]))
    assert isinstance(row, Identifier)


def test_a_uid_that_the_cohort_brought_is_not_moved_where_find_left_it_out(here: Here) -> None:
    """The study is there, and it is another patient's; or the row asks for a series that the study has not."""
    cohort = pd.DataFrame({"PatientID": ["STRANGER", "SYN000002"], "StudyInstanceUID": [FIRST, SECOND]})
    with pytest.warns(dm.errors.FindWarning, match="answers to 1 rows"):
        studies = dm.find(cohort, here.pacs, progress=False)
    assert studies["outcome"].tolist() == ["empty", "matched"]
    results = dm.move(studies, here.pacs, servers.SINK, progress=False)
    assert results["outcome"].tolist() == ["empty", "complete"]
    assert "nothing was sent for its UID" in str(results["advice"][0])
    overwritten = dm.move(studies.assign(outcome=["died", "alive"])[:1], here.pacs, servers.SINK, progress=False)
    assert overwritten["outcome"].tolist() == ["empty"]
    other = cohort.assign(PatientID="SYN000001", Modality="XX")
    with pytest.warns(dm.errors.FindWarning, match="answers to 1 rows"):
        series = dm.find(other, here.pacs, level="SERIES", progress=False)
    results = dm.move(series, here.pacs, servers.SINK, progress=False)
    assert results["outcome"].tolist() == ["empty", "empty"]
    moved = [keys for command, keys in here.recorder.requests if command == "C-MOVE"]
    assert [keys["StudyInstanceUID"] for keys in moved] == [SECOND]
    # Said once, however often the table is moved.
    again = dm.move(results, here.pacs, servers.SINK, progress=False)
    assert again["advice"].tolist() == results["advice"].tolist()


@pytest.mark.parametrize("through_a_file", [False, True])
def test_move_and_plan_keep_the_answers_of_find(here: Here, tmp_path: Path, through_a_file: bool) -> None:
    cohort = pd.DataFrame({"PatientID": ["SYN000001", "NOBODY", "?"]}, index=["a", "b", "c"])
    studies = dm.find(cohort, here.pacs, progress=False)
    assert studies["outcome"].tolist() == ["matched", "empty", "invalid"]
    table = studies
    if through_a_file:
        studies.to_csv(tmp_path / "studies.csv", index=False)
        table = dm.read_cohort(tmp_path / "studies.csv")
    planned = dm.plan(table, here.pacs, progress=False)
    assert planned["action"].tolist() == ["move", "nothing", "invalid"]
    results = dm.move(table, here.pacs, servers.SINK, progress=False)
    assert results["outcome"].tolist() == ["complete", "empty", "invalid"]
    assert cells(results[1:], SAID) == cells(studies[1:], SAID)
    assert results["attempts"].tolist() == [1, 0, 0]
    assert planned["advice"].isna().tolist() == results["advice"].isna().tolist()
    assert len([1 for command, _ in here.recorder.requests if command == "C-MOVE"]) == 1
    # ... and so does the next run, of what is left.
    again = dm.move(results[results["outcome"] != "complete"], here.pacs, servers.SINK, progress=False)
    assert cells(again, SAID) == cells(results[1:], SAID)


def test_a_journal_keeps_it(here: Here, tmp_path: Path) -> None:
    studies = dm.find(pd.DataFrame({"PatientID": ["NOBODY", "SYN000001"]}), here.pacs, progress=False)
    studies.loc[0, "outcome"] = "not_attempted"
    studies.loc[0, "advice"] = "The run ended before its turn."
    results = dm.move(studies, here.pacs, servers.SINK, journal=tmp_path / "pull.sqlite", progress=False)
    assert results["outcome"].tolist() == ["not_attempted", "complete"]
    pd.testing.assert_frame_equal(dm.read_journal(tmp_path / "pull.sqlite"), results)


def test_a_find_without_a_pacs_is_told_as_such() -> None:
    with servers.counting() as counter:
        studies = dm.find(pd.DataFrame({"PatientID": ["SYN000001"]}), counter.pacs, progress=False)
        (said,) = studies["outcome"]
        assert said in ("unreachable", "interrupted")
        connections = counter.connections
        results = dm.move(studies, counter.pacs, servers.SINK, progress=False)
        assert counter.connections == connections
    assert results["outcome"].tolist() == [said]
    assert results["error"].tolist() == studies["error"].tolist()
