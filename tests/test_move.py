"""`move`: a table in, a table out, on the same index."""

from __future__ import annotations

import _thread
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.events import Event, RowFinished, RowStarted, RunEnded, RunStarted, SubOperationEvent
from dicomove.move import RESULT_COLUMNS
from dicomove.testing import RunningPacs
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.images import instance_uid, series_uid, study_uid
from tests import forks, servers
from tests.conftest import LONG
from tests.servers import GATE, SINK, Gate, Here

pytestmark = pytest.mark.timeout(40)

CT, MR, CR, ECG = study_uid("A0001"), study_uid("A0002"), study_uid("A0010"), study_uid("A0200")
UNKNOWN = "1.2.3.4"
NOTHING = pd.DataFrame({"StudyInstanceUID": pd.Series([], dtype="str")})


def studies(*uids: object, **options: Any) -> pd.DataFrame:
    return pd.DataFrame({"StudyInstanceUID": list(uids)}, **options)


def move(table: pd.DataFrame, here: Here, **options: Any) -> pd.DataFrame:
    return dm.move(table, here.pacs, SINK, progress=options.pop("progress", False), **options)


# The table.


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(["a", "a", "b"]),
        pd.Index([7, 7, 7], name="n"),
        pd.Index([None, "x", None], dtype=object),
        pd.Index([0.5, np.nan, np.nan]),
        pd.date_range("2024-01-01", periods=3, tz="UTC"),
        pd.MultiIndex.from_tuples([("p", 1), ("p", 1), ("q", 2)], names=["patient", None]),
        pd.CategoricalIndex(["x", "y", "x"]),
        pd.RangeIndex(10, 4, -2),
    ],
    ids=lambda index: type(index).__name__,
)
def test_any_index(here: Here, index: pd.Index) -> None:
    result = move(studies(CT, "", CR, index=index), here)
    pd.testing.assert_index_equal(result.index, index)
    assert result["StudyInstanceUID"].tolist() == [CT, "", CR]
    assert result["outcome"].tolist() == ["complete", "invalid", "complete"]
    assert result["completed"].array == pd.array([5, None, 3], dtype="Int64")


def test_labels_of_columns_may_repeat_and_nest(here: Here) -> None:
    table = pd.concat([studies(CT), pd.DataFrame([["x", "y"]], columns=["group", "group"])], axis=1)
    result = move(table, here)
    assert list(result.columns) == ["StudyInstanceUID", "group", "group", *RESULT_COLUMNS]
    assert result.iloc[0, 1:4].tolist() == ["x", "y", "complete"]
    nested = pd.DataFrame([[CT, 1]], columns=pd.MultiIndex.from_tuples([("StudyInstanceUID", ""), ("a", "b")]))
    assert move(nested, here)[("outcome", "")].tolist() == ["complete"]


def test_the_columns_and_their_types(here: Here) -> None:
    result = move(studies(CT, "", UNKNOWN), here)
    assert list(result.columns) == ["StudyInstanceUID", *RESULT_COLUMNS]
    text = pd.Series(["a", None], dtype="str" if pd.__version__ >= "3" else object).dtype
    for name in ("outcome", "status", "error", "advice", "error_comment", "failed_sop_instance_uids"):
        assert result[name].dtype == text, name
    for name in ("total", "completed", "failed", "warning", "remaining", "expected", "received", "bytes", "missing"):
        assert result[name].dtype == pd.Int64Dtype(), name
    assert result["attempts"].tolist() == [1, 0, 1]
    assert result["attempts"].dtype == pd.Int64Dtype()
    assert result["duration_s"].dtype == np.dtype("float64")
    for name in ("started_at", "finished_at"):
        assert isinstance(result[name].dtype, pd.DatetimeTZDtype)
        assert str(result[name].dt.tz) == "UTC"


