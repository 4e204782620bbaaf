"""Rows of a table of `find` that the user has changed since: PatientID and UIDs that do not belong together."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from pydicom.dataset import Dataset

import dicomove as dm
from dicomove.run.attempt.inventory import Verify
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.faults.base import FindFault, Refuse, Request
from dicomove.testing.rehearsal import RunningPacs
from tests import receiving

pytestmark = pytest.mark.timeout(60)


@dataclass(frozen=True)
class FindsPatient(FindFault):
    """C-FIND says that all studies are of one patient."""

    patient: str = ""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002
        for match in matches:
            match.PatientID = self.patient
        return matches


SOURCE = Synthetic(studies=3, series=1, instances=2, size=64, patients=3)
UIDS = list(dict.fromkeys(one.study_instance_uid for one in SOURCE.instances_of_all()))
COHORT = pd.DataFrame({"PatientID": ["SYN000001", "SYN000002", "SYN000003"]})
_KEPT = ["cohort_row", "outcome", "matches", "filtered", "asked_by"]
Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def pacs() -> Iterator[RunningPacs]:
    with RehearsalPacs(SOURCE) as running:
        yield running


@pytest.fixture(scope="module")
def found(pacs: RunningPacs) -> pd.DataFrame:
    return dm.find(COHORT, pacs, progress=False)


def move(table: pd.DataFrame, pacs: RunningPacs, verify: Verify = "auto") -> tuple[pd.DataFrame, list[str]]:
    """Return the results, and the commands that the PACS got."""
    before = len(pacs.requests())
    results = dm.move(table, pacs, pacs.destination, verify=verify, progress=False)
    return results, pacs.requests()["command"].tolist()[before:]


def with_patients_of(cohort: pd.DataFrame) -> Change:
    """Return a change that a join by position makes: the patients of another table beside the UIDs."""
    return lambda table: cohort.join(table.drop(columns="PatientID"))


@pytest.mark.parametrize(
    ("change", "others"),
    [
        (lambda table: table.assign(StudyInstanceUID=table["StudyInstanceUID"][::-1].tolist()), [0, 2]),
        (lambda table: table.assign(PatientID=table["PatientID"][::-1].tolist()), [0, 2]),
        (lambda table: table[::-1].reset_index(drop=True).assign(PatientID=COHORT["PatientID"]), [0, 2]),
        (with_patients_of(COHORT[::-1].reset_index(drop=True)), [0, 2]),
        (lambda table: pd.concat([table, table.assign(PatientID="SYN000002")]), [3, 5]),
    ],
)
@pytest.mark.parametrize("verify", ["auto", "arrivals"])
def test_a_patient_beside_the_uid_of_another_is_not_moved(
    change: Change, others: list[int], verify: Verify, pacs: RunningPacs, found: pd.DataFrame
) -> None:
    results, commands = move(change(found), pacs, verify)
    wrong = [place for place, error in enumerate(results["error"].tolist()) if error == "other_patient"]
    assert wrong == others
    assert results["outcome"].tolist().count("complete") == len(results) - len(others)
    assert commands.count("C-MOVE") == (3 if len(results) > 3 else 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.sort_values("StudyInstanceUID", ascending=False),
        lambda table: table.assign(PatientID=None),
        lambda table: table.drop(columns="PatientID"),
        lambda table: table.astype("category").rename(columns={"PatientID": "mrn"}),
    ],
)
def test_nothing_is_asked_for_rows_that_are_as_they_were(
    change: Change, pacs: RunningPacs, found: pd.DataFrame
) -> None:
    results, commands = move(change(found), pacs)
    assert results["outcome"].tolist() == ["complete"] * 3
    assert commands == ["C-MOVE"] * 3


@pytest.mark.parametrize("level", ["SERIES", "IMAGE"])
def test_answers_that_name_no_study_are_of_the_row_if_the_pacs_searches_by_its_uid(level: str) -> None:
    table = pd.DataFrame({"StudyInstanceUID": UIDS[:1]})
    with RehearsalPacs(SOURCE, faults.FindWithoutUpperUids()) as pacs:
        found = dm.find(table, pacs, level=level, progress=False)
    assert len(found) == (1 if level == "SERIES" else 2)
    assert set(found["outcome"]) == {"matched"}
    with (
        RehearsalPacs(SOURCE, receiving.OF_ALL_PATIENTS) as pacs,
        pytest.warns(dm.errors.FindWarning, match="left out"),
    ):
        found = dm.find(table, pacs, level=level, progress=False)
    assert (found["outcome"].tolist(), found["filtered"].tolist()) == (["empty"], [3])
    assert "came without StudyInstanceUID, and the PACS ignores it in a search" in found["advice"][0]


def test_a_search_below_a_changed_row_compares_the_patient(pacs: RunningPacs, found: pd.DataFrame) -> None:
    changed = found.assign(StudyInstanceUID=[UIDS[1], *found["StudyInstanceUID"][1:]])
    with pytest.warns(dm.errors.FindWarning, match="left out"):
        series = dm.find(changed, pacs, level="SERIES", progress=False)
    assert series["outcome"].tolist() == ["empty", "matched", "matched"]


def test_the_digests_name_no_patient_and_can_be_written_to_a_file(
    found: pd.DataFrame, tmp_path: Path, pacs: RunningPacs
) -> None:
    """Another process makes others of the same table, and asks for the patient."""
    assert "SYN" not in str(found.attrs)
    found.to_parquet(tmp_path / "found.parquet")
    again = pd.read_parquet(tmp_path / "found.parquet")
    assert again.attrs == found.attrs
    again.attrs = {name: f"0{value[1:]}" if value[0] != "0" else f"1{value[1:]}" for name, value in again.attrs.items()}
    results, commands = move(again, pacs)
    assert results["outcome"].tolist() == ["complete"] * 3
    assert commands == ["C-FIND", "C-MOVE"] * 3


@pytest.fixture(scope="module")
def right(found: pd.DataFrame) -> dict[str, str]:
    """The cells of a row that names the first study and its patient."""
    names = ["StudyInstanceUID", "PatientID", "AccessionNumber"]
    return {name: found[name].iloc[0] for name in names} | {"PatientName": "SYNTHETIC^SYN000001"}


ANOTHER = {"PatientName": "Roe^Richard", "PatientBirthDate": "19830419"}


@pytest.mark.parametrize(
    ("named", "other", "error"),
    [
        (["PatientID"], ANOTHER, "other_patient"),
        (["AccessionNumber"], ANOTHER, "other_patient"),
        (["AccessionNumber"], ANOTHER | {"AccessionNumber": "A99"}, "invalid_row"),
        (["PatientID", "AccessionNumber"], ANOTHER, "other_patient"),
        ([], {"PatientID": "SYN000002"}, "other_patient"),
        ([], {"AccessionNumber": "A99"}, "invalid_row"),
        (["PatientID"], {"AccessionNumber": "A99"}, "invalid_row"),
        (["PatientID"], {"PatientID": "SYN000001", "AccessionNumber": "A99"}, "invalid_row"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_each_of_the_rows_of_one_study_is_compared_by_itself(
    named: list[str], other: dict[str, str], error: str, is_first: bool, pacs: RunningPacs, right: dict[str, str]
) -> None:
    uid = {"StudyInstanceUID": right["StudyInstanceUID"]}
    rows = [uid | {name: right[name] for name in named}, uid | other]
    table = pd.DataFrame(rows if is_first else rows[::-1])
    results, commands = move(table, pacs)
    errors = results["error"].astype(object).where(results["error"].notna(), None).tolist()
    assert errors == ([None, error] if is_first else [error, None])
    assert commands.count("C-MOVE") == 1
    assert dm.plan(table, pacs, progress=False)["action"].tolist().count("invalid") == 1


def test_rows_of_one_study_that_are_right_share_one_move(pacs: RunningPacs, right: dict[str, str]) -> None:
    uid = {"StudyInstanceUID": right["StudyInstanceUID"]}
    names = ["PatientID", "AccessionNumber", "PatientName"]
    table = pd.DataFrame([uid, *(uid | {name: right[name]} for name in names), right | {"AccessionNumber": "A99"}])
    results, commands = move(table, pacs)
    assert results["outcome"].tolist() == ["complete"] * 5
    assert results["completed"].tolist() == [2] * 5
    assert commands.count("C-MOVE") == 1
    planned = dm.plan(table, pacs, progress=False)
    assert planned["action"].tolist() == ["move", *["repeated"] * 4]
    results, commands = move(planned, pacs)
    assert results["outcome"].tolist() == ["complete"] * 5
    assert commands.count("C-MOVE") == 1


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2], [2, 1, 0], [1, 2]])
def test_a_spelling_between_two_patients_does_not_make_them_one(order: list[int]) -> None:
    patients = ["7-1", "7", "7-2"]
    with RehearsalPacs(SOURCE, FindsPatient("7-1")) as pacs:
        table = pd.DataFrame({"StudyInstanceUID": UIDS[0], "PatientID": [patients[one] for one in order]})
        results, _ = move(table, pacs)
    assert results["outcome"].tolist() == [["complete", "complete", "invalid"][one] for one in order]


@pytest.mark.parametrize("verify", ["auto", "arrivals"])
@pytest.mark.filterwarnings("ignore::dicomove.errors.VerificationWarning")
def test_without_an_answer_the_row_says_that_its_patient_was_not_compared(verify: Verify, tmp_path: Path) -> None:
    """A later run with the same journal does not count such a row as compared."""
    table = pd.DataFrame({"PatientID": ["SYN000002", ""], "StudyInstanceUID": UIDS[:2]})
    runs: list[pd.DataFrame] = []
    port = 0
    for met in ([faults.AnswersFind(0xA900)], [faults.AnswersFind(0xA900)], []):
        with RehearsalPacs(SOURCE, met, port=port) as pacs:
            port = pacs.port  # the journal knows the PACS by its address
            to = pacs.destination
            runs.append(dm.move(table, pacs, to, verify=verify, journal=tmp_path / "journal", progress=False))
    for results in runs[:2]:
        assert results["outcome"].tolist() == ["complete"] * 2
        said = results["advice"].str.contains("was not compared with the PACS", na=False)
        assert said.tolist() == [True, False]
    assert runs[1]["attempts"].tolist() == [0, 0]
    assert runs[2]["error"].tolist()[0] == "other_patient"


@dataclass(frozen=True)
class RefusesPatients(FindFault):
    """C-FIND with a PatientID is refused."""

    def on_query(self, request: Request, identifier: Dataset) -> None:  # noqa: ARG002 (as in `Fault`)
        if identifier.get("PatientID"):
            raise Refuse(0xA900, "")


OF_A_SERIES = pd.DataFrame({"StudyInstanceUID": UIDS[:1], "SeriesInstanceUID": f"{UIDS[0]}.1"})
OF_A_STUDY = pd.DataFrame({"StudyInstanceUID": UIDS[:1], "PatientID": "SYN000001"})


@pytest.mark.parametrize(
    ("table", "met"),
    [
        (OF_A_SERIES, [faults.AnswersFind(0xA900)]),
        (OF_A_SERIES.assign(PatientID="SYN000001"), [faults.AnswersFind(0xA900)]),
        (OF_A_STUDY, [faults.FindWithoutPatientId(), RefusesPatients()]),
    ],
    ids=["the study of a series", "both", "a blank patient"],
)
@pytest.mark.filterwarnings("ignore::dicomove.errors.VerificationWarning")
def test_each_comparison_without_an_answer_is_told_once(
    table: pd.DataFrame, met: list[faults.Fault], tmp_path: Path
) -> None:
    with RehearsalPacs(SOURCE, met) as pacs:
        planned = dm.plan(table, pacs, pacs.destination, progress=False)
        results = dm.move(table, pacs, pacs.destination, progress=False)
    assert results["outcome"].tolist() == ["complete"]
    for made in (planned, results):
        assert made["advice"][0].count("was not compared with the PACS") == 1
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, *met, source=SOURCE) as other:
        results = receiving.move(table, other, receiver)
    assert results["outcome"].tolist() == ["complete"]
    assert "was not compared" not in str(results["advice"][0])  # the images say it


@pytest.mark.parametrize("patient", ["SYN000001", "SYN000002"])
@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_where_the_pacs_leaves_the_patient_blank_it_is_asked_by_both(patient: str, level: str) -> None:
    """As in `find`, and with a receiver not at all: the images say it."""
    table = pd.DataFrame({"PatientID": [patient], "StudyInstanceUID": UIDS[:1], "SeriesInstanceUID": f"{UIDS[0]}.1"})
    is_right = patient == "SYN000001"
    with RehearsalPacs(SOURCE, faults.FindWithoutPatientId()) as pacs:
        planned = dm.plan(table, pacs, pacs.destination, level=level, progress=False)
        results = dm.move(table, pacs, pacs.destination, level=level, progress=False)
        unknown, commands = move(table.assign(StudyInstanceUID="1.2.3.4", SeriesInstanceUID=None), pacs)
    assert planned["action"].tolist() == ["move" if is_right else "invalid"]
    assert results["outcome"].tolist() == ["complete" if is_right else "invalid"]
    assert (results["error"] == "other_patient").tolist() == [not is_right]
    assert unknown["outcome"].tolist() == ["empty"]
    assert commands.count("C-MOVE") == 1


def test_one_right_column_of_several_is_enough_if_the_pacs_leaves_the_patient_blank() -> None:
    table = pd.DataFrame({"mrn": ["SYN000002"], "Patient ID": ["SYN000001"], "StudyInstanceUID": UIDS[:1]})
    with RehearsalPacs(SOURCE, faults.FindWithoutPatientId()) as pacs:
        results, _ = move(table, pacs)
    assert results["outcome"].tolist() == ["complete"]


SERIES = [f"{UIDS[0]}.{number}" for number in (1, 2)]


@pytest.mark.parametrize(
    "more",
    [
        {"SeriesInstanceUID": SERIES},
        {"SeriesInstanceUID": [None, SERIES[1]]},
        {"PatientName": ["SYNTHETIC^SYN000001", "Roe^Richard"]},
        {"PatientName": ["SYNTHETIC^SYN000001"] * 2},
    ],
)
@pytest.mark.filterwarnings("ignore:1 of 2 rows lack a UID")
def test_nothing_of_a_study_is_moved_if_the_pacs_does_not_say_which_of_two_patients_it_is_of(
    more: dict[str, list[str | None]],
) -> None:
    table = RIVALS.join(pd.DataFrame(more))
    source = Synthetic(studies=1, series=2, instances=1, size=64)
    with RehearsalPacs(source, faults.FindWithoutPatientId()) as pacs:
        planned = dm.plan(table, pacs, pacs.destination, progress=False)
        results, commands = move(table, pacs)
    assert planned["action"].tolist() == results["outcome"].tolist() == ["invalid"] * 2
    assert results["error"].tolist() == ["invalid_row"] * 2
    assert "C-MOVE" not in commands


def test_patient_root_asks_for_the_study_below_its_patient(pacs: RunningPacs, found: pd.DataFrame) -> None:
    """Some PACS, Orthanc for one, move a study by its UID alone."""
    changed = found.assign(PatientID=found["PatientID"][::-1].tolist())
    planned = dm.plan(changed, pacs, query_model="PatientRoot", progress=False)
    assert planned["action"].tolist() == ["invalid", "move", "invalid"]
    before = len(pacs.requests())
    for table, error in ((found, None), (changed, "other_patient")):
        results = dm.move(table, pacs, pacs.destination, query_model="PatientRoot", progress=False)
        assert results["error"].astype(object).where(results["error"].notna(), None).tolist() == [error, None, error]
    commands = pacs.requests()["command"].tolist()[before:]
    of_another = ["C-FIND"] * 3  # its other keys, the study below the patient, the patient of the study
    assert commands == ["C-MOVE"] * 3 + of_another + ["C-MOVE"] + of_another


def test_patient_root_moves_a_patient_in_another_spelling_with_a_remark(pacs: RunningPacs) -> None:
    table = pd.DataFrame({"PatientID": ["syn000001"], "StudyInstanceUID": UIDS[:1]})
    planned = dm.plan(table, pacs, query_model="PatientRoot", progress=False)
    results = dm.move(table, pacs, pacs.destination, query_model="PatientRoot", progress=False)
    assert results["attempts"].tolist() == [1]
    for advice in (planned["advice"][0], results["advice"][0]):
        assert "under another PatientID than the row names" in advice


@pytest.mark.parametrize("spelling", ["syn000001", "SYN000001^^^HOSP", "SYN 000001"])
def test_another_spelling_of_a_patient_is_named_where_no_receiver_does_so(spelling: str, pacs: RunningPacs) -> None:
    table = pd.DataFrame({"PatientID": [spelling], "StudyInstanceUID": [UIDS[0]]})
    planned = dm.plan(table, pacs, progress=False)
    results, _ = move(table, pacs)
    assert results["outcome"].tolist() == ["complete"]
    for advice in (planned["advice"][0], results["advice"][0]):
        assert "under another PatientID than the row names" in advice
        assert spelling not in advice


RIVALS = pd.DataFrame({"PatientID": ["SYN000001", "SYN000002"], "StudyInstanceUID": UIDS[:1] * 2})


@pytest.mark.parametrize(
    ("fault", "outcome", "error"),
    [
        (faults.AnswersFind(0xA700), "failed", "out_of_resources"),
        (faults.AbortsAssociation(), "unreachable", "association_aborted"),
        (faults.FindWithoutPatientId(), "invalid", "invalid_row"),
    ],
)
def test_where_no_c_find_says_whose_a_study_is_no_row_with_another_patient_gets_it(
    fault: faults.Fault, outcome: str, error: str
) -> None:
    with RehearsalPacs(SOURCE, fault) as pacs:
        results, commands = move(RIVALS, pacs)
    assert results["outcome"].tolist() == [outcome] * 2
    assert results["error"].tolist() == [error] * 2
    assert "C-MOVE" not in commands


def test_a_retry_asks_again_whose_a_study_is() -> None:
    with RehearsalPacs(SOURCE, faults.AnswersFind(0xA700, attempts=1)) as pacs:
        results = dm.move(RIVALS, pacs, pacs.destination, retry=dm.Retry(2, wait=0), progress=False)
    assert results["outcome"].tolist() == ["complete", "invalid"]


def test_a_series_of_a_plan_that_was_exchanged_is_looked_up_again(
    pacs: RunningPacs, found: pd.DataFrame, tmp_path: Path
) -> None:
    """Some PACS, Orthanc for one, move a series by its UID alone."""
    series = dm.find(found, pacs, level="SERIES", progress=False)
    typed = series[["PatientID", "StudyInstanceUID", "SeriesInstanceUID"]]
    planned = dm.plan(typed, pacs, progress=False)
    results, commands = move(planned.head(1), pacs)
    assert results["outcome"].tolist() == ["complete"]
    assert commands == ["C-FIND", "C-MOVE"]
    exchanged = planned.assign(SeriesInstanceUID=planned["SeriesInstanceUID"][::-1].tolist()).head(1)
    exchanged.to_csv(tmp_path / "plan.csv", index=False)
    for table in (exchanged, dm.read_cohort(tmp_path / "plan.csv")):
        results, commands = move(table, pacs)
        assert results["outcome"].tolist() == ["empty"]
        assert "C-MOVE" not in commands
    planned.head(1).to_csv(tmp_path / "plan.csv", index=False)
    results, commands = move(dm.read_cohort(tmp_path / "plan.csv"), pacs)
    assert results["outcome"].tolist() == ["complete"]
    assert commands == ["C-FIND", "C-FIND", "C-MOVE"]


def from_file(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return a table as it comes from a file: without digests."""
    table.to_csv(folder / "found.csv", index=False)
    return dm.read_cohort(folder / "found.csv")


