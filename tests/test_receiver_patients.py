"""Images whose PatientID is another than the one that their row names, and what is in quarantine: the row tells."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from pydicom.dataset import Dataset

import dicomove as dm
from dicomove.testing import Synthetic, faults
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault, Request
from tests import receiving, servers

pytestmark = pytest.mark.timeout(60)

SOURCE = Synthetic(studies=4, instances=3, size=512)
FIRST, SECOND, THIRD, _ = list({one.study_instance_uid: one for one in SOURCE.instances_of_all()}.values())
HIS = FIRST.patient_id


class MovesInAnyCase(Fault):
    """The PatientID of a C-MOVE matches in any case, as in databases that fold it."""

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:  # noqa: ARG002
        study, patient = request.keys.get("StudyInstanceUID"), request.keys["PatientID"].casefold()
        return [
            one
            for one in request.archive.instances
            if one.patient_id.casefold() == patient and study in (None, one.study_instance_uid)
        ]


class FindsSomebody(Fault):
    """C-FIND says that all studies are SOMEBODY's, whose number the images do not have yet."""

    commands = ("C-FIND",)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:  # noqa: ARG002
        for match in matches:
            match.PatientID = "SOMEBODY"
        return matches


class HoldsTwo(Fault):
    """A second patient has a study with the same UID."""

    commands = ("C-MOVE", "C-GET")

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:  # noqa: ARG002
        return [*instances, receiving.instance(instances[0].study_instance_uid, "1.2.3.99", PatientID="STRANGER")]


#: C-FIND leaves the PatientID blank, so `move` cannot compare it before it sends the C-MOVE.
UNTOLD = faults.FindWithoutPatientId()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[dm.Receiver]:
    with receiving.receiver(tmp_path) as receiver:
        yield receiver


def asking(*patients: object, uid: str = FIRST.study_instance_uid, **more: object) -> pd.DataFrame:
    """Rows that ask for one study, and name these patients."""
    return pd.DataFrame({"PatientID": list(patients), "StudyInstanceUID": uid, **more}, dtype=object)


def moved(rows: pd.DataFrame, receiver: dm.Receiver, *present: Fault, **options: object) -> tuple[pd.DataFrame, str]:
    """The result, and what was warned of."""
    with receiving.pacs(receiver, *present, source=SOURCE) as pacs, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = receiving.move(rows, pacs, receiver, **options)
    assert {one.category for one in caught} <= {dm.errors.ReceiverWarning, dm.errors.VerificationWarning}
    return result, " ".join(str(one.message) for one in caught)


def words(result: pd.DataFrame) -> list[list[str | None]]:
    found = result[["outcome", "error"]].astype(object)
    return found.where(found.notna(), None).to_numpy().tolist()


def advice(result: pd.DataFrame, number: int = 0) -> str:
    said = result["advice"].iloc[number]
    return "" if pd.isna(said) else str(said)


def others(receiver: dm.Receiver) -> pd.DataFrame:
    found = receiver.discrepancies()
    return found[found["kind"] == "other_patient"]


#: What `find` removes from its keys: a mark of direction, a soft hyphen, a zero-width blank, a byte order mark.
INVISIBLE = [f"\u200e{HIS}", f"{HIS[:3]}\u00ad{HIS[3:]}", f"{HIS}\u200b", f"\ufeff{HIS}"]


@pytest.mark.parametrize("named", [HIS, f"{HIS} ", f" {HIS}", *INVISIBLE, "", None, float("nan"), "*", 0.5, True])
def test_a_patient_that_is_the_same_or_not_named_needs_no_word(named: object, receiver: dm.Receiver) -> None:
    result, said = moved(asking(named), receiver)
    assert (result["outcome"].tolist(), advice(result), said) == (["complete"], "", "")
    assert receiver.discrepancies().empty


