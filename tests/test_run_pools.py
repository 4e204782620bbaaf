"""Threads that move: an association of which no use is made is released, since it costs a PACS one of its threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pandas as pd
import pytest

import dicomove as dm
from dicomove.dimse.association import Association
from dicomove.dimse.messages import Message
from dicomove.dimse.opening import Peer
from dicomove.run import pools
from tests import servers

OUT_OF_RESOURCES = 0xA702


class Held:
    """A PACS that answers a C-MOVE when it is told how."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[int] = []
        self._given = threading.Condition(self._lock)
        self.waiting = 0

    def answer(self, *statuses: int) -> None:
        """Answer as many C-MOVEs with these statuses."""
        with self._given:
            self._answers += statuses
            self._given.notify_all()

    def handle(self, association: Association, peer: Peer, message: Message) -> None:  # noqa: ARG002 (one PACS)
        with self._given:
            self.waiting += 1
            told = self._given.wait_for(lambda: self._answers, timeout=60)
            self.waiting -= 1
            assert told
            status = self._answers.pop(0)
        more = servers.counts(None, 1) if status == 0 else {}
        servers.respond(association, message, status, more)


class Moving:
    """A job, and the PACS that it asks."""

    def __init__(self, pacs: dm.Pacs, held: Held, rows: int, **options: object) -> None:
        table = pd.DataFrame({"StudyInstanceUID": [f"1.2.{number}" for number in range(rows)]})
        self._pacs, self._held = pacs, held
        self.job = dm.start_move(table, pacs, "SINK", verify="arrivals", progress=False, **options)  # type: ignore[arg-type]

    def wait(self, *, in_flight: int, associations: int) -> None:
        servers.wait_until(lambda: (self._held.waiting, servers.associations(self._pacs)) == (in_flight, associations))


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    monkeypatch.setattr(pools, "_REST_S", 600.0)  # no association is released merely because time has passed
    held = Held()
    yield held
    held.answer(*[0] * 100)


def test_at_the_end_of_a_run_only_the_associations_in_use_are_kept(held: Held) -> None:
    with servers.served(held) as pacs:
        moving = Moving(pacs, held, 5, concurrency=3)
        moving.wait(in_flight=3, associations=3)
        held.answer(0, 0)
        moving.wait(in_flight=3, associations=3)
        held.answer(0, 0)
        moving.wait(in_flight=1, associations=1)
        held.answer(0)
        assert moving.job.wait()["outcome"].tolist() == ["complete"] * 5


@pytest.mark.parametrize(
    ("patient", "given_up"),
    [({}, ("interrupted", "cancelled", 1)), ({"PatientID": "7"}, ("not_attempted", None, 0))],
    ids=["C-MOVE", "C-FIND"],
)
def test_a_row_that_is_given_up_counts_what_was_sent(
    held: Held, patient: dict[str, str], given_up: tuple[object, ...]
) -> None:
    """If a row names a patient, C-FIND asks first."""
    table = pd.DataFrame([{"StudyInstanceUID": "1.2.3"} | patient])
    with servers.served(held) as pacs:
        job = dm.start_move(table, pacs, "SINK", verify="arrivals", progress=False)
        servers.wait_until(lambda: held.waiting == 1)
        job.cancel()
        job.cancel()
        with pytest.warns(dm.InterruptedWarning):
            row = job.wait().astype(object).where(lambda found: found.notna(), None).iloc[0]
    assert (row["outcome"], row["error"], row["attempts"]) == given_up


def test_a_pacs_that_is_busy_is_left_with_fewer_associations(held: Held) -> None:
    with servers.served(held) as pacs:
        moving = Moving(pacs, held, 20, concurrency=4)
        moving.wait(in_flight=4, associations=4)
        held.answer(*[OUT_OF_RESOURCES] * 4)
        moving.wait(in_flight=2, associations=2)
        held.answer(*[0] * 16)
        outcomes = moving.job.wait()["outcome"]
        assert outcomes.value_counts().to_dict() == {"complete": 16, "failed": 4}


def test_a_pause_releases_what_is_not_in_use_and_a_run_that_goes_on_opens_it_again(held: Held) -> None:
    with servers.served(held) as pacs:
        moving = Moving(pacs, held, 6, concurrency=2)
        moving.wait(in_flight=2, associations=2)
        moving.job.pause()
        held.answer(0)
        moving.wait(in_flight=1, associations=1)
        held.answer(0)
        moving.wait(in_flight=0, associations=0)
        moving.job.resume()
        moving.wait(in_flight=2, associations=2)
        held.answer(0, 0, 0, 0)
        assert moving.job.wait()["outcome"].tolist() == ["complete"] * 6


def test_an_association_rests_for_a_delay_and_stays_open(held: Held) -> None:
    with servers.served(held) as pacs:
        moving = Moving(pacs, held, 3, concurrency=2, delay=600)
        moving.wait(in_flight=2, associations=2)
        held.answer(0)
        moving.wait(in_flight=1, associations=2)
        moving.job.cancel()
        held.answer(0)
        with pytest.warns(dm.InterruptedWarning, match="1 of 3 rows"):
            results = moving.job.wait()
        assert results["outcome"].tolist() == ["complete", "complete", "not_attempted"]


def test_an_association_of_which_no_use_is_made_for_long_is_released(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "_REST_S", 0.2)
    with servers.served(held) as pacs:
        moving = Moving(pacs, held, 3, concurrency=2, delay=1)
        moving.wait(in_flight=2, associations=2)
        held.answer(0)
        moving.wait(in_flight=1, associations=1)
        moving.wait(in_flight=2, associations=2)
        held.answer(0, 0)
        assert moving.job.wait()["outcome"].tolist() == ["complete"] * 3


def test_a_system_without_further_threads_moves_with_those_that_there_are(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may limit them. It was a traceback in the middle of a run."""
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name in ("dicomove-3", "dicomove-4"):
            message = "can't start new thread"
            raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with servers.served(held) as pacs:
        moving = Moving(pacs, held, 6, concurrency=4)
        moving.wait(in_flight=2, associations=2)
        held.answer(*[0] * 6)
        assert moving.job.wait()["outcome"].tolist() == ["complete"] * 6