@pytest.mark.parametrize("level", ["STUDY", "SERIES"])
def test_a_search_over_a_file_of_find_compares_the_patient(
    level: str, pacs: RunningPacs, found: pd.DataFrame, tmp_path: Path
) -> None:
    table = from_file(found.assign(PatientID=found["PatientID"][::-1].tolist()), tmp_path)
    with pytest.warns(dm.errors.FindWarning, match="left out"):
        again = dm.find(table, pacs, level=level, progress=False)
    assert again["outcome"].tolist() == ["empty", "matched", "empty"]
    with pytest.warns(dm.errors.FindWarning, match="left out"):
        results = dm.retrieve(table, pacs, pacs.destination, progress=False)
    assert results["outcome"].tolist() == ["empty", "complete", "empty"]
    unchanged = dm.find(from_file(found, tmp_path), pacs, level=level, progress=False)
    assert unchanged["outcome"].tolist() == ["matched"] * 3


@pytest.mark.parametrize("query_model", ["StudyRoot", "PatientRoot"])
def test_a_search_of_patients_does_not_answer_for_typed_studies(query_model: str, pacs: RunningPacs) -> None:
    typed = COHORT.assign(StudyInstanceUID=[UIDS[1], UIDS[0], UIDS[2]])
    patients = dm.find(typed, pacs, level="PATIENT", query_model="PatientRoot", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dm.errors.FindWarning)
        studies = dm.find(patients, pacs, query_model=query_model, progress=False)
    assert studies["outcome"].tolist() == ["empty", "empty", "matched"]