@pytest.mark.parametrize("way", ["move", "get", "executor"])
def test_a_study_uid_alone_that_brings_two_patients_names_their_images(way: str, receiver: dm.Receiver) -> None:
    """The PACS holds two studies with one UID, and a row with this UID alone brings both."""
    with ThreadPoolExecutor(2) as executor:
        options: dict[str, object] = {"executor": executor} if way == "executor" else {"method": way}
        result, said = moved(asking(None), receiver, HoldsTwo(), **options)
    assert "1 carry another PatientID than the other images, and are on disk all the same" in advice(result)
    assert "The row names no PatientID" in advice(result)
    assert "1 rows brought images with another PatientID than they name, or with several" in said
    assert others(receiver)["SOPInstanceUID"].tolist() == ["1.2.3.99"]


@pytest.mark.parametrize(
    ("named", "words", "present"),
    [
        ("SOMEBODY", "it differs altogether", FindsSomebody()),
        (HIS.lower(), "it differs in upper and lower case", UNTOLD),
        (f"0{HIS}", "it differs in leading zeros", UNTOLD),
        (f"{HIS}^^^HOSP", "it differs in what follows it (an issuer, say)", UNTOLD),
    ],
)
def test_images_of_another_patient_are_kept_and_named(
    named: str, words: str, present: Fault, receiver: dm.Receiver
) -> None:
    """The row names its study by UID, and the PACS says that it is this patient's, or another spelling."""
    result, said = moved(asking(named).set_axis(["a"]), receiver, present)
    assert result[["outcome", "received", "missing"]].to_numpy().tolist() == [["complete", 3, 0]]
    assert f"3 carry another PatientID than the row ({words}), and are on disk" in advice(result)
    assert not any(one.lower() in (advice(result) + said).lower() for one in (named, HIS))
    assert ("1 rows brought images with another PatientID" in said) == (named == "SOMEBODY")
    found = others(receiver)
    assert found["row"].tolist() == ["a"] * 3
    assert set(found["StudyInstanceUID"]) == {FIRST.study_instance_uid}
    assert set(found["SOPInstanceUID"]) == set(receiver.manifest()["SOPInstanceUID"])


class SendsStranger(Fault):
    """One instance of the study is left out, and one of another patient comes in its place, with the study's UID."""

    commands = ("C-MOVE",)

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:  # noqa: ARG002
        stranger = receiving.instance(instances[0].study_instance_uid, "1.2.3.99", PatientID="STRANGER")
        return [*instances[1:], stranger]


def test_an_instance_of_another_patient_does_not_stand_for_a_missing_one(receiver: dm.Receiver) -> None:
    """The numbers are equal: only the list of the PACS shows what is missing."""
    result, _ = moved(asking(HIS), receiver, SendsStranger())
    assert words(result) == [["partial", "missing_instances"]]
    assert result["missing"].tolist() == [1]
    assert "1 carry another PatientID than the row" in advice(result)
    found = receiver.discrepancies()
    assert sorted(found["kind"]) == ["missing", "other_patient", "unexpected"]


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.parametrize("way", ["untold", "arrivals", "executor", "get", "no answer"])
def test_images_of_another_patient_do_not_count_where_the_pacs_does_not_tell_whose_they_are(
    level: str, way: str, receiver: dm.Receiver
) -> None:
    """The row names its patient, too, and nothing but the row says that the images are this patient's."""
    keys = {"SeriesInstanceUID": FIRST.series_instance_uid, "SOPInstanceUID": FIRST.sop_instance_uid}
    present: Fault = faults.AnswersFind(status=0xC000) if way == "no answer" else UNTOLD
    options: dict[str, object] = {"verify": "arrivals"} if way == "arrivals" else {}
    with ThreadPoolExecutor(1) as executor:
        options |= {"method": "get"} if way == "get" else {"executor": executor} if way == "executor" else {}
        result, said = moved(asking("SOMEBODY", **keys), receiver, present, level=level, **options)
        count = 1 if level == "IMAGE" else 3
        assert result[["outcome", "error", "received"]].to_numpy().tolist() == [["failed", "other_patient", 0]]
        assert f"{count} came with another PatientID than the row (it differs altogether)" in advice(result)
        assert "blank the PatientID" in advice(result)
        assert "1 rows brought images with another PatientID" in said
        assert len(others(receiver)) == count
        aside = receiver.manifest()["quarantine"].tolist()
        assert aside == ["unrequested, of another PatientID: altogether"] * count
        right, _ = moved(asking(HIS.lower(), **keys), receiver, present, level=level, **options)
    assert right[["outcome", "received"]].to_numpy().tolist() == [["complete", count]]


