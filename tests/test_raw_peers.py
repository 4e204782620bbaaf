from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

import dicomove as dm
from dicomove.dimse import FindResult, scu
from dicomove.testing.raw import (
    SCRIPTS,
    Accept,
    AwaitRelease,
    FinishSending,
    ReadBytes,
    ReadPdu,
    ReadRequest,
    Repeat,
    Respond,
    ScriptedPeer,
    Send,
    Step,
    StopReading,
    pdus,
)
from dicomove.words import Outcome
from tests import forks
from tests.servers import wait_until

#: How long we wait for what never comes, in seconds, and for what comes.
SILENCE, PATIENCE = 0.15, 2.0
#: Where an answer comes before the silence, and may be late on a slow machine.
AFTER_AN_ANSWER = 1.0
#: The sum of all limits that one call meets, and 3 s for a slow machine.
LIMIT = 5 * SILENCE + AFTER_AN_ANSWER + 3
STUDY = {"StudyInstanceUID": "1.2.3"}
MIB = 1 << 20
#: Nothing that a script says may last longer, or a client that waits for its end would be taken for a patient one.
TOO_LONG = 20.0


@dataclass(frozen=True)
class Expected:
    """What `move_study` and `move` say of a script, and the word of `find_studies` and `echo`.

    Of several words that a bar divides, either may be.
    """

    outcome: str
    error: str | None
    find: str | None
    echo: str | None
    total_timeout: float | None = None
    association: float = PATIENCE
    response: float = PATIENCE


def matches(word: str | None, expected: str | None) -> bool:
    return word in (expected.split("|") if expected else [None])


def unreachable(word: str) -> Expected:
    late = word == "association_timeout"
    return Expected("unreachable", word, word, word, association=SILENCE if late else PATIENCE)


def interrupted(word: str) -> Expected:
    late = word == "idle_timeout"
    return Expected("interrupted", word, word, word, response=SILENCE if late else PATIENCE)


COMPLETE = Expected("complete", None, None, None)
NEVER_RELEASED = Expected("complete", None, None, None, association=AFTER_AN_ANSWER)
NOT_SUPPORTED = Expected("failed", "not_supported", "not_supported", "not_supported")
#: C-ECHO has no data set: echoscu does not look at the transfer syntax either.
ECHO_ONLY = Expected("failed", "not_supported", "not_supported", None)
#: The C-CANCEL was answered, and so the association may be used again.
CLEAN = {"pending-until-cancelled"}
REJECTIONS = [name for name in SCRIPTS if name.startswith("rejects-")]