SERIES = [f"{uid}.1" for uid in UIDS]
#: Numbers and classes that a table of the user's own may have, or that are left from another search.
LEFT = {"NumberOfStudyRelatedInstances": "2", "NumberOfSeriesRelatedInstances": "2", "SOPClassUID": "1.2.840"}
MIXED_UP = [
    ("PATIENT", {"PatientID": "SYN000001", "StudyInstanceUID": UIDS[1]}),
    ("STUDY", {"PatientID": "SYN000001", "StudyInstanceUID": UIDS[0], "SeriesInstanceUID": SERIES[1]}),
    ("STUDY", {"StudyInstanceUID": UIDS[0], "SeriesInstanceUID": SERIES[1], "SOPInstanceUID": f"{SERIES[1]}.1"}),
    ("SERIES", {"StudyInstanceUID": UIDS[0], "SeriesInstanceUID": SERIES[0], "SOPInstanceUID": f"{SERIES[1]}.1"}),
]


@pytest.mark.parametrize(("level", "keys"), MIXED_UP)
def test_uids_below_the_level_of_find_are_compared_whatever_columns_the_table_has(
    level: str, keys: dict[str, str], pacs: RunningPacs
) -> None:
    model = "PatientRoot" if level == "PATIENT" else "StudyRoot"
    found = dm.find(pd.DataFrame([keys | LEFT]), pacs, level=level, query_model=model, progress=False)
    assert found["outcome"].tolist() == ["matched"]
    planned = dm.plan(found, pacs, progress=False)
    assert planned["action"].tolist() == ["invalid" if level == "PATIENT" else "nothing"]
    for table, outcome in ((found, "invalid" if level == "PATIENT" else "empty"), (planned, "not_attempted")):
        results, commands = move(table, pacs)
        assert "C-MOVE" not in commands
        assert results["outcome"].tolist() == [outcome]


