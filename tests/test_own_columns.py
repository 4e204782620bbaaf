"""A column of the caller's own that bears the name of one of ours is kept, in tables and in files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove import columns
from dicomove.columns import FIND_COLUMNS, PLAN_COLUMNS, RESULT_COLUMNS
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.testing.rehearsal import RunningPacs

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=2, series=1, instances=2, size=64, patients=2)
UIDS = list(dict.fromkeys(one.study_instance_uid for one in SOURCE.instances_of_all()))
PATIENTS = ["SYN000001", "SYN000002"]


@pytest.fixture(scope="module")
def pacs() -> Iterator[RunningPacs]:
    with RehearsalPacs(SOURCE) as running:
        yield running


def find(table: pd.DataFrame, pacs: RunningPacs, **options: object) -> pd.DataFrame:
    return dm.find(table, pacs, progress=False, **options)  # type: ignore[arg-type]  # as they are given


def move(table: pd.DataFrame, pacs: RunningPacs, **options: object) -> pd.DataFrame:
    return dm.move(table, pacs, pacs.destination, progress=False, **options)  # type: ignore[arg-type]  # likewise


def plan(table: pd.DataFrame, pacs: RunningPacs, **options: object) -> pd.DataFrame:
    return dm.plan(table, pacs, progress=False, **options)  # type: ignore[arg-type]  # likewise


def in_background(table: pd.DataFrame, pacs: RunningPacs) -> pd.DataFrame:
    return dm.start_move(table, pacs, pacs.destination, progress=False).wait()


def cohort(**own: object) -> pd.DataFrame:
    return pd.DataFrame({"PatientID": PATIENTS, "StudyInstanceUID": UIDS} | own)


def own(table: pd.DataFrame, name: str) -> list[object]:
    return table[name].astype(object).tolist()


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        (find, ["cohort_row", *FIND_COLUMNS]),
        (move, list(RESULT_COLUMNS)),
        (in_background, ["outcome", "expected", "resumed"]),
        (plan, [name for name in PLAN_COLUMNS if name != "QueryRetrieveLevel"]),
    ],
)
def test_each_name_alone_is_the_callers_own(
    verb: Callable[[pd.DataFrame, RunningPacs], pd.DataFrame], names: list[str], pacs: RunningPacs
) -> None:
    for name in names:
        table = cohort(**{name: ["died", "alive"]}, arm=["a", "b"])
        with pytest.warns(dm.errors.CohortWarning, match=f"{name}_cohort") as said:
            made = verb(table, pacs)
        assert len(said) == 1
        assert said[0].filename == __file__
        assert "died" not in str(said[0].message)
        assert own(made, f"{name}_cohort") == ["died", "alive"]
        assert own(made, "arm") == ["a", "b"]
        assert list(made.columns).count(name) == 1
        assert "died" not in own(made.astype(str), name)
        assert own(table, name) == ["died", "alive"]


def test_one_warning_names_all_and_a_name_that_is_taken_gets_a_number(pacs: RunningPacs) -> None:
    table = cohort(outcome=["died", "alive"], outcome_cohort=["x", "y"], status=["s", "t"])
    with pytest.warns(dm.errors.CohortWarning, match=r"\(outcome, status\).* outcome_cohort_2, status_cohort$") as said:
        results = move(table, pacs)
    assert len(said) == 1
    assert own(results, "outcome_cohort") == ["x", "y"]
    assert own(results, "outcome_cohort_2") == ["died", "alive"]


def test_from_find_through_plan_and_move_and_again(pacs: RunningPacs) -> None:
    table = cohort(outcome=["died", "alive"], expected=["2 years", "5 years"], action=["operated", "none"])
    with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort$"):
        studies = find(table, pacs)
    with pytest.warns(dm.errors.CohortWarning, match="action_cohort"):
        planned = plan(studies, pacs)
    with pytest.warns(dm.errors.CohortWarning, match="expected_cohort$"):
        results = move(studies, pacs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = [move(planned, pacs), move(results, pacs), move(move(planned, pacs), pacs), find(results, pacs)]
        made.append(plan(move(planned, pacs), pacs))
    for each in (planned, results, *made):
        assert own(each, "outcome_cohort") == ["died", "alive"]
        assert own(each, "expected_cohort") == ["2 years", "5 years"]
        assert not [name for name in each.columns if str(name).endswith("_cohort_2")]
    assert own(made[0], "action_cohort") == ["operated", "none"]


def test_a_table_of_an_earlier_version_is_one_of_an_earlier_run(pacs: RunningPacs) -> None:
    before = move(cohort(), pacs).drop(columns="resumed").astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = move(before, pacs)
    assert list(results.columns) == ["PatientID", "StudyInstanceUID", *RESULT_COLUMNS]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
@pytest.mark.parametrize("edited", [False, True])
def test_in_files(pacs: RunningPacs, tmp_path: Path, suffix: str, *, edited: bool) -> None:
    table = cohort(outcome=["died", "alive"], total=["all", "none"])
    journal = tmp_path / "pull.sqlite"
    with pytest.warns(dm.errors.CohortWarning):
        results = move(table, pacs, journal=journal)
    pd.testing.assert_frame_equal(dm.read_journal(journal), results)
    path = dm.export(results, tmp_path / f"results{suffix}")
    if edited and suffix == ".csv":
        path.with_name(f"{path.name}.schema.json").unlink()
    back = dm.read_results(path)
    assert own(back, "outcome_cohort") == ["died", "alive"]
    assert own(back, "total_cohort") == ["all", "none"]
    assert own(back, "outcome") == ["complete", "complete"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own(move(dm.read_cohort(path), pacs) if suffix == ".csv" else results, "total_cohort") == ["all", "none"]


def test_repeated_labels_and_labels_of_several_levels(pacs: RunningPacs) -> None:
    table = pd.DataFrame([[*pair, "a", "b"] for pair in zip(PATIENTS, UIDS, strict=True)])
    table.columns = pd.Index(["PatientID", "StudyInstanceUID", "outcome", "outcome"])
    with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort, outcome_cohort_2"):
        results = move(table, pacs)
    assert [own(results, name)[0] for name in ("outcome", "outcome_cohort", "outcome_cohort_2")] == [
        "complete",
        "a",
        "b",
    ]
    table.columns = pd.MultiIndex.from_tuples(
        [("PatientID", ""), ("StudyInstanceUID", ""), ("outcome", ""), ("outcome", "late")], names=["what", "when"]
    )
    with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort"):
        studies = find(table, pacs)
    assert studies.columns.names == ["what", "when"]
    assert own(studies, ("outcome_cohort", "")) == ["a", "a"]  # type: ignore[arg-type]  # a label of two levels
    assert own(studies, ("outcome", "late")) == ["b", "b"]  # type: ignore[arg-type]  # likewise
    results = move(studies, pacs)
    assert own(results, ("outcome", "")) == ["complete", "complete"]  # type: ignore[arg-type]  # likewise
    assert own(results, ("outcome_cohort", "")) == ["a", "a"]  # type: ignore[arg-type]  # likewise
    assert own(results, ("outcome", "late")) == ["b", "b"]  # type: ignore[arg-type]  # likewise


def test_own_columns_joined_to_a_table_of_ours(pacs: RunningPacs) -> None:
    results = move(cohort(), pacs)
    clinical = pd.DataFrame({"outcome": ["died", "alive"]})
    for joined in (pd.concat([results, clinical], axis=1), pd.concat([clinical, results], axis=1)):
        with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort$"):
            again = move(joined, pacs)
        assert own(again, "outcome_cohort") == ["died", "alive"]
        assert own(again, "outcome") == ["complete", "complete"]


# Attributes: where a match has something else, what the cohort had.


def test_an_own_asked_column_is_kept(pacs: RunningPacs) -> None:
    table = pd.DataFrame({"PatientID": ["SYN00000*"], "PatientID_asked": ["mine"]})
    with pytest.warns(dm.errors.CohortWarning, match="PatientID_asked_cohort"):
        studies = find(table, pacs)
    assert own(studies, "PatientID_asked_cohort") == ["mine", "mine"]
    assert own(studies, "PatientID_asked") == ["SYN00000*"] * 2
    assert own(studies, "PatientID") == PATIENTS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = find(studies, pacs, level="SERIES")
    assert own(series, "PatientID_asked") == ["SYN00000*"] * 2


def test_own_numbers_of_instances_are_kept(pacs: RunningPacs) -> None:
    studies = find(cohort(NumberOfStudyRelatedInstances=["2", "many"]), pacs)
    assert own(studies, "NumberOfStudyRelatedInstances") == [2, 2]
    assert own(studies, "NumberOfStudyRelatedInstances_asked") == ["2", "many"]
    assert "NumberOfStudyRelatedInstances_asked" not in find(cohort(NumberOfStudyRelatedInstances=[2, 2]), pacs)


def test_repeated_attributes_are_kept(pacs: RunningPacs) -> None:
    table = pd.DataFrame([[UIDS[0], "a", "b"]], columns=["StudyInstanceUID", "PatientComments", "PatientComments"])
    with pytest.warns(dm.errors.CohortWarning, match="PatientComments_cohort, PatientComments_cohort_2"):
        studies = find(table, pacs, keys=["PatientComments"])
    assert (own(studies, "PatientComments_cohort"), own(studies, "PatientComments_cohort_2")) == (["a"], ["b"])


def test_levels_that_a_plan_replaces_are_kept_where_they_said_something_else(pacs: RunningPacs) -> None:
    table = cohort(QueryRetrieveLevel=[" study", None])
    assert own(plan(table, pacs), "QueryRetrieveLevel") == ["STUDY", "STUDY"]
    with pytest.warns(dm.errors.CohortWarning, match="QueryRetrieveLevel_cohort"):
        planned = plan(cohort(QueryRetrieveLevel=["SERIES", "SERIES"]), pacs, level="STUDY")
    assert own(planned, "QueryRetrieveLevel") == ["STUDY", "STUDY"]
    assert own(planned, "QueryRetrieveLevel_cohort") == ["SERIES", "SERIES"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["outcome", "advice"], set()),
        ([*RESULT_COLUMNS], set(range(len(RESULT_COLUMNS)))),
        ([*RESULT_COLUMNS[:-1]], set()),
        (["outcome", *RESULT_COLUMNS], set(range(1, len(RESULT_COLUMNS) + 1))),
        ([*RESULT_COLUMNS, 7, "outcome"], set(range(len(RESULT_COLUMNS)))),
        ([*PLAN_COLUMNS, "total"], set(range(len(PLAN_COLUMNS)))),
        ([], set()),
    ],
)
def test_ours_are_known_as_a_set(labels: list[object], expected: set[int]) -> None:
    assert columns.ours(labels) == expected