EXPECTED = {
    "silent": unreachable("association_timeout"),
    "deaf": unreachable("association_timeout"),
    "closes-at-once": unreachable("connection_lost"),
    # The RST may come before the client has seen that it is connected.
    "resets-at-once": unreachable("connection_lost|connection_failed"),
    "closes": unreachable("connection_lost"),
    "resets": unreachable("connection_lost"),
    "http": unreachable("invalid_response"),
    "tls-alert": unreachable("tls_failed"),
    "garbage": unreachable("invalid_response"),
    "unknown-pdu": unreachable("invalid_response"),
    "pdu-of-4-gib": unreachable("invalid_response"),
    "half-header": unreachable("association_timeout"),
    **dict.fromkeys(REJECTIONS, unreachable("association_rejected")),
    "aborts-0": unreachable("association_aborted"),
    "aborts-1": unreachable("association_aborted"),
    "aborts-2": unreachable("association_aborted"),
    "aborts-without-source": unreachable("association_aborted"),
    "releases": unreachable("invalid_response"),
    "p-data-first": unreachable("invalid_response"),
    "half-accept": unreachable("association_timeout"),
    "drips-accept": unreachable("association_timeout"),
    "undecodable-accept": unreachable("invalid_response"),
    "empty-accept": unreachable("invalid_response"),
    "accepts-nothing": NOT_SUPPORTED,
    "accepts-what-nobody-proposed": ECHO_ONLY,
    "accepts-no-transfer-syntax": ECHO_ONLY,
    "receives-1-bytes": unreachable("invalid_response"),
    "receives-6-bytes": unreachable("invalid_response"),
    "receives-8-bytes": COMPLETE,
    "hangs": interrupted("idle_timeout"),
    "closes-after-request": interrupted("connection_lost"),
    "resets-after-request": interrupted("connection_lost"),
    "aborts-after-request": interrupted("association_aborted"),
    "provider-aborts": interrupted("association_aborted"),
    "releases-after-request": interrupted("connection_lost"),
    "aborts-after-pending": interrupted("association_aborted"),
    "hangs-after-pending": interrupted("idle_timeout"),
    "drips-response": interrupted("idle_timeout"),
    "half-p-data": interrupted("idle_timeout"),
    "promises-a-data-set": Expected("complete", None, None, None, response=AFTER_AN_ANSWER),
    "wrong-message-id": interrupted("idle_timeout"),
    "stale-success": interrupted("idle_timeout"),
    "endless-empty-fragments": interrupted("idle_timeout"),
    "endless-empty-pdus": interrupted("idle_timeout"),
    "trickle-of-fragments": interrupted("idle_timeout"),
    "trickle-of-pdus": interrupted("idle_timeout"),
    "p-data-of-2-gib": interrupted("invalid_response"),
    "garbage-after-request": interrupted("invalid_response"),
    "http-after-request": interrupted("invalid_response"),
    "second-accept": interrupted("invalid_response"),
    "pdv-of-1-byte": interrupted("invalid_response"),
    "pdv-of-4-gib": interrupted("invalid_response"),
    "pdv-cut-short": interrupted("invalid_response"),
    "wrong-context": interrupted("invalid_response"),
    "no-command-set": interrupted("invalid_response"),
    "data-set-first": interrupted("invalid_response"),
    "endless-fragments": interrupted("invalid_response"),
    "wrong-kind": interrupted("invalid_response"),
    "request-as-response": interrupted("invalid_response"),
    "no-status": interrupted("invalid_response"),
    "well-behaved": COMPLETE,
    "release-collision": COMPLETE,
    "ignores-release": NEVER_RELEASED,
    "talks-through-release": NEVER_RELEASED,
    "trickles-through-release": NEVER_RELEASED,
    "one-pdu": COMPLETE,
    "many-pdus": COMPLETE,
    "slow-pdus": COMPLETE,
    "stale-then-right": COMPLETE,
    "undecodable-pending": Expected("complete", None, "invalid_response", None),
    "undecodable-final": COMPLETE,
    "cut-short-pending": Expected("complete", None, "invalid_response", None),
    "cut-short-final": COMPLETE,
    "lying-identifier": COMPLETE,
    "says-too-much": NEVER_RELEASED,
    "pending-for-ever": Expected("interrupted", "total_timeout", "total_timeout", "idle_timeout", 0.5),
    "pending-until-cancelled": Expected("interrupted", "total_timeout", "total_timeout", "idle_timeout", 0.1),
}


def waiting(peer: ScriptedPeer, response: float = PATIENCE, association: float = PATIENCE) -> dm.Pacs:
    """A scripted peer as a PACS, and how long we wait for it."""
    return dm.Pacs(
        peer.address,
        connect_timeout=PATIENCE,
        association_timeout=association,
        idle_timeout=response,
        first_response_timeout=response,
    )


def threads_sockets_and_children() -> tuple[int, int, str]:
    me = Path("/proc/self")
    sockets = [file for file in (me / "fd").iterdir() if "socket" in _target(file)]
    return threading.active_count(), len(sockets), (me / "task" / str(os.getpid()) / "children").read_text()


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the directory that was read
        return ""


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """The process that forks our programs, which stays, is there before a test counts processes."""
    subprocess.run(forks.python("-c", ""), check=True)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = threads_sockets_and_children()
    yield
    wait_until(lambda: threads_sockets_and_children() == before, 5)


@pytest.fixture(autouse=True)
def _little_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scu, "CANCEL_GRACE_S", SILENCE)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


@contextmanager
def playing(name: str) -> Iterator[dm.Pacs]:
    """A script's peer as a PACS, for which we wait as long as is expected of it."""
    with ScriptedPeer(SCRIPTS[name].steps, seconds=TOO_LONG) as peer:
        yield waiting(peer, EXPECTED[name].response, EXPECTED[name].association)


def move_one(pacs: dm.Pacs, total_timeout: float | None = None) -> dm.dimse.MoveResult:
    with dm.MoveScu(pacs) as mover:
        return mover.move_study(STUDY, "ANYWHERE", total_timeout=total_timeout)