def test_a_search_above_does_not_answer_for_series_that_were_exchanged(pacs: RunningPacs, found: pd.DataFrame) -> None:
    series = dm.find(found, pacs, level="SERIES", progress=False)
    exchanged = series.assign(SeriesInstanceUID=series["SeriesInstanceUID"][::-1].tolist())
    results, commands = move(dm.find(exchanged, pacs, progress=False), pacs)
    assert results["outcome"].tolist() == ["empty", "complete", "empty"]
    assert commands.count("C-MOVE") == 1


def test_the_patients_of_a_file_are_compared_before_a_receiver_gets_anything(tmp_path: Path) -> None:
    with (
        receiving.receiver(tmp_path / "images") as receiver,
        RehearsalPacs(SOURCE, destinations={receiver.ae_title: ("127.0.0.1", receiver.port)}) as pacs,
    ):
        found = dm.find(COHORT, pacs, progress=False)
        table = from_file(found.assign(PatientID=found["PatientID"][::-1].tolist()), tmp_path)
        fresh = dm.move(table, pacs, receiver, progress=False)
        dm.move(found, pacs, receiver, progress=False)
        before = len(pacs.requests())
        unchanged = dm.move(from_file(found, tmp_path), pacs, receiver, progress=False)
        assert len(pacs.requests()) == before
        planned = dm.plan(table, pacs, receiver, progress=False)
        resumed = dm.move(table, pacs, receiver, progress=False)
    assert planned["action"].tolist() == ["invalid", "skip", "invalid"]
    for results in (fresh, resumed):
        assert results["error"].tolist()[::2] == ["other_patient"] * 2
        assert results["outcome"].tolist() == ["invalid", "complete", "invalid"]
    assert unchanged["resumed"].tolist() == [True] * 3


