"""What C-FIND does not say: verification never weakens in silence, and comes back."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

import dicomove as dm
from dicomove.errors import VerificationWarning
from dicomove.events import Event, RowFinished, RowStarted
from dicomove.run.attempt.questions import Asked, Asking
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.associations import FolderScp, Listener
from dicomove.testing.faults.base import Fault, Request
from dicomove.testing.raw import (
    Accept,
    AwaitRelease,
    Close,
    FinishSending,
    ReadRequest,
    Reset,
    Respond,
    ScriptedPeer,
    Send,
    Step,
    pdus,
)
from tests import receiving

pytestmark = pytest.mark.timeout(90)

SOURCE = Synthetic(studies=5, instances=4, size=512)
TABLE = receiving.studies(SOURCE, 5)
FIRST_STUDY = (str(TABLE["StudyInstanceUID"][0]),)


def move(folder: Path, *present: Fault, **options: Any) -> pd.DataFrame:
    patience = options.pop("patience", 5.0)
    limits = {"idle_timeout": patience, "first_response_timeout": patience}
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver, *present, source=SOURCE, **limits) as pacs:
        return receiving.move(options.pop("table", TABLE), pacs, receiver, **options)


def numbers(result: pd.DataFrame) -> list[Any]:
    return result["expected"].astype(object).where(result["expected"].notna(), None).tolist()


#: Ways to lose a C-FIND, each at the first study only; `hangs-at-find` costs the whole idle_timeout.
LOST: dict[str, tuple[Fault, str]] = {
    "silence": (faults.HangsAtFind(studies=FIRST_STUDY), "C-FIND was not answered (total_timeout)"),
    "a refusal": (faults.AnswersFind(0xA700, studies=FIRST_STUDY), "the PACS refused C-FIND with 0xA700"),
    "another refusal": (faults.AnswersFind(0x0122, studies=FIRST_STUDY), "the PACS refused C-FIND with 0x0122"),
}


@pytest.mark.parametrize("executor", [None, ThreadPoolExecutor], ids=["threads", "executor"])
@pytest.mark.parametrize("kind", LOST)
def test_a_c_find_that_is_lost_concerns_its_row_and_no_other(tmp_path: Path, kind: str, executor: Any) -> None:
    fault, why = LOST[kind]
    loses = faults.LosesInstances(keep=0.5, studies=(str(TABLE["StudyInstanceUID"][3]),))
    pool = executor(1) if executor else None
    patience = 1.0 if kind == "silence" else 5.0
    with pytest.warns(VerificationWarning, match="number of instances for 1 of 5 rows"):
        result = move(tmp_path, fault, loses, patience=patience, executor=pool)
    assert result["outcome"].tolist() == ["complete", "complete", "complete", "partial", "complete"]
    assert numbers(result) == [None, 4, 4, 4, 4]
    assert result["advice"][0] == f"How many instances there should be is not known: {why}."
    assert result["advice"][1:3].isna().all()


@pytest.mark.parametrize("fault", [fault for fault, _ in LOST.values()][:2], ids=list(LOST)[:2])
def test_retry_brings_it_back_and_moves_nothing_twice(tmp_path: Path, fault: Fault) -> None:
    """Half of the first study is lost as well: only C-FIND tells, when it is answered."""
    loses = faults.LosesInstances(keep=0.5, studies=FIRST_STUDY, attempts=1)
    once = type(fault)(**{**vars(fault), "attempts": 2})
    retry = dm.Retry(attempts=4, wait=0.05)
    result = move(tmp_path, once, loses, patience=1.0 if isinstance(fault, faults.HangsAtFind) else 5.0, retry=retry)
    assert result["outcome"].tolist() == ["complete"] * 5
    assert numbers(result) == [4] * 5
    assert result["advice"].isna().all()
    assert result["attempts"].tolist() == [2, 1, 1, 1, 1]
    receiving.assert_whole(tmp_path, SOURCE)


def test_retry_only_asks_where_nothing_is_missing(tmp_path: Path) -> None:
    once = faults.AnswersFind(0xA700, studies=FIRST_STUDY, attempts=2)
    result = move(tmp_path, once, retry=dm.Retry(attempts=3, wait=0.05))
    assert (result["outcome"].tolist(), numbers(result)) == (["complete"] * 5, [4] * 5)
    assert result["attempts"].tolist() == [1] * 5


def test_impossible_questions_are_not_tried_again(tmp_path: Path) -> None:
    fault = faults.AnswersFind(0x0122, studies=FIRST_STUDY)
    began: list[Event] = []
    with pytest.warns(VerificationWarning):
        result = move(tmp_path, fault, retry=dm.Retry(attempts=3, wait=0.05), progress=began.append)
    assert result["outcome"].tolist() == ["complete"] * 5
    assert sum(isinstance(event, RowStarted) for event in began) == 5


def test_elsewhere_a_row_says_so_too(tmp_path: Path) -> None:
    refusal, _ = LOST["a refusal"]
    told = TABLE.assign(NumberOfStudyRelatedInstances=["9", "4", "4", "4", "4"])
    with (
        Listener(FolderScp(tmp_path)) as store,
        receiving.pacs({"SINK": ("127.0.0.1", store.port)}, refusal, source=SOURCE) as pacs,
    ):
        with pytest.warns(VerificationWarning, match="1 of 5"):
            result = dm.move(TABLE, pacs, "SINK", progress=False, verify="counts")
        with pytest.warns(VerificationWarning, match="1 of 5"):
            hinted = dm.move(told, pacs, "SINK", progress=False)
    assert (result["outcome"][0], numbers(result)) == ("complete", [None, 4, 4, 4, 4])
    assert (hinted["outcome"][0], numbers(hinted)) == ("partial", [9, 4, 4, 4, 4])
    assert "The number of instances that the table names, 9, could not be checked" in hinted["advice"][0]


def test_nothing_is_said_where_nothing_was_to_be_asked(tmp_path: Path) -> None:
    hint = TABLE.assign(NumberOfStudyRelatedInstances="4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = move(tmp_path, faults.AnswersFind(0xA700), table=hint)
        assert result["advice"].isna().all()
        result = move(tmp_path, faults.AnswersFind(0xA700), verify="arrivals")
    assert result["advice"].isna().all()


def test_silence_costs_a_run_a_few_timeouts_and_not_one_for_each_row(tmp_path: Path) -> None:
    source = Synthetic(studies=40, instances=1, size=64)
    table = receiving.studies(source, 40)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.HangsAtFind(), source=source, idle_timeout=0.5) as pacs,
        pytest.warns(VerificationWarning, match="40 of 40"),
    ):
        result = receiving.move(table, pacs, receiver, verify="counts")
    assert result["outcome"].tolist() == ["complete"] * 40
    assert result["advice"].str.contains("is not known: C-FIND was not answered").sum() < 20
    assert result["advice"].str.contains("is not known: the last C-FINDs were not answered").sum() > 20


# Where the association breaks: a PACS of bytes, which moves to an AE elsewhere.

MOVED: tuple[Step, ...] = (ReadRequest(), Respond(completed=4, remaining=0))
BREAKS: dict[str, tuple[Step, ...]] = {
    "releases": (Send(pdus.RELEASE_REQUEST), Close()),
    "aborts": (Send(pdus.abort(0)), Close()),
    "closes": (Close(),),
    "closes its side": (FinishSending(),),
    "resets": (Reset(),),
    "answers garbage": (Send(b"\x00" * 40),),
    "breaks off within an answer": (Send(pdus.header(4, 200) + bytes(20)), Close()),
}


@pytest.mark.parametrize("breaks", BREAKS.values(), ids=BREAKS)
def test_a_c_find_that_breaks_is_sent_again_on_a_fresh_association(breaks: Sequence[Step]) -> None:
    """The answer to it, which has no match, shows that the PACS was asked: it knows of no such study."""
    again: list[Step] = [Accept(), ReadRequest(), Respond(), *MOVED, ReadRequest(), Respond(), AwaitRelease(), Close()]
    with ScriptedPeer([Accept(), *MOVED, ReadRequest(), *breaks], again) as peer:
        pacs = dm.Pacs(peer.address, idle_timeout=2, first_response_timeout=2)
        table = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"]})
        with pytest.warns(VerificationWarning, match="more instances than there should be for 2 of 2 rows"):
            result = dm.move(table, pacs, "SINK", verify="counts", progress=False)
        assert peer.connections == 2
    assert numbers(result) == [0, 0]


def test_a_pacs_that_moves_more_than_it_counts() -> None:
    """To an AE title, nothing shows what came. The number of a table may be old, so the PACS is asked again."""
    source = Synthetic(studies=3, series=1, instances=4, size=64)
    table = receiving.studies(source, 2)
    with RehearsalPacs(source, [faults.MoveIgnoresKeys()]) as pacs:
        for asked in (table, dm.find(table, pacs, progress=False)):
            with pytest.warns(VerificationWarning, match="more instances than there should be for 2 of 2 rows"):
                result = dm.move(asked, pacs, pacs.destination, progress=False)
            assert result["outcome"].tolist() == ["complete"] * 2
            assert result["advice"].str.contains("moved 12 instances, and there should be 4: .* other patients").all()
    with RehearsalPacs(source) as pacs:
        old = dm.find(table, pacs, progress=False).assign(NumberOfStudyRelatedInstances=3)
        result = dm.move(old, pacs, pacs.destination, progress=False)
    assert result["expected"].tolist() == [4, 4]
    assert result["advice"].isna().all()


def test_a_receiver_shows_what_came(tmp_path: Path) -> None:
    source = Synthetic(studies=3, series=1, instances=4, size=64)
    more = faults.MoveIgnoresKeys()
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, more, source=source) as pacs:
        result = receiving.move(receiving.studies(source, 1), pacs, receiver)
    assert result["outcome"].tolist() == ["complete"]
    assert result["received"].tolist() == [4]
    assert result["advice"].isna().all()


@pytest.mark.parametrize("breaks", ["releases", "aborts", "resets"])
def test_a_pacs_that_breaks_off_at_each_c_find_is_named_in_each_row(breaks: str) -> None:
    at_once: list[Step] = [Accept(), ReadRequest(), *BREAKS[breaks]]
    with ScriptedPeer([Accept(), *MOVED, ReadRequest(), *BREAKS[breaks]], at_once) as peer:
        pacs = dm.Pacs(peer.address, idle_timeout=2, first_response_timeout=2)
        with pytest.warns(VerificationWarning, match="1 of 1"):
            result = dm.move(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), pacs, "SINK", progress=False)
        assert peer.connections <= 5
    assert receiving.row(result, "outcome", "expected") == ("complete", None)
    assert "C-FIND was not answered" in result["advice"][0]


@pytest.fixture
def asking() -> Asking:
    asking = Asking()
    asking.learn([Asked("counts", 60.0), Asked("instances")] * 2, 0.0)
    return asking


def test_a_pacs_that_is_silent_is_spared_for_a_while(asking: Asking) -> None:
    assert asking.allowed(0.0) == {"counts", "instances"}
    asking.learn([Asked("counts", 60.0)], 100.0)
    assert asking.allowed(159.0) == {"instances"}
    assert asking.allowed(160.0) == {"counts", "instances"}
    for _ in range(9):
        asking.learn([Asked("counts", 60.0)], 1000.0)
    assert asking.allowed(1479.0) == {"instances"}
    assert asking.allowed(1480.0) == {"counts", "instances"}


def test_an_answer_makes_up_for_what_was_lost(asking: Asking) -> None:
    asking.learn([Asked("counts"), Asked("counts", 60.0), Asked("counts", 60.0)], 100.0)
    assert asking.allowed(100.0) == {"counts", "instances"}


# What an interrupt left in doubt, and what came of it.


class Later(ThreadPoolExecutor):
    """An executor that begins its tasks when it is told to."""

    def __init__(self) -> None:
        super().__init__(1)
        self._begin: list[Callable[[], None]] = []

    def submit(self, call: Callable[[], Any], /, *_: Any, **__: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._begin.append(lambda: future.set_result(call()))
        return future

    def begin(self) -> None:
        while self._begin:
            self._begin.pop()()


def test_a_row_that_was_given_up_before_it_was_sent_is_not_attempted(tmp_path: Path) -> None:
    """Its worker begins when the run has ended, and does not reach it any more."""
    executor = Later()
    events: list[Event] = []

    def act(event: Event) -> None:
        events.append(event)
        if isinstance(event, RowStarted):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    options: Any = {"executor": executor, "progress": act, "journal": tmp_path / "journal.sqlite"}
    with receiving.receiver(tmp_path / "images") as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        with pytest.warns(dm.InterruptedWarning):
            result = dm.move(TABLE[:1], pacs, receiver, **options)
        executor.begin()
        assert receiver.manifest().empty
    assert result[["outcome", "attempts"]].to_numpy().tolist() == [["not_attempted", 0]]
    assert not [event for event in events if isinstance(event, RowFinished)]
    assert dm.read_journal(tmp_path / "journal.sqlite")["outcome"].tolist() == ["not_attempted"]


class HangsAndTells(faults.HangsAtFind):
    """`asked` is set when a C-FIND has come."""

    asked: ClassVar = threading.Event()

    def on_request(self, request: Request) -> None:
        self.asked.set()
        super().on_request(request)


def test_a_c_find_that_the_user_ends_is_named_and_not_warned_of(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, HangsAndTells(), source=SOURCE) as pacs:
        job = dm.start_move(TABLE[:1], pacs, receiver, progress=False, retry=3)
        assert HangsAndTells.asked.wait(60)
        job.cancel()
        with pytest.warns(dm.InterruptedWarning):
            result = job.wait()
    assert result[["outcome", "received", "attempts"]].to_numpy().tolist() == [["complete", 4, 1]]
    assert "C-FIND was cancelled" in result["advice"][0]
