"""`verdicts`: one row for each row of the cohort, and `complete` only if all that it matched is complete."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

import dicomove as dm
from dicomove.cohort import positions_in
from dicomove.columns import VERDICT_COLUMNS
from dicomove.results import Row, result_table
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.rehearsal import RunningPacs
from tests import receiving
from tests.receiving import values

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def pacs() -> Iterator[RunningPacs]:
    with RehearsalPacs(Synthetic(studies=3, series=1, instances=2, size=64, patients=2)) as running:
        yield running


def results(*rows: tuple[Any, str | None, str, dict[str, Any]], **more: list[object]) -> pd.DataFrame:
    """A result table: cohort_row, StudyInstanceUID, outcome, and what else is known of each row."""
    labels = [row[0] for row in rows]
    counts = {label: len({row[1] for row in rows if row[0] == label} - {None}) for label in labels}
    found = pd.DataFrame(
        {
            "cohort_row": labels,
            "StudyInstanceUID": [row[1] for row in rows],
            "matches": [row[3].get("matches", counts[row[0]] if row[1] else 0) for row in rows],
            "filtered": 0,
        }
        | more
    )
    known = [{name: value for name, value in row[3].items() if name != "matches"} for row in rows]
    return result_table(found, [Row(outcome=row[2], **extra) for row, extra in zip(rows, known, strict=True)])  # type: ignore[arg-type]  # a word


def whole(number: int) -> dict[str, Any]:
    return {"expected": number, "received": number, "missing": 0}


ONE = pd.DataFrame({"AccessionNumber": ["A1"]}, index=["a"])


def verdict(*rows: tuple[str | None, str, dict[str, Any]]) -> list[object]:
    made = dm.verdicts(ONE, results(*(("a", *row) for row in rows)))
    assert made.index.tolist() == ["a"]
    assert made.columns.tolist() == ["AccessionNumber", *VERDICT_COLUMNS]
    ((*found,),) = values(made, "studies", "studies_complete", "expected", "received", "missing", "outcome")
    return found


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("1.1", "complete", whole(3)), ("1.2", "complete", whole(2))], [2, 2, 5, 5, 0, "complete"]),
        (
            [("1.1", "complete", whole(3)), ("1.2", "partial", {"expected": 4, "received": 1, "missing": 3})],
            [2, 1, 7, 4, 3, "partial"],
        ),
        ([("1.1", "complete", whole(3)), ("1.2", "failed", {"expected": 4})], [2, 1, 7, 3, 4, "partial"]),
        (
            [("1.1", "failed", {"expected": 3, "received": 1, "missing": 2}), ("1.2", "unreachable", {})],
            [2, 0, None, 1, None, "partial"],
        ),
        # Where no receiver counts, what was moved does.
        (
            [("1.1", "interrupted", {"completed": 2}), ("1.2", "failed", {"completed": 0})],
            [2, 0, *[None] * 3, "partial"],
        ),
        ([("1.1", "unreachable", {}), ("1.2", "failed", {"received": 0})], [2, 0, None, 0, None, "failed"]),
        ([("1.1", "not_attempted", {}), ("1.2", "empty", {})], [2, 0, None, None, None, "not_attempted"]),
        ([("1.1", "unconfirmed", {}), ("1.2", "cancelled", {})], [2, 0, None, None, None, "cancelled"]),
        ([(None, "empty", {})], [0, 0, None, None, None, "empty"]),
        ([(None, "invalid", {})], [0, 0, None, None, None, "invalid"]),
        # A study that comes twice, as two tables one below the other have it, counts once: at its best.
        ([("1.1", "failed", {"expected": 3}), ("1.1", "complete", whole(3))], [1, 1, 3, 3, 0, "complete"]),
        ([("1.1", "complete", whole(3)), ("1.1", "unreachable", {})], [1, 1, 3, 3, 0, "complete"]),
        ([("1.1", "complete", whole(3)), ("1.1", "complete", whole(3))], [1, 1, 3, 3, 0, "complete"]),
        ([(None, "unreachable", {}), ("1.1", "complete", whole(3))], [1, 1, 3, 3, 0, "complete"]),
        # Of two matches, the results have one row.
        ([("1.1", "complete", whole(3) | {"matches": 2})], [1, 1, None, 3, None, "partial"]),
        ([("1.1", "failed", {"matches": 2})], [1, 0, None, None, None, "failed"]),
        # ... and twice the same row.
        ([("1.1", "complete", whole(3) | {"matches": 2})] * 2, [1, 1, None, 3, None, "partial"]),
        # The user has removed the UIDs.
        (
            [(None, "complete", whole(3) | {"matches": 2}), (None, "failed", {"expected": 2, "matches": 2})],
            [None, None, 5, 3, 2, "partial"],
        ),
        ([("1.1", "skipped", whole(3))], [1, 1, 3, 3, 0, "complete"]),
    ],
)
def test_the_verdict(rows: list[tuple[str | None, str, dict[str, Any]]], expected: list[object]) -> None:
    assert verdict(*rows) == expected


def test_it_says_what_is_wrong_and_what_to_do() -> None:
    table = results(
        ("a", "1.1", "complete", whole(1)),
        ("a", "1.2", "failed", {"error": "out_of_resources", "advice": "Wait."}),
        ("b", None, "empty", {"advice": "The PACS has others."}),
        ("c", "1.3", "complete", whole(1) | {"advice": "From an earlier run."}),
        ("d", "1.4", "complete", whole(1) | {"matches": 2}),
    )
    made = dm.verdicts(pd.DataFrame(index=list("abcde")), table)
    assert values(made, "outcome", "error", "advice") == [
        ["partial", "out_of_resources", "1 of 2 matches are complete. Wait."],
        ["empty", None, "The PACS has others."],
        ["complete", None, "From an earlier run."],
        [
            "partial",
            None,
            "1 of 2 matches are complete. The results have no row for 1 of them: find and move the row again.",
        ],
        ["not_attempted", None, "The results have no row for it: find it and move it."],
    ]


def test_a_row_that_matched_several_studies_of_which_none_was_chosen(pacs: RunningPacs) -> None:
    cohort = pd.DataFrame({"PatientID": ["SYN000001"]})
    found = dm.find(cohort, pacs, matches="one", progress=False)
    moved = dm.move(found, pacs, pacs.destination, progress=False)
    said = found["advice"].iloc[0]
    assert values(dm.verdicts(cohort, found), "studies", "outcome", "advice") == [[0, "ambiguous", said]]
    assert values(dm.verdicts(cohort, moved), "studies", "outcome", "advice") == [[0, "invalid", said]]
    # A later search has chosen.
    newest = dm.retrieve(cohort, pacs, pacs.destination, matches="newest", progress=False)
    assert values(dm.verdicts(cohort, pd.concat([moved, newest])), "studies", "outcome") == [[1, "complete"]]


def test_series_and_instances_are_those_of_their_study() -> None:
    series = [f"1.1.{n}" for n in range(3)]
    table = results(
        ("a", "1.1", "complete", whole(2)),
        ("a", "1.1", "partial", {"expected": 2, "received": 1, "missing": 1}),
        ("a", "1.2", "complete", whole(2)),
        SeriesInstanceUID=list(series),
    )
    made = dm.verdicts(ONE, table)
    assert values(made, *VERDICT_COLUMNS[:6]) == [[2, 1, 6, 5, 1, "partial"]]


def test_matches_with_one_uid() -> None:
    """An archive that joins two databases gave a study twice, with two accession numbers: none of them is left out."""
    cohort, study = pd.DataFrame(index=["a"]), ("a", "1.1", "complete", whole(3) | {"matches": 2})
    made = dm.verdicts(cohort, results(study, study, AccessionNumber=["A1", "A2"]))
    assert values(made, *VERDICT_COLUMNS[:6], "advice") == [[1, 1, 3, 3, 0, "complete", None]]
    # The second match is not there, and the first one came from two tables.
    made = dm.verdicts(cohort, results(study, study, AccessionNumber=["A1", "A1"]))
    assert values(made, "studies", "outcome") == [[1, "partial"]]


def test_a_table_of_find_that_was_not_moved() -> None:
    found = pd.DataFrame(
        {
            "cohort_row": ["a", "b", "c"],
            "StudyInstanceUID": ["1.1", "1.2", None],
            "NumberOfStudyRelatedInstances": [3, 4, None],
            "expected": ["2 years", "1", "2"],
            "outcome": ["matched", "partial", "empty"],
            "matches": [1, 1, 0],
            "filtered": 0,
        }
    )
    made = dm.verdicts(pd.DataFrame(index=["a", "b", "c"]), found)
    assert values(made, "studies", "studies_complete", "expected", "outcome") == [
        [1, 0, 3, "not_attempted"],
        [1, 0, 4, "not_attempted"],
        [0, 0, None, "empty"],
    ]
    assert "move" in str(made["advice"].iloc[0])


# Whose row is whose.


@pytest.mark.parametrize(
    "index",
    [
        ["x", "y", "z"],
        [2, 0, 1],
        [1.5, np.nan, 2.5],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]),
        pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-02"]),
        ["x", "x", "x"],
        [None, np.nan, "z"],
        pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 1)]),
    ],
)
@pytest.mark.parametrize("through", ["memory", "csv", "json", "text"])
def test_every_index(tmp_path: Path, index: Any, through: str, pacs: RunningPacs) -> None:
    """Through `find`, a file, and in another order than that of the cohort."""
    cohort = pd.DataFrame({"PatientID": ["SYN000002", "NOBODY", "SYN000001"], "outcome": ["a", "b", "c"]}, index=index)
    with pytest.warns(dm.errors.CohortWarning):
        studies = dm.find(cohort, pacs, progress=False)
    moved = dm.move(studies, pacs, pacs.destination, progress=False).iloc[::-1]
    if through == "text":
        moved.to_csv(tmp_path / "results.csv", index=False)
        moved = dm.read_cohort(tmp_path / "results.csv")
    elif through != "memory":
        moved = dm.read_results(dm.export(moved, tmp_path / f"results.{through}"))
    with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort"):
        made = dm.verdicts(cohort, moved)
    pd.testing.assert_index_equal(made.index, cohort.index)
    assert made["outcome"].tolist() == ["complete", "empty", "complete"]
    assert made["studies"].tolist() == [1, 0, 2]
    assert made["outcome_cohort"].tolist() == ["a", "b", "c"]
    # ... and of some rows only, too.
    with pytest.warns(dm.errors.CohortWarning):
        some = dm.verdicts(cohort, moved[moved["PatientID"] == "SYN000001"])
    assert some["outcome"].tolist() == ["not_attempted", "not_attempted", "complete"]


def as_it_is(table: pd.DataFrame, _: Path) -> pd.DataFrame:
    return table


def as_csv(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table.to_csv(path, index=False)
    return pd.read_csv(path)


def as_text(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table.to_csv(path.with_suffix(".csv"), index=False)
    return dm.read_cohort(path.with_suffix(".csv"))


def as_json(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table.to_json(path, orient="records", date_format="iso")
    return pd.read_json(path)


def as_parquet(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    table.to_parquet(path)
    return pd.read_parquet(path)


LABELS: dict[str, pd.Index] = {
    "whole numbers": pd.Index([1, 2]),
    "floats": pd.Index([1.0, 2.5]),
    "truths": pd.Index([True, False]),
    "text with blanks around it": pd.Index([" a", "b\u00a0"]),
    "none": pd.Index(["a", None]),
    "zeros": pd.Index(["a001", "a1"]),
    "several levels": pd.MultiIndex.from_tuples([(1, 2), (1, 3)]),
    "several levels, one without a label": pd.MultiIndex.from_tuples([("a", None), ("b", "x")]),
    "days": pd.DatetimeIndex(["2026-01-01", "2026-01-02"]),
    "a number, and the same as text": pd.Index(["1", 1], dtype=object),
}


THROUGH = (as_it_is, as_csv, as_text, as_json, as_parquet)
#: pandas makes a number of it, or does not write it.
NOT_WRITTEN = {("days", as_json), ("a number, and the same as text", as_parquet)}


@pytest.mark.parametrize(
    ("name", "through"),
    [(name, through) for name in LABELS for through in THROUGH if (name, through) not in NOT_WRITTEN],
)
def test_labels_of_a_file(tmp_path: Path, name: str, through: Callable[[pd.DataFrame, Path], pd.DataFrame]) -> None:
    index = LABELS[name]
    cohort = pd.DataFrame({"arm": ["x", "y"]}, index=index)
    found = pd.DataFrame({"cohort_row": [*index], "arm": ["x", "y"], "outcome": "matched", "matches": 1, "filtered": 0})
    read = through(found.astype({"cohort_row": object}).iloc[[1, 0, 1]].reset_index(drop=True), tmp_path / "found")
    assert positions_in(cohort, read) == [[1], [0], [1]]


def test_a_whole_number_that_pandas_has_made_a_float() -> None:
    found = pd.DataFrame({"cohort_row": ["2.0", "1.0"], "outcome": "matched", "matches": 1, "filtered": 0})
    assert positions_in(pd.DataFrame(index=[1, 2]), found) == [[1], [0]]


def of_many_kinds() -> pd.DataFrame:
    """A cohort whose cells change their types in a file, and that asks for other values than it gets."""
    return pd.DataFrame(
        {
            "mrn": ["SYN000001", "SYN00000?", "000123", "0001E5", "NA", "SYN000001"],
            "StudyDate": [dt.date(2024, 1, 1), "2024-01-01", "", None, "20240101-", pd.Timestamp("2024-01-02")],
            "accession": [None, "", np.nan, "00000012", "7", ""],
            "arm": list("abcdef"),
        }
    )


def as_categories(table: pd.DataFrame, _: Path) -> pd.DataFrame:
    return table.astype({"mrn": "category", "StudyDate": "category"})


def without_asked(table: pd.DataFrame, _: Path) -> pd.DataFrame:
    return table.drop(columns=[name for name in table.columns if str(name).endswith("_asked")])


def without_patients(table: pd.DataFrame, _: Path) -> pd.DataFrame:
    return table.drop(columns=["mrn", "PatientID"])


def with_another_column(table: pd.DataFrame, _: Path) -> pd.DataFrame:
    return table.assign(arm="edited", Modality="MR", site=7)


@pytest.mark.parametrize(
    "through",
    [*THROUGH[:4], as_categories, without_asked, without_patients, with_another_column],
    ids=lambda one: one.__name__,
)
@pytest.mark.parametrize("matches", ["all", "nearest"])
@pytest.mark.filterwarnings("ignore::dicomove.errors.DicomoveWarning")
def test_cells_that_a_file_or_the_user_has_changed_do_not_matter(
    pacs: RunningPacs, tmp_path: Path, through: Callable[[pd.DataFrame, Path], pd.DataFrame], matches: Any
) -> None:
    cohort = of_many_kinds()
    if matches == "nearest":
        cohort["StudyDate"] = ["2024-01-03", dt.date(2024, 1, 2), "", None, "20240105", ""]
    found = dm.find(cohort, pacs, matches=matches, progress=False)
    assert set(found["outcome"]) >= {"matched", "empty"}
    is_found = found["StudyInstanceUID"].notna()
    table = result_table(found, [Row(outcome="complete" if one else "empty") for one in is_found])
    expected = dm.verdicts(cohort, table)["outcome"].tolist()
    assert dm.verdicts(cohort, through(table, tmp_path / "found"))["outcome"].tolist() == expected
    later = cohort.drop(columns=["StudyDate"]).assign(PatientID=cohort["mrn"], StudyID="1", arm="x")
    for other in (later, cohort.drop(columns="accession"), cohort.rename(columns={"mrn": "PatientID"})):
        assert dm.verdicts(other, table)["outcome"].tolist() == expected


@pytest.mark.filterwarnings("ignore::dicomove.errors.DicomoveWarning")
def test_a_cohort_that_is_in_another_order_than_its_labels(pacs: RunningPacs) -> None:
    cohort = pd.DataFrame({"PatientID": ["SYN000001", "NOBODY", "SYN000002"], "StudyDate": ""})
    moved = dm.retrieve(cohort, pacs, pacs.destination, progress=False)
    assert dm.verdicts(cohort.iloc[::-1], moved)["outcome"].tolist() == ["complete", "empty", "complete"]
    anew = cohort.sort_values("PatientID").reset_index(drop=True)
    with pytest.raises(dm.CohortError, match=r"row 0 of the results has another PatientID .*its label \(0\)"):
        dm.verdicts(anew, moved)


@pytest.mark.filterwarnings("ignore::dicomove.errors.DicomoveWarning")
def test_some_rows_of_the_cohort(pacs: RunningPacs) -> None:
    names = ["SYN000001", "NOBODY", "SYN000002", "SYN00000?"]
    cohort = pd.DataFrame({"PatientID": names, "StudyDate": "", "arm": list("abab")})
    moved = dm.retrieve(cohort, pacs, pacs.destination, progress=False)
    whole = dm.verdicts(cohort, moved)
    for part in (cohort[cohort["arm"] == "a"], cohort.iloc[[3, 1]], cohort[:1]):
        pd.testing.assert_frame_equal(dm.verdicts(part, moved), whole.loc[part.index])
    edited, anew = cohort[2:].assign(arm="c"), cohort[2:].reset_index(drop=True)
    for other in (edited, anew, cohort[["arm"]][:2], cohort[2:].set_axis([2, 9]), cohort.iloc[[2, 2]]):
        with pytest.raises(dm.CohortError, match=r"row \d of the results|repeated labels"):
            dm.verdicts(other, moved)


@pytest.mark.filterwarnings("ignore::dicomove.errors.DicomoveWarning")
def test_results_of_two_cohorts_with_the_same_labels(pacs: RunningPacs) -> None:
    first = pd.DataFrame({"PatientID": ["NOBODY"], "AccessionNumber": ["9"]})
    others = ({"PatientID": ["SYN000001"]}, {"PatientID": ["SYN00000*"]}, {"PatientID": [""], "AccessionNumber": ["8"]})
    for keys in others:
        second = pd.DataFrame(keys)
        results = [dm.retrieve(cohort, pacs, pacs.destination, progress=False) for cohort in (first, second)]
        for cohort, row in ((first, 1), (second, 0)):
            with pytest.raises(dm.CohortError, match=f"row {row} of the results"):
                dm.verdicts(cohort, pd.concat(results))


@pytest.mark.filterwarnings("ignore::dicomove.errors.DicomoveWarning")
def test_a_row_that_names_another_key_than_its_neighbour(pacs: RunningPacs) -> None:
    cohort = pd.DataFrame({"PatientID": ["SYN000009", ""], "AccessionNumber": ["", "9"]})
    moved = dm.retrieve(cohort, pacs, pacs.destination, progress=False)
    with pytest.raises(dm.CohortError, match="row 0 of the results"):
        dm.verdicts(cohort.iloc[::-1].reset_index(drop=True), moved)


def test_two_studies_of_one_patient_in_another_order(pacs: RunningPacs) -> None:
    dates = ["20240101", "19990101"]
    cohort = pd.DataFrame({"PatientID": "SYN000001", "StudyDate": dates})
    moved = dm.retrieve(cohort, pacs, pacs.destination, progress=False)
    with pytest.raises(dm.CohortError, match="another StudyDate"):
        dm.verdicts(cohort.assign(StudyDate=dates[::-1]), moved)


def test_repeated_labels_with_cells_that_a_match_has_changed() -> None:
    cohort = pd.DataFrame({"StudyDate": ["2020*", "", "2021*"], "PatientID": ["1", "2", "1"]}, index=["x", "x", "x"])
    found = pd.DataFrame(
        {
            "cohort_row": "x",
            "StudyDate": ["20200101", "20200102", "20210101"],
            "StudyDate_asked": ["2020*", None, "2021*"],
            "PatientID": ["1", "2", "1"],
            "StudyInstanceUID": ["1.1", "1.2", "1.3"],
            "matches": 1,
            "filtered": 0,
        }
    )
    rows = [Row(outcome="complete"), Row(outcome="failed"), Row(outcome="unreachable")]
    table = result_table(found, rows)
    assert dm.verdicts(cohort, table)["outcome"].tolist() == ["complete", "failed", "unreachable"]
    assert dm.verdicts(cohort, table.iloc[[2, 0]])["outcome"].tolist() == ["complete", "not_attempted", "unreachable"]
    # Rows that are the same have asked for the same.
    twins = cohort.iloc[[0, 1, 0]]
    assert dm.verdicts(twins, table.iloc[:2])["outcome"].tolist() == ["complete", "failed", "complete"]
    for gone in (["StudyDate", "StudyDate_asked"], ["StudyDate", "StudyDate_asked", "PatientID"]):
        with pytest.raises(dm.CohortError, match="reset_index"):
            dm.verdicts(cohort, table.drop(columns=gone))


def test_a_label_that_is_not_repeated_needs_no_cells() -> None:
    cohort = pd.DataFrame({"arm": ["a", "b", "c"]}, index=["x", "x", "y"])
    found = pd.DataFrame(
        {"cohort_row": ["y", "x"], "arm": ["edited", "b"], "outcome": "empty", "matches": 0, "filtered": 0}
    )
    assert positions_in(cohort, found) == [[2], [1]]


def test_a_plain_table_that_was_moved() -> None:
    cohort = pd.DataFrame({"StudyInstanceUID": ["1.1", "1.*", "1.1"], "arm": ["a", "b", "c"]}, index=["x", "x", "y"])
    rows = [Row(outcome="complete", expected=2), Row(outcome="invalid"), Row(outcome="complete", expected=2)]
    made = dm.verdicts(cohort, result_table(cohort, rows))
    assert values(made, "studies", "studies_complete", "outcome") == [
        [1, 1, "complete"],
        [0, 0, "invalid"],
        [1, 1, "complete"],
    ]
    assert made["arm"].tolist() == ["a", "b", "c"]
    # A file has lost the index, and the rows are the same.
    lost = result_table(cohort, rows).reset_index(drop=True)
    assert dm.verdicts(cohort, lost)["outcome"].tolist() == ["complete", "invalid", "complete"]
    plain = cohort.reset_index(drop=True)
    assert dm.verdicts(plain, result_table(plain, rows)[1:])["outcome"].tolist() == [
        "not_attempted",
        "invalid",
        "complete",
    ]
    backwards = result_table(plain, rows).iloc[::-1]
    assert dm.verdicts(plain, backwards)["outcome"].tolist() == ["complete", "invalid", "complete"]
    elsewhere = result_table(plain, rows).set_axis([0, 1, 7])
    first = result_table(cohort, rows)[:2]
    with pytest.raises(dm.CohortError, match="cohort_row"):
        dm.verdicts(plain, elsewhere.assign(arm="edited"))
    for other in (lost.iloc[::-1].reset_index(drop=True), lost[:2], first, first[1:]):
        with pytest.raises(dm.CohortError, match="cohort_row"):
            dm.verdicts(cohort, other)


def test_repeated_labels_in_the_order_of_the_cohort_need_no_cells() -> None:
    cohort = pd.DataFrame({"StudyInstanceUID": "1.1", "arm": ["a", "b"]}, index=["x", "x"])
    moved = result_table(cohort, [Row(outcome="complete"), Row(outcome="failed")]).assign(arm="edited")
    assert dm.verdicts(cohort, moved)["outcome"].tolist() == ["complete", "failed"]


def test_labels_that_were_exchanged_in_a_cohort_without_a_key() -> None:
    cohort = pd.DataFrame({"StudyInstanceUID": ["1.1", "1.2"], "age": ["50", "60"]}, index=["x", "y"])
    moved = result_table(cohort, [Row(outcome="complete"), Row(outcome="failed")])
    own = cohort[["age"]]
    for right in (
        own,
        own.iloc[::-1],
        own.assign(age=["51", "60"]),
        own.assign(age="60"),
        own[[]].set_axis(["y", "x"]),
    ):
        dm.verdicts(right, moved)
    with pytest.warns(dm.errors.CohortWarning, match="2 rows of the results have other cells"):
        dm.verdicts(own.set_axis(["y", "x"]), moved)


@pytest.mark.parametrize("key", ["StudyInstanceUID", "study uid", "PatientID"])
def test_a_plain_table_whose_rows_were_numbered_anew(tmp_path: Path, key: str) -> None:
    """Its index is then the one of the cohort, with other rows behind the labels."""
    cohort = pd.DataFrame({key: ["1.2.7", "1.2.8", "1.2.9"], "arm": list("abc"), "StudyDate": ""}, index=[2, 0, 1])
    moved = result_table(cohort, [Row(outcome="complete"), Row(outcome="empty"), Row(outcome="failed")])
    outcomes = ["complete", "empty", "failed"]
    read = as_text(moved, tmp_path / "moved")
    edited = moved.assign(StudyDate="edited", arm="edited")
    for table in (read, moved.iloc[[2, 0, 1]], edited.iloc[::-1], moved.drop(columns=key).iloc[::-1]):
        assert dm.verdicts(cohort, table)["outcome"].tolist() == outcomes
    assert dm.verdicts(cohort.sort_index(), moved)["outcome"].tolist() == ["empty", "failed", "complete"]
    for other in (read[:1], moved.iloc[::-1].set_axis(cohort.index)):
        with pytest.raises(dm.CohortError, match="cohort_row"):
            dm.verdicts(cohort, other)


def test_a_patient_id_that_pandas_has_made_a_number() -> None:
    cohort = pd.DataFrame({"PatientID": ["007", "008"]})
    moved = result_table(cohort, [Row(outcome="complete"), Row(outcome="empty")]).assign(PatientID=[7.0, 8.0])
    assert dm.verdicts(cohort, moved.iloc[::-1])["outcome"].tolist() == ["complete", "empty"]


@pytest.mark.parametrize(
    ("cohort", "table", "said"),
    [
        (ONE, results(("b", "1.1", "complete", {})), "another cohort"),
        (ONE, ONE, "column outcome"),
        (ONE, None, "two DataFrames"),
        ("cohort.csv", ONE, "two DataFrames"),
    ],
)
def test_results_that_cannot_be_assigned_have_an_error(cohort: Any, table: Any, said: str) -> None:
    with pytest.raises(dm.CohortError, match=said):
        dm.verdicts(cohort, table)


def test_a_table_of_find_that_was_searched_again_has_its_own_labels() -> None:
    """Row 1 of the first search is another match of row 0 of the cohort."""
    cohort = pd.DataFrame({"PatientID": ["7", "8", "9"]})
    series = {"cohort_row": [0, 1, 2], "outcome": "matched", "matches": 1, "filtered": 0}
    again = pd.DataFrame(
        {
            **series,
            "asked_by": "StudyInstanceUID",
            "StudyInstanceUID": ["1.1", "1.2", "1.3"],
            "PatientID": ["7", "7", "8"],
        }
    )
    first = again.drop(columns="asked_by").assign(asked_by="PatientID", outcome="complete", matches=[2, 2, 1])
    with pytest.raises(dm.CohortError, match=r"row 1 .* another PatientID .* give verdicts\(\) that table"):
        dm.verdicts(cohort, again)
    with pytest.raises(dm.CohortError, match=r"row 2 .* does not have.* give verdicts\(\) that table"):
        dm.verdicts(cohort[:2], again)
    assert dm.verdicts(first, again)["studies"].tolist() == [1, 1, 1]
    assert dm.verdicts(cohort, again.assign(cohort_row=[0, 0, 1]))["studies"].tolist() == [2, 1, 0]


def test_no_rows() -> None:
    made = dm.verdicts(pd.DataFrame({"PatientID": []}, dtype=str), results(("a", "1.1", "complete", {}))[:0])
    assert made.columns.tolist() == ["PatientID", *VERDICT_COLUMNS]
    assert len(made) == 0


def test_what_is_on_disk(tmp_path: Path) -> None:
    source = Synthetic(studies=4, series=1, instances=2, size=64, patients=2)
    cohort = pd.DataFrame({"PatientID": ["SYN000002", "SYN000001", "NOBODY"]}, index=["b", "a", "c"])
    uids = list(dict.fromkeys(one.study_instance_uid for one in source.instances_of_all()))
    lost = faults.SomeFail(studies=(uids[0],))
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, lost, source=source) as pacs:
        moved = dm.move(dm.find(cohort, pacs, progress=False), pacs, receiver, progress=False)
    made = dm.verdicts(cohort, moved)
    assert int(made["received"].sum()) == len(receiving.files(tmp_path))
    assert sorted(made["outcome"]) == ["complete", "empty", "partial"]
    assert made.loc["c", "outcome"] == "empty"
    assert int(made["missing"].sum()) == 8 - len(receiving.files(tmp_path))
    assert made["studies"].tolist() == [2, 2, 0]


@dataclass(frozen=True)
class BreaksOffFind(faults.FinalStatus):
    """After the matches, C-FIND fails."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)


def test_an_answer_of_find_that_broke_off_is_not_forgotten(tmp_path: Path) -> None:
    """All that was found is complete, and the PACS may have more: also after another move, and in the journal."""
    source = Synthetic(studies=2, series=1, instances=2, size=64, patients=1)
    cohort = pd.DataFrame({"PatientID": ["SYN000001"]})
    journal = tmp_path / "pull.sqlite"
    with RehearsalPacs(source, [BreaksOffFind(0xC001)]) as pacs:
        studies = dm.find(cohort, pacs, progress=False)
    assert studies["outcome"].tolist() == ["partial"] * 2
    with RehearsalPacs(source) as pacs:
        moved = dm.move(studies, pacs, pacs.destination, journal=journal, progress=False)
        again = dm.move(moved, pacs, pacs.destination, journal=journal, progress=False)
    for table in (moved, again, dm.read_journal(journal), dm.read_journal(journal, run=1)):
        assert table["outcome"].tolist() == ["complete"] * 2
        said = dm.verdicts(cohort, table)
        assert said["outcome"].tolist() == ["partial"]
        assert said["studies_complete"].tolist() == [2]
        assert str(said["advice"][0]).count("broke off") == 1