def test_unknown_numbers_are_null(here: Here) -> None:
    result = move(studies(CT, ""), here)
    done, invalid = result.iloc[0], result.iloc[1]
    for name in ("error", "advice", "error_comment", "received", "bytes", "missing", "failed_sop_instance_uids"):
        assert pd.isna(done[name]), name
    assert (done["status"], done["total"], done["failed"], done["warning"]) == ("0x0000", 5, 0, 0)
    assert done["started_at"] <= done["finished_at"] <= pd.Timestamp.now("UTC")
    assert 0 < done["duration_s"] < 10
    for name in set(RESULT_COLUMNS) - {"outcome", "error", "advice", "attempts", "resumed"}:
        assert pd.isna(invalid[name]), name
    assert (invalid["error"], invalid["attempts"]) == ("invalid_row", 0)
    assert "nothing was sent" in invalid["advice"]


@pytest.mark.parametrize("table", [NOTHING, pd.DataFrame(), pd.DataFrame({"group": []}), studies(CT).iloc[:0]])
def test_an_empty_table_has_the_same_columns(here: Here, table: pd.DataFrame) -> None:
    full, empty = move(studies(CT), here), move(table, here)
    assert len(empty) == 0
    pd.testing.assert_index_equal(empty.index, table.index)
    assert list(empty.columns) == [*table.columns, *RESULT_COLUMNS]
    for name in RESULT_COLUMNS:
        assert empty[name].dtype == full[name].dtype, name


def test_the_callers_table_stays_as_it_is(here: Here) -> None:
    table = studies(CT, CT, "", index=["a", "b", "c"]).assign(outcome="older")
    before = table.copy(deep=True)
    with pytest.warns(dm.errors.CohortWarning, match="outcome_cohort"):
        result = move(table, here)
    assert result["outcome_cohort"].tolist() == ["older"] * 3
    result.loc[:, "StudyInstanceUID"] = "changed"
    result.loc[:, "outcome"] = "changed"
    pd.testing.assert_frame_equal(table, before)


def test_columns_of_an_older_run_are_replaced(here: Here) -> None:
    older = move(studies(CT, UNKNOWN).assign(group=["x", "y"]), here)
    older.insert(0, "note", "n")
    again = move(older[::-1], here)
    assert list(again.columns) == ["note", "StudyInstanceUID", "group", *RESULT_COLUMNS]
    assert again["outcome"].tolist() == ["empty", "complete"]
    assert again.index.tolist() == [1, 0]
    assert again["started_at"].min() >= older["finished_at"].max()


# What is sent, and what is not.