@pytest.mark.parametrize("header", ["PatientID", "mrn"])
def test_a_match_does_not_tell_whose_it_is_if_the_pacs_returns_no_patient(header: str, receiver: dm.Receiver) -> None:
    """The PatientID in the table of `find` is the cell that the user typed."""
    with receiving.pacs(receiver, UNTOLD, SendsStranger(), source=SOURCE) as pacs:
        found = dm.find(pd.DataFrame({header: [HIS]}), pacs, progress=False)[:1]
        with pytest.warns(dm.errors.ReceiverWarning, match="another PatientID"):
            result = receiving.move(found, pacs, receiver)
    assert words(result) == [["partial", "other_patient"]]
    assert "1 came with another PatientID than the row (it differs altogether)" in advice(result)
    stranger = receiver.manifest().set_index("SOPInstanceUID").loc["1.2.3.99"]
    assert stranger["quarantine"] == "unrequested, of another PatientID: altogether"


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
@pytest.mark.parametrize("way", ["untold", "arrivals", "executor", "get", "again", "no answer"])
def test_files_of_another_patient_do_not_count_either(
    level: str, way: str, receiver: dm.Receiver, tmp_path: Path
) -> None:
    """Another row, which names no patient, has brought it before."""
    keys = {"SeriesInstanceUID": FIRST.series_instance_uid, "SOPInstanceUID": FIRST.sop_instance_uid}
    moved(asking(None, **keys), receiver)
    before = receiver.manifest()["SOPInstanceUID"].tolist()
    options: dict[str, object] = {"verify": "arrivals"} if way == "arrivals" else {}
    options |= {"method": "get"} if way == "get" else {}
    options |= {"retry": dm.Retry(3, wait=0), "journal": tmp_path / "journal.sqlite"} if way == "again" else {}
    present: Fault = faults.AnswersFind(status=0xC000) if way == "no answer" else UNTOLD
    with ThreadPoolExecutor(1) as executor:
        options |= {"executor": executor} if way == "executor" else {}
        for _ in range(2 if way == "again" else 1):
            result, _ = moved(asking("SOMEBODY", **keys), receiver, present, level=level, **options)
            assert result[["outcome", "error", "received"]].to_numpy().tolist() == [["failed", "other_patient", 0]]
    assert receiver.manifest().query("quarantine.isna()")["SOPInstanceUID"].tolist() == before


@pytest.mark.parametrize("level", ["STUDY", "SERIES", "IMAGE"])
def test_a_plan_does_not_take_the_place_of_whose_the_images_are(level: str, receiver: dm.Receiver) -> None:
    """It has the number of instances from the PACS, which leaves the PatientID blank."""
    keys = {"SeriesInstanceUID": FIRST.series_instance_uid, "SOPInstanceUID": FIRST.sop_instance_uid}
    with receiving.pacs(receiver, UNTOLD, source=SOURCE) as pacs, warnings.catch_warnings():
        warnings.simplefilter("ignore", dm.errors.ReceiverWarning)
        planned = dm.plan(asking("SOMEBODY", **keys), pacs, receiver, level=level, journal=False, progress=False)
        result = receiving.move(planned, pacs, receiver)
    assert planned[["action", "expected"]].to_numpy().tolist() == [["move", 1 if level == "IMAGE" else 3]]
    assert result[["outcome", "error", "received"]].to_numpy().tolist() == [["failed", "other_patient", 0]]