def test_a_plan_looks_up_series_that_were_exchanged(pacs: RunningPacs, found: pd.DataFrame) -> None:
    """The numbers of instances in the table are those of other series."""
    series = dm.find(found, pacs, level="SERIES", progress=False)
    before = len(pacs.requests())
    assert dm.plan(series, pacs, progress=False)["action"].tolist() == ["move"] * 3
    assert len(pacs.requests()) == before
    exchanged = series.assign(SeriesInstanceUID=series["SeriesInstanceUID"][::-1].tolist())
    planned = dm.plan(exchanged.head(1), pacs, progress=False)
    assert planned["action"].tolist() == ["nothing"]
    assert "below" in planned["advice"][0]
    results, commands = move(planned.assign(action="move"), pacs)
    assert results["outcome"].tolist() == ["empty"]
    assert "C-MOVE" not in commands


def test_a_patient_that_is_the_index_is_not_compared_and_named(pacs: RunningPacs, found: pd.DataFrame) -> None:
    typed = pd.DataFrame({"StudyInstanceUID": UIDS}, index=pd.Index(COHORT["PatientID"][::-1]))
    to = pacs.destination
    uses: list[Callable[[], pd.DataFrame]] = [
        lambda: dm.find(typed, pacs, progress=False),
        lambda: dm.plan(typed, pacs, to, progress=False),
        lambda: dm.move(typed, pacs, to, progress=False),
    ]
    for use in uses:
        with pytest.warns(dm.errors.CohortWarning, match="not compared by a key .* PatientID is the index") as told:
            use()
        assert len(told) == 1
    labelled = found.set_index("PatientID")
    dm.move(labelled, pacs, to, progress=False)  # the PACS has said it
    merged = found.merge(pd.DataFrame({"PatientID": COHORT["PatientID"], "arm": "a"})).set_index("PatientID")
    for table in (labelled.set_axis(labelled.index[::-1]), merged):
        with pytest.warns(dm.errors.CohortWarning, match="not compared by a key .* PatientID is the index"):
            dm.move(table, pacs, to, progress=False)