@pytest.mark.parametrize(
    ("row", "options", "sent"),
    [
        (
            {"StudyInstanceUID": CT, "AccessionNumber": "A0001", "PatientID": "000123", "PatientName": "X"},
            {},
            {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": CT},
        ),
        (
            {"StudyInstanceUID": f" {CT} ", "SeriesInstanceUID": ""},
            {},
            {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": CT},
        ),
        (
            {"StudyInstanceUID": CT, "SeriesInstanceUID": series_uid("A0001", 1)},
            {},
            {
                "QueryRetrieveLevel": "SERIES",
                "StudyInstanceUID": CT,
                "SeriesInstanceUID": series_uid("A0001", 1),
            },
        ),
        (
            {"StudyInstanceUID": CT, "SeriesInstanceUID": series_uid("A0001", 1), "QueryRetrieveLevel": "study"},
            {},
            {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": CT},
        ),
        (
            {
                "StudyInstanceUID": CT,
                "SeriesInstanceUID": series_uid("A0001", 2),
                "SOPInstanceUID": instance_uid("reportsi.dcm"),
            },
            {},
            {
                "QueryRetrieveLevel": "IMAGE",
                "StudyInstanceUID": CT,
                "SeriesInstanceUID": series_uid("A0001", 2),
                "SOPInstanceUID": instance_uid("reportsi.dcm"),
            },
        ),
        (
            {"PatientID": "000123", "StudyInstanceUID": CT},
            {"query_model": "PatientRoot"},
            {"QueryRetrieveLevel": "STUDY", "PatientID": "000123", "StudyInstanceUID": CT},
        ),
        (
            {"MRN": "000123", "study uid": CT},
            {"query_model": "PatientRoot", "level": "PATIENT"},
            {"QueryRetrieveLevel": "PATIENT", "PatientID": "000123"},
        ),
    ],
)
def test_level_and_unique_keys_and_nothing_else(
    here: Here, row: dict[str, str], options: dict[str, str], sent: dict[str, str]
) -> None:
    result = move(pd.DataFrame([row]), here, **options)
    assert result["outcome"].tolist() == ["complete"]
    assert here.recorder.asked("C-MOVE") == [sent]


BAD = [
    "",
    " ",
    None,
    np.nan,
    pd.NA,
    pd.NaT,
    "*",
    "1.2.*",
    "1.2?",
    "1.2\\1.3",
    "1..2",
    "1..2",
    ".1",
    "1.",
    "uid",
    "1" * 65,
]


def test_a_bad_row_is_never_sent(here: Here) -> None:
    cells = pd.Series([*BAD, "1" * 65, ["1.2.3"], 1.2, CT], dtype=object)
    result = move(pd.DataFrame({"StudyInstanceUID": cells, "PatientID": "000123"}), here)
    assert result["outcome"].tolist() == ["invalid"] * (len(cells) - 1) + ["complete"]
    assert set(result["error"].iloc[:-1]) == {"invalid_row"}
    assert here.recorder.asked("C-MOVE") == [{"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": CT}]


def test_a_table_of_bad_rows_makes_no_association() -> None:
    with servers.counting() as counter:
        result = dm.move(studies("", None, "*"), counter.pacs, SINK, progress=False)
        assert result["outcome"].tolist() == ["invalid"] * 3
        assert counter.connections == 0


def test_rows_that_name_the_same_are_moved_once(here: Here) -> None:
    table = studies(CT, CR, f" {CT}", CT, UNKNOWN, UNKNOWN).assign(group=list("abcdef"))
    result = move(table, here)
    asked = [keys["StudyInstanceUID"] for keys in here.recorder.asked("C-MOVE")]
    assert asked == [CT, CR, UNKNOWN]
    assert result["outcome"].tolist() == ["complete", "complete", "complete", "complete", "empty", "empty"]
    assert result["completed"].tolist() == [5, 3, 5, 5, 0, 0]
    same = result.drop(columns=["StudyInstanceUID", "group"])
    pd.testing.assert_series_equal(same.iloc[0], same.iloc[3], check_names=False)
    assert len(here.sink.instances) == 8


@pytest.mark.parametrize(
    ("table", "options"),
    [
        (studies(CT), {"level": "INSTANCE"}),
        (studies(CT), {"level": "PATIENT"}),
        (studies(CT), {"level": "SERIES"}),
        (studies(CT), {"query_model": "PatientRoot"}),
        (studies(CT), {"query_model": "study"}),
        (studies(1.2, 1.3), {}),
        (pd.DataFrame({"AccessionNumber": ["A0001"]}), {}),
        (pd.DataFrame({"PatientID": ["000123"]}), {"query_model": "PatientRoot"}),
        (pd.DataFrame({"PatientID": [123]}), {"query_model": "PatientRoot", "level": "PATIENT"}),
        (studies(CT).set_index("StudyInstanceUID"), {}),
        (pd.DataFrame([[CT, CT]], columns=["study uid", "(0020,000D)"]), {}),
        (studies(CT).assign(QueryRetrieveLevel="INSTANCE"), {}),
        ([CT], {}),
        (pd.Series([CT], name="StudyInstanceUID"), {}),
    ],
)
def test_a_table_that_cannot_be_right(table: Any, options: dict[str, str]) -> None:
    with servers.counting() as counter:
        with pytest.raises(dm.CohortError) as raised:
            dm.move(table, counter.pacs, SINK, progress=False, **options)  # type: ignore[arg-type]
        assert counter.connections == 0
    assert "000123" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"destination": ""}, dm.errors.AddressError),
        ({"destination": "X" * 17}, dm.errors.AddressError),
        ({"destination": None}, dm.errors.AddressError),
        ({"concurrency": 0}, ValueError),
        ({"concurrency": -1}, ValueError),
        ({"concurrency": 1.5}, ValueError),
        ({"concurrency": "2"}, ValueError),
        ({"delay": -0.1}, ValueError),
        ({"delay": float("nan")}, ValueError),
        ({"delay": float("inf")}, ValueError),
        ({"total_timeout": 0}, ValueError),
        ({"total_timeout": -1}, ValueError),
        ({"total_timeout": float("nan")}, ValueError),
        ({"verify": "sometimes"}, ValueError),
        ({"progress": "loud"}, ValueError),
        ({"progress": None}, ValueError),
        ({"retry": "auto"}, ValueError),
        ({"retry": True}, ValueError),
        ({"hours": 22}, ValueError),
        ({"journal": 3}, ValueError),
        ({"journal": ""}, ValueError),
        ({"executor": 4}, ValueError),
    ],
)
def test_an_argument_that_cannot_be_right(options: dict[str, Any], error: type[Exception]) -> None:
    with servers.counting() as counter:
        with pytest.raises(error) as raised:
            dm.move(studies(CT), counter.pacs, **{"destination": SINK, "progress": False, **options})
        assert counter.connections == 0
    (name,) = options
    assert name in str(raised.value)