@pytest.mark.parametrize("name", ["PatientID", "AccessionNumber"])
@pytest.mark.parametrize("cell", [[HIS], b"007", "#N/A", "1.2E+19", "A\tB", "12*"], ids=repr)
@pytest.mark.parametrize("present", [(), (UNTOLD,)], ids=["", "untold"])
def test_a_cell_that_cannot_be_read_beside_a_uid_brings_nothing(
    name: str, cell: object, present: tuple[Fault, ...], receiver: dm.Receiver
) -> None:
    rows = pd.DataFrame({"StudyInstanceUID": [FIRST.study_instance_uid, SECOND.study_instance_uid], name: [cell, ""]})
    result, _ = moved(rows, receiver, *present)
    assert result["outcome"].tolist() == ["invalid", "complete"]
    assert result["error"].iloc[0] == "invalid_row"
    assert f"{name} " in advice(result)
    assert "Leave the cell blank to rely on StudyInstanceUID alone" in advice(result)


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}, {"verify": "instances"}, {"retry": dm.Retry(3, wait=0)}])
def test_nothing_is_sent_where_the_pacs_has_it_of_another_patient(
    options: dict[str, object], receiver: dm.Receiver
) -> None:
    rows = pd.concat([asking("SOMEBODY"), asking(HIS, uid=SECOND.study_instance_uid)], ignore_index=True)
    rows.loc[1, "PatientID"] = SECOND.patient_id
    result, said = moved(rows, receiver, **options)
    assert result["outcome"].tolist() == ["invalid", "complete"]
    assert result["error"].iloc[0] == "other_patient"
    assert result["attempts"].tolist() == [0, 1]
    assert HIS not in advice(result)
    assert not said
    assert set(receiver.manifest()["StudyInstanceUID"]) == {SECOND.study_instance_uid}


def test_each_attempt_asks_whose_it_is(receiver: dm.Receiver) -> None:
    """The question had no answer at first: the second attempt does not go on without one."""
    present = faults.AnswersFind(status=0xC000, attempts=1), faults.Answers(status=0xA701, attempts=1)
    result, _ = moved(asking("SOMEBODY"), receiver, *present, retry=dm.Retry(attempts=3, wait=0))
    assert receiver.manifest().empty
    assert result["attempts"].tolist() == [1]
    assert result["outcome"].tolist() == ["failed"]


def test_a_worker_elsewhere_asks_whose_it_is_too(receiver: dm.Receiver) -> None:
    with ThreadPoolExecutor(2) as executor:
        result, _ = moved(asking("SOMEBODY"), receiver, executor=executor)
    assert result[["outcome", "error"]].to_numpy().tolist() == [["invalid", "other_patient"]]


@pytest.mark.parametrize("way", ["get", "executor"])
def test_the_accession_number_is_compared_on_every_way(way: str, receiver: dm.Receiver) -> None:
    rows = pd.DataFrame({"StudyInstanceUID": [FIRST.study_instance_uid], "AccessionNumber": ["OTHER"]})
    with ThreadPoolExecutor(2) as executor:
        options: dict[str, object] = {"method": "get"} if way == "get" else {"executor": executor}
        result, _ = moved(rows, receiver, **options)
    assert result[["outcome", "error", "attempts"]].to_numpy().tolist() == [["invalid", "invalid_row", 0]]
    assert receiver.manifest().empty


def test_a_c_get_asks_whose_it_is_too(receiver: dm.Receiver) -> None:
    result, _ = moved(asking("SOMEBODY"), receiver, method="get")
    assert result[["outcome", "error"]].to_numpy().tolist() == [["invalid", "other_patient"]]


RIVALS = [HIS, "SOMEBODY", HIS.lower(), None]


def test_of_rows_with_one_study_and_two_patients_only_the_right_ones_get_it(
    receiver: dm.Receiver, tmp_path: Path
) -> None:
    """Also in a second run, in a plan, and in the journal."""
    expected = [["complete", None], ["invalid", "other_patient"], ["complete", None], ["complete", None]]
    with receiving.pacs(receiver, source=SOURCE) as pacs:
        planned = dm.plan(asking(*RIVALS), pacs, receiver, progress=False)
        for is_again in (False, True):
            result = receiving.move(asking(*RIVALS), pacs, receiver, journal=tmp_path / "journal")
            assert words(result) == words(dm.read_journal(tmp_path / "journal")) == expected
            assert result["resumed"].tolist() == [is_again, False, is_again, is_again]
            assert result["attempts"].tolist()[1] == 0
    assert planned["action"].tolist() == ["move", "invalid", "repeated", "repeated"]