def test_a_key_that_a_merge_has_renamed_is_not_compared_and_named(pacs: RunningPacs, found: pd.DataFrame) -> None:
    clinical = pd.DataFrame({"arm": ["a", "b", "c"], "PatientID": COHORT["PatientID"][::-1].tolist()})
    merged = found.assign(arm=["a", "b", "c"]).merge(clinical, on="arm")
    typed = pd.DataFrame({"StudyInstanceUID": UIDS, "Accession Number (RIS)": "A1"})
    for table, named in ((merged, "'PatientID_x' .* 'PatientID_y'"), (typed, "'Accession Number .RIS.'")):
        with pytest.warns(dm.errors.CohortWarning, match=f"not compared by a key that they have.*{named}"):
            dm.move(table, pacs, pacs.destination, progress=False)
        with pytest.warns(dm.errors.CohortWarning, match=f"not compared by a key that they have.*{named}"):
            dm.find(table, pacs, progress=False)


def test_a_series_whose_header_is_not_understood_is_named(pacs: RunningPacs, found: pd.DataFrame) -> None:
    series = dm.find(found, pacs, level="SERIES", progress=False)
    typed = series[["StudyInstanceUID", "SeriesInstanceUID"]].set_axis(["StudyInstanceUID", "Series UID (CT)"], axis=1)
    with pytest.warns(dm.errors.CohortWarning, match="bring whole studies.* 'Series UID .CT.'"):
        dm.move(typed, pacs, pacs.destination, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", dm.errors.CohortWarning)
        dm.move(typed, pacs, pacs.destination, level="STUDY", progress=False)
        dm.move(typed.assign(QueryRetrieveLevel="STUDY"), pacs, pacs.destination, progress=False)


def test_what_one_pacs_has_told_is_compared_with_another_one(pacs: RunningPacs, found: pd.DataFrame) -> None:
    """The other PACS has the same UIDs, all for one patient."""
    planned_here = dm.plan(found, pacs, progress=False)
    with RehearsalPacs(SOURCE, FindsPatient(patient="SYN000002")) as other:
        with pytest.warns(dm.errors.FindWarning, match="answers to 2 rows are not what the rows ask for"):
            again = dm.find(found, other, progress=False)
        planned = dm.plan(found, other, progress=False)
        for table in (found, planned_here):
            results, commands = move(table, other)
            assert results["error"].fillna("none").tolist() == ["other_patient", "none", "other_patient"]
            assert commands.count("C-MOVE") == 1
    assert again["outcome"].tolist() == ["empty", "matched", "empty"]
    assert again["PatientID"].tolist() == COHORT["PatientID"].tolist()
    assert planned["action"].tolist() == ["invalid", "move", "invalid"]
    _, commands = move(found, pacs)
    assert commands == ["C-MOVE"] * 3


def test_a_row_of_find_from_a_file_without_its_uid_says_what_it_is_asked_by(pacs: RunningPacs, tmp_path: Path) -> None:
    cohort = dm.find(COHORT, pacs, progress=False)[["PatientID", "AccessionNumber"]]
    edited = dm.find(cohort, pacs, progress=False)[[*_KEPT, "PatientID", "AccessionNumber", "StudyInstanceUID"]]
    edited.loc[0, ["AccessionNumber", "StudyInstanceUID"]] = None
    edited.to_csv(tmp_path / "edited.csv", index=False)
    with pytest.warns(dm.errors.FindWarning, match="1 of 3 rows are asked by fewer keys"):
        again = dm.find(dm.read_cohort(tmp_path / "edited.csv"), pacs, progress=False)
    assert "AccessionNumber is blank" in again["advice"][0]
    assert again["advice"].isna().tolist() == [False, True, True]
