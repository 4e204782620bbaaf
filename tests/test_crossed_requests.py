"""A request crosses the end of the association on the wire: it is sent once more, and never a third time."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.store import read_attempts
from dicomove.testing.raw import (
    Accept,
    AwaitRelease,
    Close,
    FinishSending,
    RawConnection,
    ReadBytes,
    ReadRequest,
    Reset,
    Respond,
    ScriptedPeer,
    Send,
    Silence,
    Step,
    pdus,
)
from tests.servers import wait_until

pytestmark = pytest.mark.timeout(60)

STUDY = {"StudyInstanceUID": "1.2.3"}
FIRST: tuple[Step, ...] = (Accept(), ReadRequest(), Respond(completed=1, remaining=0))
GOOD: tuple[Step, ...] = (*FIRST, ReadRequest(), Respond(completed=1, remaining=0), AwaitRelease(), Close())

#: How much of the second request the PACS has read when it ends the association; the client has sent all of it by then.
MOMENTS: dict[str, tuple[Step, ...]] = {
    "a byte": (ReadBytes(1),),
    "half of it": (ReadBytes(40),),
    "all of it": (ReadRequest(),),
}
ENDINGS: dict[str, tuple[Step, ...]] = {
    "releases": (Send(pdus.RELEASE_REQUEST), Silence()),
    "releases and closes": (Send(pdus.RELEASE_REQUEST), Close()),
    "aborts": (Send(pdus.abort(0)), Silence()),
    "aborts and closes": (Send(pdus.abort(2)), Close()),
    "closes": (Close(),),
    "closes its side": (FinishSending(),),
    "resets": (Reset(),),
}


def pacs(peer: ScriptedPeer) -> dm.Pacs:
    return dm.Pacs(peer.address, idle_timeout=2, first_response_timeout=2, association_timeout=2)


def move(scu: dm.MoveScu) -> str | None:
    return scu.move_study(STUDY, "ANYWHERE").error


def find(scu: dm.MoveScu) -> str | None:
    return scu.find_scu().find_studies(STUDY).error


def echo(scu: dm.MoveScu) -> str | None:
    try:
        scu.echo()
    except dm.errors.AssociationError as error:
        return error.error
    return None


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("request_", [move, find, echo])
def test_it_is_sent_once_more(
    request_: Callable[[dm.MoveScu], str | None], moment: Sequence[Step], ending: Sequence[Step]
) -> None:
    with ScriptedPeer([*FIRST, *moment, *ending], GOOD) as peer, dm.MoveScu(pacs(peer)) as scu:
        assert [request_(scu) for _ in range(3)] == [None] * 3
        assert peer.connections == 2


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
@pytest.mark.parametrize("request_", [move, find, echo])
def test_on_a_fresh_association_it_is_not(
    request_: Callable[[dm.MoveScu], str | None], moment: Sequence[Step], ending: Sequence[Step]
) -> None:
    with ScriptedPeer([Accept(), *moment, *ending], GOOD) as peer, dm.MoveScu(pacs(peer)) as scu:
        assert request_(scu) in ("connection_lost", "association_aborted")
        assert peer.connections == 1


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize("request_", [move, find, echo])
def test_it_is_never_sent_a_third_time(request_: Callable[[dm.MoveScu], str | None], ending: Sequence[Step]) -> None:
    again: list[Step] = [Accept(), ReadRequest(), *ending]
    with ScriptedPeer([*FIRST, ReadRequest(), *ending], again, GOOD) as peer, dm.MoveScu(pacs(peer)) as scu:
        assert request_(scu) is None
        assert request_(scu) in ("connection_lost", "association_aborted")
        assert peer.connections == 2


ANSWERED: dict[str, tuple[Step, ...]] = {
    "a pending response": (Respond(status=0xFF00, completed=1, remaining=1),),
    "a part of a response": (Send(pdus.header(4, 200) + bytes(20)),),
    "three bytes of a response": (Send(b"\x04\x00\x00"),),
    "a response to something else": (Respond(message_id_shift=7),),
}


@pytest.mark.parametrize("ending", ["releases", "aborts", "closes", "resets"])
@pytest.mark.parametrize("answered", ANSWERED.values(), ids=ANSWERED)
@pytest.mark.parametrize("request_", [move, find, echo])
def test_once_anything_was_answered_it_is_not_sent_again(
    request_: Callable[[dm.MoveScu], str | None], answered: Sequence[Step], ending: str
) -> None:
    with (
        ScriptedPeer([*FIRST, ReadRequest(), *answered, *ENDINGS[ending]], GOOD) as peer,
        dm.MoveScu(pacs(peer)) as scu,
    ):
        assert request_(scu) is None
        assert request_(scu) in ("connection_lost", "association_aborted", "invalid_response", "idle_timeout")
        assert peer.connections == 1


def test_silence_does_not_count_as_an_end() -> None:
    with ScriptedPeer([*FIRST, ReadRequest(), Silence()], GOOD) as peer, dm.MoveScu(pacs(peer)) as scu:
        assert (move(scu), move(scu)) == (None, "idle_timeout")
        assert peer.connections == 1


def test_cancelled_requests_are_not_sent_again() -> None:
    """The PACS answers C-CANCEL with the end of the association."""
    stop = threading.Event()

    def until_it_is_cancelled(connection: RawConnection) -> None:
        stop.set()
        connection.read_pdu()

    script: list[Step] = [*FIRST, ReadRequest(), until_it_is_cancelled, *ENDINGS["releases"]]
    with ScriptedPeer(script, GOOD) as peer, dm.MoveScu(pacs(peer)) as scu:
        assert move(scu) is None
        result = scu.move_study(STUDY, "ANYWHERE", stop=stop)
        assert (result.outcome, result.attempts, peer.connections) == ("cancelled", 1, 1)


@pytest.mark.parametrize("late", [False, True])
def test_a_sign_that_the_pacs_has_the_request_prevents_a_second_one(late: bool) -> None:
    """Instances that arrive are its first answer, whatever comes after them."""
    long_ago = time.monotonic()
    with ScriptedPeer([*FIRST, ReadRequest(), *ENDINGS["resets"]], GOOD) as peer, dm.MoveScu(pacs(peer)) as scu:
        assert move(scu) is None
        result = scu.move_study(STUDY, "ANYWHERE", last_activity=time.monotonic if late else lambda: long_ago)
        assert (result.outcome, result.attempts) == (("interrupted", 1) if late else ("complete", 2))
        assert peer.connections == (1 if late else 2)


def test_where_no_other_association_is_made_the_first_one_is_what_is_known() -> None:
    with (
        ScriptedPeer([*FIRST, ReadRequest(), *ENDINGS["releases"]], [Reset()]) as peer,
        dm.MoveScu(pacs(peer)) as scu,
    ):
        assert move(scu) is None
        result = scu.move_study(STUDY, "ANYWHERE")
    assert (result.outcome, result.error, result.attempts) == ("interrupted", "connection_lost", 1)
    assert "the peer released the association" in (result.advice or "").lower()


@pytest.mark.parametrize("retry", [None, dm.Retry(attempts=2, wait=0.01)], ids=["without retry", "with retry"])
def test_a_table_says_how_many_were_sent(tmp_path: Path, retry: dm.Retry | None) -> None:
    crossing: list[Step] = [*FIRST, ReadRequest(), *ENDINGS["releases"]]
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4", "1.2.5"]})
    with ScriptedPeer(crossing, crossing, GOOD) as peer:
        result = dm.move(
            table, pacs(peer), "SINK", verify="arrivals", retry=retry, journal=tmp_path / "j", progress=False
        )
        assert peer.connections == 3
    assert result["outcome"].tolist() == ["complete"] * 3
    assert result["attempts"].tolist() == [1, 2, 2]
    written = read_attempts(tmp_path / "j")[["row", "sent", "final", "outcome", "error"]].astype(object)
    assert written.where(written.notna(), "").to_numpy().tolist() == [
        [0, True, True, "complete", ""],
        [1, True, False, "interrupted", "connection_lost"],
        [1, True, True, "complete", ""],
        [2, True, False, "interrupted", "connection_lost"],
        [2, True, True, "complete", ""],
    ]


def test_both_requests_of_a_row_that_is_given_up_are_counted() -> None:
    """The run waits no longer: what it knows of the row is what was sent."""
    crossing: list[Step] = [*FIRST, ReadRequest(), *ENDINGS["closes"]]
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"]})
    with ScriptedPeer(crossing, [Accept(), ReadRequest(), Silence()]) as peer:
        patient = dataclasses.replace(pacs(peer), idle_timeout=30, first_response_timeout=30)
        job = dm.start_move(table, patient, "SINK", verify="arrivals", progress=False)
        wait_until(lambda: len(peer.received) == 2 and b"1.2.4" in peer.received[1])
        job.cancel()
        job.cancel()
        with pytest.warns(dm.InterruptedWarning):
            given_up = job.wait().iloc[1]
    assert (given_up["outcome"], given_up["attempts"]) == ("interrupted", 2)