def test_the_images_say_which_of_two_patients_a_study_is_of(receiver: dm.Receiver) -> None:
    result, _ = moved(asking(*RIVALS), receiver, UNTOLD)
    assert result["outcome"].tolist() == ["complete", "failed", "complete", "complete"]
    assert result["received"].tolist() == [3, 0, 3, 3]
    assert "name different PatientIDs, and it is of one patient only" in advice(result, 1)


def test_rows_with_one_study_and_two_names_are_compared_one_by_one(receiver: dm.Receiver) -> None:
    rows = asking(
        None, None, PatientName=[f"SYNTHETIC^{HIS}", "Roe^Xaver"], PatientBirthDate=["19700101", "1951-02-03"]
    )
    result, _ = moved(rows, receiver)
    assert words(result) == [["complete", None], ["invalid", "other_patient"]]


def test_a_study_of_one_of_two_patients_is_not_moved_if_nothing_says_of_which() -> None:
    rows = asking(*RIVALS[:3])
    with receiving.pacs({}, UNTOLD, source=SOURCE) as pacs:
        planned = dm.plan(rows, pacs, "ELSEWHERE", progress=False)
        result = dm.move(rows, pacs, "ELSEWHERE", progress=False)
    assert words(result) == [["invalid", "invalid_row"]] * 3
    assert "name this study and different patients" in advice(result)
    assert planned["action"].tolist() == ["invalid"] * 3
    assert planned["advice"].tolist() == result["advice"].tolist()


@pytest.mark.filterwarnings("ignore::dicomove.errors.ReceiverWarning")
def test_the_row_says_it_again_when_nothing_is_moved_any_more(receiver: dm.Receiver, tmp_path: Path) -> None:
    """Whether the journal has it complete, or begun with all of it on disk meanwhile."""
    rows, complete, begun = asking("SOMEBODY"), tmp_path / "complete.sqlite", tmp_path / "begun.sqlite"
    present = FindsSomebody(), faults.LosesInstances(keep=0.5, attempts=1)
    with receiving.pacs(receiver, *present, source=SOURCE) as pacs:
        for journal in (begun, complete, complete, begun):
            result = receiving.move(rows, pacs, receiver, journal=journal)
            assert "carry another PatientID than the row" in advice(result)
        assert "on disk already" in advice(result)
    assert len(others(receiver)) == 3


def test_the_workers_of_an_executor_tell_it_too(receiver: dm.Receiver) -> None:
    with ThreadPoolExecutor(2) as executor:
        result, said = moved(asking("SOMEBODY"), receiver, FindsSomebody(), executor=executor)
    assert "carry another PatientID than the row" in advice(result)
    assert said
    assert len(others(receiver)) == 3


def test_a_row_that_names_its_patient_to_the_pacs_gets_nothing_of_another(receiver: dm.Receiver) -> None:
    """Patient Root: a PACS that matches in any case sends what the row did not name."""
    result, said = moved(asking(HIS.lower()), receiver, MovesInAnyCase(), query_model="PatientRoot")
    assert result[["outcome", "error", "received"]].to_numpy().tolist() == [["failed", "other_patient", 0]]
    assert "3 came with another PatientID than the row (it differs in upper and lower case)" in advice(result)
    assert "query_model='StudyRoot'" in advice(result)
    assert "again" not in advice(result)
    assert not said
    assert len(others(receiver)) == 3
    aside = receiver.manifest()["quarantine"].tolist()
    assert aside == ["unrequested, of another PatientID: in upper and lower case"] * 3
    servers.wait_until(lambda: receiver.unrequested == 3, 5)