@pytest.mark.parametrize("options", [{"delay": "1"}, {"total_timeout": "1"}])
def test_a_number_as_text_is_an_error_that_names_it(options: dict[str, Any]) -> None:
    (name,) = options
    with servers.counting() as counter, pytest.raises(ValueError, match=name):
        dm.move(studies(CT), counter.pacs, SINK, progress=False, **options)


def test_numpy_numbers_are_numbers(here: Here) -> None:
    result = move(studies(CT), here, concurrency=np.int64(2), delay=np.float64(0), retry=np.int64(2))
    assert result["outcome"].tolist() == ["complete"]


def test_a_delay_rests_between_two_moves(here: Here) -> None:
    result = move(studies(CT, CR, ECG), here, delay=0.25)
    pauses = result["started_at"].iloc[1:].array - result["finished_at"].iloc[:-1].array
    assert [pause.total_seconds() >= 0.25 for pause in pauses] == [True, True]


def test_there_is_no_delay_after_the_last_move(here: Here) -> None:
    began = time.monotonic()
    assert move(studies(CT), here, delay=60)["outcome"].tolist() == ["complete"]
    assert time.monotonic() - began < 30


def test_never_more_associations_than_asked_for(here: Here) -> None:
    for concurrency, associations in ((1, 1), (2, 2), (9, 4)):
        with servers.relay(here.pacs.port) as relay:
            pacs = dm.Pacs(f"TEST_PACS@127.0.0.1:{relay.port}")
            result = dm.move(studies(CT, MR, CR, ECG), pacs, SINK, concurrency=concurrency, progress=False)
            assert result["completed"].tolist() == [5, 6, 3, 1]
            assert 1 <= relay.connections <= associations


# What was expected.


class Forgetful(Archive):
    """Moves less than it finds, and says Success."""

    moved = 4

    def select(self, identifier: Dataset, query_model: str) -> list[Instance]:
        return super().select(identifier, query_model)[: self.moved]


class Overloaded(Forgetful):
    """Says Success, and moves nothing (as IMPAX does)."""

    moved = 0


class Countless(Archive):
    """Tells no numbers of related instances, as dcmqrscp."""

    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        for element in list(identifier):
            if element.keyword.startswith("NumberOf"):
                del identifier[element.tag]
        return super().find(identifier, query_model)


COUNT = "NumberOfStudyRelatedInstances"