def find_one(pacs: dm.Pacs, total_timeout: float | None = None, query: dict[str, str] | None = None) -> FindResult:
    with dm.FindScu(pacs) as finder:
        return finder.find_studies(query or STUDY, total_timeout=total_timeout)


def test_every_script_is_expected_here() -> None:
    assert set(EXPECTED) == set(SCRIPTS)
    assert all(script.about.endswith(".") for script in SCRIPTS.values())


@pytest.mark.parametrize("name", SCRIPTS)
def test_move_and_the_next_row_has_a_fresh_association(name: str) -> None:
    expected = EXPECTED[name]
    lost = expected.outcome in ("unreachable", "interrupted") and name not in CLEAN
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3", "1.2.4"][: 1 + lost]})
    with ScriptedPeer(SCRIPTS[name].steps, SCRIPTS["well-behaved"].steps, seconds=TOO_LONG) as peer, within(LIMIT):
        results = dm.move(
            table,
            # The second row is answered, within the same limits.
            waiting(peer, max(expected.response, AFTER_AN_ANSWER), max(expected.association, AFTER_AN_ANSWER)),
            "ANYWHERE",
            progress=False,
            verify="arrivals",
            total_timeout=expected.total_timeout,
        )
    words = [None if pd.isna(word) else word for word in results["error"]]
    assert results["outcome"].tolist() == [expected.outcome, "complete"][: 1 + lost]
    assert matches(words[0], expected.error)
    assert words[1:] == [None] * lost
    assert results["advice"].notna().tolist() == results["error"].notna().tolist()


@pytest.mark.parametrize("name", SCRIPTS)
def test_find_studies(name: str) -> None:
    expected = EXPECTED[name]
    with playing(name) as pacs, within(LIMIT):
        result = find_one(pacs, expected.total_timeout)
    assert matches(result.error, expected.find)
    assert (result.status is None) == (result.error is not None)
    assert not result.matches  # it only announces some


@pytest.mark.parametrize("name", SCRIPTS)
def test_echo(name: str) -> None:
    word = EXPECTED[name].echo
    with ScriptedPeer(SCRIPTS[name].steps, seconds=TOO_LONG) as peer, within(LIMIT):
        # One limit is for the association, which these peers accept, and for the answer.
        pacs = waiting(peer, association=AFTER_AN_ANSWER if word == "idle_timeout" else EXPECTED[name].association)
        if word is None:
            assert dm.echo(pacs).status == "0x0000"
        else:
            with pytest.raises(dm.errors.AssociationError) as raised:
                dm.echo(pacs)
            assert matches(raised.value.error, word)


@pytest.mark.parametrize("name", ["pdu-of-4-gib", "p-data-of-2-gib", "pdv-of-4-gib", "lying-identifier"])
def test_a_lie_about_a_length_costs_no_memory(name: str) -> None:
    assert _peak(name) < 8 * MIB


def test_fragments_without_an_end_cost_what_the_longest_message_does() -> None:
    assert _peak("endless-fragments") < 160 * MIB


def _peak(name: str) -> int:
    with playing(name) as pacs:
        move_one(pacs)  # what is imported and cached at the first time is no cost of the lie
        tracemalloc.start()
        try:
            move_one(pacs)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", ["pending-until-cancelled", "pending-for-ever", "trickle-of-pdus"])
def test_a_wish_to_stop_is_granted(name: str) -> None:
    with ScriptedPeer(SCRIPTS[name].steps, seconds=TOO_LONG) as peer, within(LIMIT), dm.MoveScu(waiting(peer)) as mover:
        timer = threading.Timer(AFTER_AN_ANSWER, mover.cancel)  # not before the request is sent
        timer.start()
        result = mover.move_study(STUDY, "ANYWHERE")
        timer.join()
    assert result.outcome == "cancelled"


@pytest.mark.parametrize(
    ("total_timeout", "word"), [(None, "idle_timeout"), (SILENCE, "total_timeout")], ids=["silence", "total"]
)
def test_a_peer_that_stops_reading(total_timeout: float | None, word: str) -> None:
    query = {**STUDY, "PatientComments": "x" * 16 * MIB}
    # To encode and send 16 MiB takes a busy machine a dozen seconds.
    for_ever = 6 * TOO_LONG
    response = SILENCE if total_timeout is None else for_ever
    with ScriptedPeer([Accept(), StopReading()], seconds=for_ever) as peer, within(for_ever / 2):
        result = find_one(waiting(peer, response), total_timeout, query)
    assert (result.status, result.error) == (None, word)