@pytest.mark.parametrize("alone", [True, False])
def test_a_whole_patient_in_another_case(receiver: dm.Receiver, *, alone: bool) -> None:
    named = [HIS.lower()] if alone else [HIS.lower(), SECOND.patient_id]
    result, _ = moved(
        pd.DataFrame({"PatientID": named}),
        receiver,
        MovesInAnyCase(),
        level="PATIENT",
        query_model="PatientRoot",
        concurrency=2,
        retry=dm.Retry(attempts=3, wait=0),
    )
    assert result["outcome"].tolist() == ["failed", "complete"][: len(named)]
    assert result["error"].iloc[0] == "other_patient"
    assert result["attempts"].iloc[0] == 1
    assert "it differs in upper and lower case" in advice(result)


def test_padding_is_no_part_of_the_patient_that_is_named(receiver: dm.Receiver) -> None:
    result, _ = moved(asking(f"{HIS} "), receiver, query_model="PatientRoot")
    assert (result["outcome"].tolist(), advice(result)) == (["complete"], "")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (faults.TruncatesInstances(), "3 came damaged and are in quarantine: the data set ends inside of (7FE0,0010)."),
        (faults.EmptyInstances(), "3 came damaged and are in quarantine: the data set is empty."),
        (faults.OtherInstanceUids(), "in quarantine: the C-STORE names another instance than its data set."),
    ],
)
def test_the_reason_for_quarantine_is_in_the_row(fault: Fault, said: str, receiver: dm.Receiver) -> None:
    result, _ = moved(asking(HIS), receiver, fault)
    assert said in advice(result)
    assert "again" not in advice(result)


def test_other_bytes_of_an_instance_are_named_though_the_row_is_complete(receiver: dm.Receiver) -> None:
    moved(asking(HIS), receiver)
    changed = (
        receiving.resized(SOURCE, 1024)
        if hasattr(receiving, "resized")
        else Synthetic(studies=4, instances=3, size=1024)
    )
    with receiving.pacs(receiver, source=changed) as pacs:
        result = receiving.move(asking(HIS), pacs, receiver)
    assert result["outcome"].tolist() == ["complete"]
    assert "3 are in quarantine: another instance of this UID is there, with other bytes." in advice(result)


def test_a_partial_row_is_tried_again_whatever_its_status(receiver: dm.Receiver) -> None:
    """0xC000, and some are on disk: the retry asks for the others, as often as it may."""
    present = faults.LosesInstances(keep=0.5), faults.ZeroCountsOnFailure()
    once, _ = moved(asking(HIS), receiver, *present)
    assert once[["outcome", "status", "received"]].to_numpy().tolist() == [["partial", "0xC000", 1]]
    rows = asking(SECOND.patient_id, uid=SECOND.study_instance_uid)
    result, _ = moved(rows, receiver, *present, retry=dm.Retry(attempts=4, wait=0))
    assert result[["outcome", "status", "received"]].to_numpy().tolist() == [["complete", "0xC000", 3]]


def test_instances_that_always_come_damaged_are_not_asked_for_without_end(receiver: dm.Receiver) -> None:
    result, _ = moved(asking(HIS), receiver, faults.TruncatesInstances(), retry=dm.Retry(attempts=3, wait=0))
    assert result[["outcome", "attempts", "missing"]].to_numpy().tolist() == [["failed", 3, 3]]


@pytest.mark.parametrize("way", ["thread", "executor"])
def test_the_look_at_the_end_knows_that_the_pacs_did_not_tell_whose_a_study_is(way: str, receiver: dm.Receiver) -> None:
    """The first C-MOVE brings nothing, and the second one brings the study for the other row."""
    met = UNTOLD, faults.SuccessWithAllFailed(attempts=1)
    with ThreadPoolExecutor(2) as executor:
        options: dict[str, object] = {"executor": executor} if way == "executor" else {}
        result, _ = moved(asking("SOMEBODY", HIS), receiver, *met, **options)
    assert result["outcome"].tolist() == ["failed", "complete"]
    assert result["received"].tolist() == [0, 3]