@pytest.mark.parametrize(
    ("kind", "verify", "hint", "outcome", "expected", "asked"),
    [
        (Archive, "auto", None, "complete", 5, ["STUDY"]),
        (Archive, "auto", 5, "complete", 5, []),
        (Archive, "auto", 99, "complete", 5, ["STUDY"]),
        (Archive, "counts", None, "complete", 5, ["STUDY"]),
        (Archive, "arrivals", None, "complete", None, []),
        (Archive, "arrivals", 5, "complete", 5, []),
        (Archive, "instances", None, "complete", 5, ["SERIES", "IMAGE", "IMAGE"]),
        (Archive, "instances", 99, "complete", 5, ["SERIES", "IMAGE", "IMAGE"]),
        (Countless, "auto", None, "complete", 5, ["STUDY", "SERIES", "IMAGE", "IMAGE"]),
        (Countless, "counts", None, "complete", None, ["STUDY"]),
        (Forgetful, "auto", None, "partial", 5, ["STUDY", "SERIES", "IMAGE", "IMAGE"]),
        (Forgetful, "counts", None, "partial", 5, ["STUDY"]),
        (Forgetful, "arrivals", 5, "partial", 5, []),
        (Forgetful, "arrivals", None, "complete", None, []),
        (Overloaded, "auto", None, "failed", 5, ["STUDY", "SERIES", "IMAGE", "IMAGE"]),
        (Overloaded, "arrivals", None, "empty", None, []),
    ],
)
def test_what_was_expected(
    archive: Archive,
    kind: type[Archive],
    verify: str,
    hint: int | None,
    outcome: str,
    expected: int | None,
    asked: list[str],
) -> None:
    table = studies(CT) if hint is None else studies(CT).assign(**{COUNT: str(hint)})
    unknown = outcome == "complete" and expected is None and verify != "arrivals"
    warned = pytest.warns(dm.errors.VerificationWarning, match="for 1 of 1 rows") if unknown else nullcontext()
    with servers.here(kind(archive.instances)) as here, warned:
        result = move(table, here, verify=verify).iloc[0]
    assert result["outcome"] == outcome
    assert ("is not known: the PACS gives no number." in str(result["advice"])) == unknown
    assert (None if pd.isna(result["expected"]) else result["expected"]) == expected
    assert [keys["QueryRetrieveLevel"] for keys in here.recorder.asked("C-FIND")] == asked
    if outcome in ("partial", "failed"):
        assert result["error"] == "missing_instances"
        assert result["advice"].startswith(f"{result['completed']} of 5 instances. ")


def test_an_instance_expects_itself(here: Here) -> None:
    table = pd.DataFrame(
        {
            "StudyInstanceUID": [CT],
            "SeriesInstanceUID": [series_uid("A0001", 2)],
            "SOPInstanceUID": [instance_uid("reportsi.dcm")],
        }
    )
    assert move(table, here)["expected"].tolist() == [1]
    (asked,) = here.recorder.asked("C-FIND")  # whether it is in this series, and that in this study
    assert asked["QueryRetrieveLevel"] == "IMAGE"
    assert table.iloc[0].to_dict().items() <= asked.items()


# Progress.


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_events_tell_the_story(here: Here) -> None:
    events: list[Event] = []
    table = studies("", CR, CR, index=["bad", "x", "y"])
    result = move(table, here, progress=events.append)
    assert kinds(events) == [
        *("RunStarted", "RowFinished", "RowStarted", "RowStarted", "SubOperationEvent", "SubOperationEvent"),
        *("RowFinished", "RowFinished", "RunEnded"),
    ]
    assert events[0] == RunStarted(verb="move", rows=3, requests=1)
    assert events[1] == RowFinished(
        row="bad", position=0, outcome="invalid", error="invalid_row", instances=None, duration_s=None
    )
    assert events[2:4] == [RowStarted(row="x", position=1), RowStarted(row="y", position=2)]
    moving = [event for event in events if isinstance(event, SubOperationEvent)]
    assert [(event.row, event.position, event.completed, event.remaining, event.total) for event in moving] == [
        ("x", 1, 1, 2, 3),
        ("x", 1, 2, 1, 3),
    ]
    finished = [event for event in events[5:] if isinstance(event, RowFinished)]
    assert [(event.row, event.outcome, event.instances) for event in finished] == [
        ("x", "complete", 3),
        ("y", "complete", 3),
    ]
    assert finished[0].duration_s == result["duration_s"].iloc[1]
    assert events[-1] == RunEnded(verb="move", interrupted=False)


def test_every_event_comes_in_the_callers_thread(here: Here) -> None:
    seen: set[int] = set()
    move(studies(CT, CR, MR), here, concurrency=3, progress=lambda _: seen.add(threading.get_ident()))
    assert seen == {threading.get_ident()}