def test_the_peer_tells_what_it_heard() -> None:
    steps = SCRIPTS["well-behaved"].steps
    with ScriptedPeer(steps, SCRIPTS["closes"].steps) as peer:
        outcomes = [move_one(waiting(peer)).outcome for _ in range(3)]
        assert outcomes == ["complete", "unreachable", "unreachable"]
        # A port that closes without a word is asked once whether it wants TLS.
        assert peer.connections == 4
        assert b"1.2.3" in peer.received[0]
        assert peer.received[1] == peer.received[3]
        assert peer.sent[0].endswith(pdus.RELEASE_ANSWER)
        assert peer.sent[1:] == [b"", b"", b""]


def test_steps_are_put_together_at_will() -> None:
    pending = Respond(status=0xFF00, completed=0, remaining=2)
    events: list[dm.events.SubOperationEvent] = []
    steps: list[Step] = [Accept(), ReadBytes(1), ReadBytes(1), ReadBytes(4), FinishSending()]
    with ScriptedPeer([Accept(), ReadRequest(), Repeat(pending, 5), Respond(completed=2)], steps) as peer:
        with dm.MoveScu(waiting(peer, association=AFTER_AN_ANSWER)) as mover:
            result = mover.move_study(STUDY, "ANYWHERE", on_sub_operation=events.append)
        assert move_one(waiting(peer)).error == "connection_lost"
    assert (result.completed, len(events)) == (2, 5)


def test_the_peer_ends_though_its_script_does_not() -> None:
    with within(LIMIT), ScriptedPeer([Repeat(StopReading(0.01))]) as peer:
        assert move_one(waiting(peer, association=SILENCE)).error == "association_timeout"


# What follows gives the client bytes that nobody thought of.

_NAME = "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce".encode("iso2022_jp")
_MATCH = pdus.element(0x0008, 0x0005, b"\\ISO 2022 IR 87 ") + pdus.element(0x0010, 0x0010, _NAME)
_FAILED = pdus.element(0x0008, 0x0058, b"1.2.3.4\\1.2.3.5\0")
ANSWERS = (
    Respond(status=0xFF00, completed=1, remaining=2, data=_MATCH),
    Respond(status=0xFF00, completed=2, remaining=1),
    Respond(status=0xB000, completed=3, data=_FAILED),
)


def session(ask: Callable[[dm.Pacs], object]) -> bytes:
    """The bytes of the server in a session that went well."""
    with ScriptedPeer([Accept(), ReadRequest(), *ANSWERS, AwaitRelease(), Send(pdus.RELEASE_ANSWER)]) as peer:
        ask(waiting(peer, 5, 5))
    return peer.sent[0]


Mutation = tuple[str, float, int]
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "replace", "cut", "repeat", "drop"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)


def mutated(data: bytes, mutations: list[Mutation]) -> bytes:
    made = bytearray(data)
    for kind, where, what in mutations:
        at = int(where * len(made))
        piece = made[at : at + what % 40 + 1]
        match kind:
            case "flip":
                made[at : at + 1] = bytes(byte ^ (1 << what % 8) for byte in piece[:1])
            case "replace":
                made[at : at + 1] = bytes([what])[: len(piece)]
            case "cut":
                del made[at:]
            case "repeat":
                made[at:at] = piece
            case "drop":
                del made[at : at + len(piece)]
    return bytes(made)


@contextmanager
def saying(data: bytes) -> Iterator[dm.Pacs]:
    with ScriptedPeer([ReadPdu(), Send(data), FinishSending()], seconds=TOO_LONG) as peer, within(LIMIT):
        yield waiting(peer, 0.1, 0.1)


def check(data: bytes) -> None:
    with saying(data) as pacs:
        result = move_one(pacs)
    assert isinstance(result, dm.dimse.MoveResult)
    assert result.outcome in get_args(Outcome)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", *(bytes([kind, 0]) for kind in range(9))]))