def test_a_callback_that_raises_does_no_harm(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    patient, seen = "000123-PATIENT", []

    def raises(event: Event) -> None:
        seen.append(event)
        raise KeyError(patient)

    result = move(studies(CT, CR), here, progress=raises)
    assert result["outcome"].tolist() == ["complete", "complete"]
    assert (type(seen[0]), type(seen[-1])) == (RunStarted, RunEnded)
    assert caplog.text.count("the callback raises raised") == 1
    assert f"raised for {len(seen)} events; only the first is logged" in caplog.text
    assert "raise KeyError(patient)\nKeyError (" in caplog.text
    assert patient not in caplog.text
    assert all(record.name.startswith("dicomove") for record in caplog.records)


@pytest.mark.parametrize("progress", ["auto", "tqdm", True])
def test_a_bar(here: Here, capsys: pytest.CaptureFixture[str], progress: str) -> None:
    move(studies(CT, "", CR), here, progress=progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "3/3" in captured.err
    assert "2 complete" in captured.err
    assert "1 invalid" in captured.err


def test_no_progress_is_silent(here: Here, capfd: pytest.CaptureFixture[str]) -> None:
    move(studies(CT), here, progress=False)
    assert capfd.readouterr() == ("", "")


# The network.


def test_nobody_is_there() -> None:
    with servers.dead_port() as dead:
        pacs = dm.Pacs(f"127.0.0.1:{dead}")
        result = dm.move(studies(CT, CR, "", CT), pacs, SINK, concurrency=2, progress=False)
    assert result["outcome"].tolist() == ["unreachable", "unreachable", "invalid", "unreachable"]
    assert result["error"].tolist() == ["connection_failed", "connection_failed", "invalid_row", "connection_failed"]
    assert result["attempts"].tolist() == [0, 0, 0, 0]
    assert result["status"].isna().all()
    assert "firewall" in result["advice"].iloc[0]


def test_no_thread_is_left(here: Here) -> None:
    before = set(threading.enumerate())
    with servers.dead_port() as dead:
        for pacs in (here.pacs, dm.Pacs(f"127.0.0.1:{dead}")):
            dm.move(studies(CT, CR, MR), pacs, SINK, concurrency=3, progress=False)
            servers.wait_until(lambda: not any("dicomove-" in t.name for t in set(threading.enumerate()) - before), 5)


def test_a_total_timeout_ends_one_row_and_not_the_run(demo: RunningPacs, gate: Gate) -> None:
    gate.let(2)
    with servers.at_log("C-CANCEL-RQ", gate.let_slowly):
        result = dm.move(studies(LONG, CR), demo, GATE, total_timeout=0.5, progress=False)
    assert result["outcome"].tolist() == ["interrupted", "complete"]
    assert result["error"].iloc[0] == "total_timeout"
    assert "total_timeout" in result["advice"].iloc[0]
    assert 2 <= result["completed"].iloc[0] < 60


# Interrupts.


def interrupt_at(kind: type[Event], number: int = 1) -> Callable[[Event], None]:
    """A callback that presses Ctrl-C at an event."""
    seen = 0

    def callback(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if isinstance(event, kind) and seen == number:
            signal.raise_signal(signal.SIGINT)

    return callback


def interrupted(table: pd.DataFrame, pacs: dm.Pacs, destination: str, **options: Any) -> pd.DataFrame:
    """Move, and be interrupted; what escapes would end all tests."""
    try:
        with pytest.warns(dm.InterruptedWarning):
            return dm.move(table, pacs, destination, **options)
    except KeyboardInterrupt:
        pytest.fail("the interrupt escaped, and the table is lost")


def test_an_interrupt_returns_the_table_so_far(demo: RunningPacs, gate: Gate) -> None:
    gate.let(3 + 2)  # all of the first study, and two of the second
    events: list[Event] = []
    press = interrupt_at(SubOperationEvent, 3)

    def callback(event: Event) -> None:
        events.append(event)
        press(event)

    with (
        servers.at_log("C-CANCEL-RQ", gate.let_slowly),
        pytest.warns(dm.InterruptedWarning, match="2 of 5 rows were not attempted"),
    ):
        result = dm.move(studies(CR, LONG, "", ECG, CT), demo, GATE, progress=callback)
    assert result["outcome"].tolist() == ["complete", "cancelled", "invalid", "not_attempted", "not_attempted"]
    assert result["status"].iloc[1] == "0xFE00"
    assert result["error"].iloc[[1, 3, 4]].isna().all()
    assert result["completed"].iloc[1] + result["remaining"].iloc[1] == 60
    assert result["attempts"].tolist() == [1, 1, 0, 0, 0]
    assert set(result["advice"].iloc[3:]) == {"The run ended before it reached this row: run it again."}
    assert result[["started_at", "duration_s", "expected"]].iloc[3:].isna().all(axis=None)
    assert events[-1] == RunEnded(verb="move", interrupted=True)
    gate.let()
    again = dm.move(result[result["outcome"] != "complete"], demo, GATE, progress=False)
    assert again["outcome"].tolist() == ["complete", "invalid", "complete", "complete"]


def test_an_interrupt_of_several_workers(demo: RunningPacs, gate: Gate) -> None:
    press = interrupt_at(RowStarted, 2)

    def callback(event: Event) -> None:
        if isinstance(event, RowStarted) and event.position:
            servers.wait_until(lambda: gate.waiting == 2)
        press(event)

    with servers.at_log("C-CANCEL-RQ", gate.let_slowly):
        result = interrupted(studies(LONG, CT, CR), demo, GATE, concurrency=2, progress=callback)
    assert result["outcome"].iloc[0] == "cancelled"
    assert result["outcome"].iloc[1] in ("cancelled", "complete")
    assert result["outcome"].iloc[2] == "not_attempted"


def test_an_interrupt_at_the_end_of_a_row_keeps_its_result(demo: RunningPacs, gate: Gate) -> None:
    gate.let()
    result = interrupted(studies(CR, CR, *[LONG] * 2, ECG), demo, GATE, progress=interrupt_at(RowFinished, 1))
    assert result["outcome"].tolist()[:2] == ["complete", "complete"]
    assert result["completed"].tolist()[:2] == [3, 3]


def test_an_interrupt_before_the_first_row_is_a_table_too(here: Here) -> None:
    result = interrupted(studies(CR, CT), here.pacs, SINK, progress=interrupt_at(RunStarted))
    assert result["outcome"].tolist() == ["not_attempted", "not_attempted"]


@pytest.mark.filterwarnings("ignore:interrupted:dicomove.InterruptedWarning")
def test_an_interrupt_at_the_very_end_does_not_lose_the_table(here: Here) -> None:
    try:
        result = move(studies(CR, CT), here, progress=interrupt_at(RunEnded))
    except KeyboardInterrupt:
        pytest.fail("the interrupt escaped, and the table is lost")
    assert result["outcome"].tolist() == ["complete", "complete"]


def test_a_second_interrupt_does_not_wait_for_the_pacs(
    demo: RunningPacs, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("dicomove.dimse.scu.CANCEL_GRACE_S", "dicomove.run.run.LONGEST_STOP_S"):
        monkeypatch.setattr(patience, 300)
    gate.let(1)
    began = time.monotonic()
    with servers.at_log("C-CANCEL-RQ", _thread.interrupt_main):
        result = interrupted(studies(LONG, CR), demo, GATE, progress=interrupt_at(SubOperationEvent))
    assert time.monotonic() - began < 30
    assert result["outcome"].tolist() == ["interrupted", "not_attempted"]
    assert result["attempts"].tolist() == [1, 0]
    assert "in doubt" in result["advice"].iloc[0]


SCRIPT = """
import json, sys, warnings
import pandas as pd
import dicomove as dm
from dicomove.events import SubOperationEvent
warnings.simplefilter("error")
warnings.simplefilter("always", dm.InterruptedWarning)
port, *uids = sys.argv[1:]
def say(event):
    if isinstance(event, SubOperationEvent):
        print("moving", flush=True)
pacs = dm.Pacs(f"DEMO_PACS@127.0.0.1:{port}")
result = dm.move(pd.DataFrame({"StudyInstanceUID": uids}), pacs, "GATE", progress=say)
print(json.dumps(result["outcome"].tolist()), flush=True)
"""


def test_ctrl_c_in_a_script(demo: RunningPacs, gate: Gate, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    gate.let(1)
    with subprocess.Popen(
        forks.python(str(script), str(demo.port), LONG, CR),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "moving\n"
        process.send_signal(signal.SIGINT)
        gate.let_slowly()
        said, complained = process.communicate(timeout=20)
    assert json.loads(said.splitlines()[-1]) == ["cancelled", "not_attempted"]
    assert process.returncode == 0
    assert "InterruptedWarning: interrupted: 1 of 2 rows were not attempted" in complained
    assert "Traceback" not in complained