def test_any_bytes_are_answered_by_a_result(data: bytes, start: bytes) -> None:
    check(start + data)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 8), st.binary(max_size=120))
def test_any_pdu_is_answered_by_a_result(kind: int, body: bytes) -> None:
    check(pdus.pdu(kind, body))


@pytest.fixture(scope="module")
def moved() -> bytes:
    return session(move_one)


@pytest.fixture(scope="module")
def found() -> bytes:
    return session(find_one)


def test_the_sessions_are_good_before_they_are_damaged(moved: bytes, found: bytes) -> None:
    with saying(moved) as pacs:
        result = move_one(pacs)
    assert (result.status, result.completed, result.failed_sop_instance_uids) == ("0xB000", 3, ("1.2.3.4", "1.2.3.5"))
    with saying(found) as pacs:
        told = find_one(pacs)
    assert told.matches == ({"PatientName": "Yamada^Tarou=\u5c71\u7530^\u592a\u90ce"},)
    assert told.without_identifier == 1


@settings(max_examples=300, deadline=None)
@given(mutations=MUTATIONS)
def test_a_damaged_session_gives_a_result(moved: bytes, mutations: list[Mutation]) -> None:
    check(mutated(moved, mutations))


@settings(max_examples=300, deadline=None)
@given(mutations=MUTATIONS)
def test_a_damaged_session_of_c_find_gives_a_result(found: bytes, mutations: list[Mutation]) -> None:
    with saying(mutated(found, mutations)) as pacs:
        result = find_one(pacs)
    assert all(isinstance(value, str) for match in result for value in match.values())


# What follows ends a process while a peer stalls.

BEGIN = """
import signal, sys, threading
import pandas as pd
import dicomove as dm
pacs = dm.Pacs(sys.argv[1], association_timeout=60, idle_timeout=60)
scu = dm.MoveScu(pacs)
def move():
    dm.move(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), pacs, "ANYWHERE", progress=False)
def study():
    scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE")
def fail(*_):
    raise RuntimeError("not caught")
signal.signal(signal.SIGUSR1, fail)
"""
BEHIND = "threading.Thread(target={0}, daemon=True).start(); sys.stdin.readline()\n"


@dataclass(frozen=True)
class Ending:
    script: str
    signals: tuple[signal.Signals, ...] = ()
    returncode: int = 0
    #: Far less than the 60 s for which the peer may be silent.
    seconds: float = 20


ENDINGS = {
    "falls off the end": Ending(BEHIND.format("move")),
    "falls off the end of one move": Ending(BEHIND.format("study")),
    "exits": Ending(BEHIND.format("move") + "sys.exit(3)", returncode=3),
    "fails": Ending(BEHIND.format("move") + "fail()", returncode=1),
    "fails while it waits": Ending("move()", (signal.SIGUSR1,), 1),
    "fails inside one move": Ending("study()", (signal.SIGUSR1,), 1),
    "interrupted inside one move": Ending("study()", (signal.SIGINT,), -signal.SIGINT),
    "interrupted": Ending("move()", (signal.SIGINT,), 0),
    "interrupted twice": Ending("move()", (signal.SIGINT, signal.SIGINT), 0),
}


@pytest.mark.parametrize(
    ("name", "stall"),
    [
        *((name, "half-p-data") for name in ENDINGS),
        *((name, "silent") for name in ("falls off the end", "fails while it waits", "interrupted")),
    ],
)
def test_the_interpreter_exits_while_the_peer_stalls(name: str, stall: str) -> None:
    ending = ENDINGS[name]
    command = forks.python("-c", BEGIN + ending.script)
    with ScriptedPeer(SCRIPTS[stall].steps) as peer:
        process = subprocess.Popen([*command, peer.address], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with process:
            wait_until(lambda: any(_is_stalled(connection, stall) for connection in peer.received))
            with within(ending.seconds):
                for number in ending.signals:
                    heard = len(peer.received[0])
                    process.send_signal(number)
                    wait_until(lambda: process.poll() is not None or len(peer.received[0]) > heard)  # noqa: B023
                _, said = process.communicate("go on\n", timeout=TOO_LONG)
    assert process.returncode == ending.returncode, said
    assert "Fatal" not in said


def _is_stalled(received: bytes, stall: str) -> bool:
    return received.endswith(b"1.2.3\0") or (stall == "silent" and len(received) > 0)
