"""`MoveScu` and `FindScu`: one exchange at a time, with peers of every kind."""

from __future__ import annotations

import logging
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydicom import Dataset, config
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

import dicomove as dm
from dicomove.dimse import deadlines
from dicomove.dimse.association import Association
from dicomove.dimse.data_sets import decode_match, encode_identifier
from dicomove.dimse.deadlines import Deadline, Deadlines
from dicomove.dimse.messages import Message, decode_command
from dicomove.dimse.opening import Peer
from dicomove.dimse.state import State
from dicomove.errors import IdleTimeout
from dicomove.testing import RunningPacs, Synthetic, faults
from dicomove.testing.archive import Archive
from dicomove.testing.images import DEMO_PATIENTS, series_uid, study_uid
from dicomove.testing.raw import Accept, Close, ReadRequest, Respond, ScriptedPeer, Send, Silence, Step, pdus
from tests import receiving, servers
from tests.conftest import LONG
from tests.servers import GATE, SINK, Gate, Here, Store, counts, respond

pytestmark = pytest.mark.timeout(40)

CT, CR = study_uid("A0001"), study_uid("A0010")
STUDY = {"StudyInstanceUID": CT, "QueryRetrieveLevel": "STUDY"}
LIMIT_S = 0.4
#: What a busy machine may add to a limit.
PATIENCE_S = 8.0

ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
REJECT = b"\x03\x00\x00\x00\x00\x04\x00"


def impatient(port: int, **limits: Any) -> dm.Pacs:
    """A PACS whose responses are not waited for long; only a busy machine is late with an association."""
    short = dict.fromkeys(("idle_timeout", "first_response_timeout"), LIMIT_S)
    return dm.Pacs(f"PEER@127.0.0.1:{port}", **{"connect_timeout": 10, "association_timeout": 10, **short, **limits})


def move(pacs: dm.Pacs, destination: str = SINK, **options: Any) -> dm.dimse.MoveResult:
    with dm.MoveScu(pacs) as scu:
        return scu.move_study(STUDY, destination, **options)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began, before = time.monotonic(), set(threading.enumerate())
    yield
    assert time.monotonic() - began < seconds + PATIENCE_S
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("dicomove")]


# Peers that are no PACS. What they say is all that we hear of them.


def says(answer: bytes, *, then_close: bool = False) -> Callable[[socket.socket], None]:
    """Wait for the request, answer, and stay (or go)."""

    def talk(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(answer)
        if not then_close:
            while sock.recv(65536):
                pass

    return talk


def drips(sock: socket.socket) -> None:
    """Say one byte of an A-ASSOCIATE-AC after the other, for ever."""
    sock.sendall(b"\x02\x00\x00\x00\xff\xff")
    sock.settimeout(0.02)
    while True:
        try:
            if not sock.recv(65536):
                return
        except TimeoutError:
            sock.sendall(b"\x00")


def resets(sock: socket.socket) -> None:
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


PEERS = {
    "closes": (says(b"", then_close=True), "connection_lost"),
    "resets": (resets, "connection_lost"),
    "is silent": (says(b""), "association_timeout"),
    "says half a header": (says(b"\x02\x00\x00"), "association_timeout"),
    "says half an answer": (says(b"\x02\x00\x00\x00\x01\x00abc"), "association_timeout"),
    "drips": (drips, "association_timeout"),
    "closes within a header": (says(b"\x02\x00\x00", then_close=True), "connection_lost"),
    "speaks HTTP": (says(b"HTTP/1.1 400 Bad Request\r\n\r\n", then_close=True), "invalid_response"),
    "speaks TLS": (says(b"\x15\x03\x01\x00\x02\x02\x28", then_close=True), "tls_failed"),
    "speaks TLS as Java does": (says(b"\x15\x03\x03\x00\x02\x02\x0a", then_close=True), "tls_failed"),
    "speaks of 4 GiB": (says(b"\x02\x00\xff\xff\xff\xff"), "invalid_response"),
    "answers nonsense": (says(b"\x02\x00\x00\x00\x00\x08nonsense"), "invalid_response"),
    "answers nothing": (says(b"\x02\x00\x00\x00\x00\x00"), "invalid_response"),
    "sends data": (says(b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x01\x03"), "invalid_response"),
    "releases": (says(RELEASE_RQ), "invalid_response"),
    "rejects": (says(REJECT + b"\x01\x01\x07"), "association_rejected"),
    "rejects for no known reason": (says(REJECT + b"\x09\x09\x63"), "association_rejected"),
    "aborts": (says(ABORT), "association_aborted"),
}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_that_makes_no_association(name: str) -> None:
    talk, error = PEERS[name]
    limits = {"association_timeout": LIMIT_S} if error == "association_timeout" else {}
    with servers.listening(talk) as port, within(LIMIT_S):
        result = move(impatient(port, **limits))
        assert (result.outcome, result.status, result.error) == ("unreachable", None, error)
        assert not result.evidence.sent
        assert (result.total, result.completed, result.failed_sop_instance_uids) == (None, None, ())
        assert result.advice
        with dm.FindScu(impatient(port, **limits)) as finder:
            found = finder.find_studies({"PatientID": "000123"})
            assert (found.error, found.status, found.sent, len(found)) == (error, None, False, 0)
            with pytest.raises(dm.errors.AssociationError) as raised:
                finder.echo()
            assert raised.value.error == error


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"\x01\x01\x07", "Called AE title not recognised"),
        (b"\x01\x01\x03", "Calling AE title not recognised"),
        (b"\x02\x03\x02", "Local limit exceeded"),
        (b"\x09\x09\x63", "result 9, source 9, reason 99"),
    ],
)
def test_a_rejection_says_why(answer: bytes, words: str) -> None:
    with servers.listening(says(REJECT + answer)) as port:
        assert words in (move(impatient(port)).advice or "")


def test_a_rejection_of_more_than_four_bytes_is_one() -> None:
    with servers.listening(says(b"\x03\0\0\0\0\x06\0\x01\x01\x07\0\0")) as port:
        assert "Called AE title not recognised" in (move(impatient(port)).advice or "")


def test_a_port_without_a_listener() -> None:
    with servers.dead_port() as port, within(0):
        result = move(impatient(port))
    assert (result.outcome, result.error) == ("unreachable", "connection_failed")
    assert f"127.0.0.1:{port}" in (result.advice or "")


def test_an_unknown_host() -> None:
    result = move(dm.Pacs("PACS@no-such-host.invalid:104"))
    assert (result.outcome, result.error) == ("unreachable", "connection_failed")
    assert "no-such-host.invalid" in (result.advice or "")


def test_a_host_that_does_not_answer_at_all() -> None:
    with servers.full_port() as port, within(LIMIT_S):
        result = move(impatient(port, connect_timeout=LIMIT_S))
    assert (result.outcome, result.error) == ("unreachable", "connect_timeout")


def test_a_peer_without_the_service(store: Store) -> None:
    """A storescp accepts the association, and of ours C-ECHO alone."""
    pacs = dm.Pacs(f"{servers.DESTINATION}@127.0.0.1:{store.port}")
    with dm.MoveScu(pacs) as scu:
        assert scu.echo().status == "0x0000"
        result = scu.move_study(STUDY, SINK)
        assert (result.outcome, result.status, result.error) == ("failed", None, "not_supported")
        assert not result.evidence.sent
        assert "does not offer StudyRoot MOVE" in (result.advice or "")
        found = scu.find_scu().find_studies({"PatientID": "000123"})
        assert (found.error, found.sent) == ("not_supported", False)
        assert scu.echo().status == "0x0000"


# Peers that are a PACS until the request has come.

Play = Callable[[Association, Message], object]


class Script:
    """Answers C-MOVE and C-FIND as a function says."""

    def __init__(self, play: Play) -> None:
        self.play = play

    def handle(self, association: Association, peer: Peer, message: Message) -> None:  # noqa: ARG002
        self.play(association, message)


@contextmanager
def playing(play: Play, **limits: Any) -> Iterator[dm.Pacs]:
    with servers.served(Script(play)) as pacs:
        yield impatient(pacs.port, **limits)


def pending(association: Association, message: Message, completed: int = 2) -> None:
    respond(association, message, 0xFF00, counts(5 - completed, completed))


def stay(association: Association) -> None:
    """Hear what comes until the peer goes."""
    while True:
        association.receive(Deadlines(Deadline(20, IdleTimeout, "the test")))


def raw(association: Association, data: bytes) -> None:
    association._connection.send(data, Deadlines(Deadline(20, IdleTimeout, "the test")))


def silent(association: Association, message: Message) -> None:  # noqa: ARG001
    stay(association)


def pending_then_silent(association: Association, message: Message) -> None:
    pending(association, message)
    stay(association)


def pending_then_abort(association: Association, message: Message) -> None:
    pending(association, message)
    association.abort()


def pending_then_close(association: Association, message: Message) -> None:
    pending(association, message)
    association._connection.close()


def pending_then(data: bytes) -> Play:
    def play(association: Association, message: Message) -> None:
        pending(association, message)
        raw(association, data)
        stay(association)

    return play


def without_status(association: Association, message: Message) -> None:
    pending(association, message)
    answer = {"CommandField": 0x8021, "MessageIDBeingRespondedTo": message.number("MessageID") or 0}
    deadlines = Deadlines(Deadline(20, IdleTimeout, "the test"))
    association.send(Message(message.context_id, answer), deadlines)
    stay(association)


def another_kind(association: Association, message: Message) -> None:
    pending(association, message)
    respond(association, message, 0x0000, {"CommandField": 0x8001})
    stay(association)


@pytest.mark.parametrize(
    ("play", "error", "limit"),
    [
        (pending_then_silent, "idle_timeout", LIMIT_S),
        (pending_then_abort, "association_aborted", 0),
        (pending_then_close, "connection_lost", 0),
        (pending_then(RELEASE_RQ), "connection_lost", 0),
        (pending_then(ABORT), "association_aborted", 0),
        (pending_then(b"\x04\x00\x00"), "idle_timeout", LIMIT_S),
        (pending_then(b"\x04\x00\x00\x00\x00\x20\x00\x00"), "idle_timeout", LIMIT_S),
        (pending_then(b"\x04\x00\xff\xff\xff\xff"), "invalid_response", 0),
        (pending_then(b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\xff\x01\x03"), "invalid_response", 0),
        (pending_then(b"\x04\x00\x00\x00\x00\x06\x00\x00\x00\x02\x63\x03"), "invalid_response", 0),
        (pending_then(b"\x04\x00\x00\x00\x00\x08\x00\x00\x00\x04\x09\x02ab"), "idle_timeout", LIMIT_S),
        (pending_then(b"\x04\x00\x00\x00\x00\x0a\x00\x00\x00\x06\x01\x03abcd"), "invalid_response", 0),
        (pending_then(b"\x02\x00\x00\x00\x00\x00"), "invalid_response", 0),
        (pending_then(b"GET / HTTP/1.1\r\n\r\n"), "invalid_response", 0),
        (without_status, "invalid_response", 0),
        (another_kind, "invalid_response", 0),
    ],
)
def test_an_answer_that_breaks_off(play: Play, error: str, limit: float) -> None:
    """What had come before is not forgotten."""
    with playing(play) as pacs, within(limit):
        result = move(pacs)
    assert (result.outcome, result.status, result.error) == ("interrupted", None, error)
    assert (result.total, result.completed, result.failed, result.remaining) == (5, 2, 0, 3)
    assert result.evidence.sent


def test_silence_before_the_first_response() -> None:
    with playing(silent) as pacs, within(LIMIT_S):
        result = move(pacs)
    assert (result.outcome, result.error, result.completed) == ("interrupted", "idle_timeout", None)
    assert result.duration_s >= LIMIT_S


def test_the_first_response_may_take_longer_than_the_next() -> None:
    def slow_to_start(association: Association, message: Message) -> None:
        time.sleep(2 * LIMIT_S)
        respond(association, message, 0x0000, counts(None, 5))

    with playing(slow_to_start, first_response_timeout=20) as pacs:
        assert move(pacs).outcome == "complete"


def test_each_response_resets_the_idle_clock() -> None:
    def slow(association: Association, message: Message) -> None:
        for completed in range(5):
            pending(association, message, completed)
            time.sleep(LIMIT_S / 2)
        respond(association, message, 0x0000, counts(None, 5))

    with playing(slow) as pacs:
        result = move(pacs)
    assert (result.outcome, result.total, result.completed) == ("complete", 5, 5)
    assert result.duration_s > 2 * LIMIT_S


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for an answer to C-CANCEL only as long as a test should."""
    monkeypatch.setattr("dicomove.dimse.scu.CANCEL_GRACE_S", LIMIT_S)


def pending_for_ever(association: Association, message: Message) -> None:
    while True:
        pending(association, message)
        time.sleep(0.005)


@pytest.mark.usefixtures("short_grace")
def test_pending_for_ever_ends_at_the_total_timeout() -> None:
    with playing(pending_for_ever) as pacs, within(3 * LIMIT_S):
        result = move(pacs, total_timeout=2 * LIMIT_S)
    assert (result.outcome, result.error, result.completed) == ("interrupted", "total_timeout", 2)
    assert result.duration_s >= 2 * LIMIT_S


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("play", [pending_for_ever, pending_then_silent])
def test_a_cancel_that_is_ignored_ends_with_an_abort(play: Play) -> None:
    aborted = threading.Event()

    def until_the_end(association: Association, message: Message) -> None:
        try:
            play(association, message)
        finally:
            aborted.set()

    stop = threading.Event()
    with playing(until_the_end, idle_timeout=20) as pacs, within(LIMIT_S):
        result = move(pacs, stop=stop, on_sub_operation=lambda _: stop.set())
        assert aborted.wait(10)
    assert (result.outcome, result.status, result.error) == ("cancelled", None, None)
    assert result.completed == 2
    assert "did not answer C-CANCEL" in (result.advice or "")


def test_a_stale_response_is_not_taken_for_the_answer() -> None:
    def play(association: Association, message: Message) -> None:
        for stale in (0xFFFE, 0xFFFF):
            respond(association, message, 0x0000, {"MessageIDBeingRespondedTo": stale, **counts(None, 99)})
        respond(association, message, 0x0000, counts(None, 5))

    with playing(play) as pacs:
        result = move(pacs)
    assert (result.outcome, result.completed) == ("complete", 5)


def test_a_late_response_is_not_taken_for_the_next_answer() -> None:
    """The PACS sends one more final response than there was a request."""
    sent: list[int] = []

    def play(association: Association, message: Message) -> None:
        respond(association, message, 0x0000, counts(None, 5 + len(sent)))
        if not sent:
            respond(association, message, 0x0000, counts(None, 99))
        sent.append(message.number("MessageID") or 0)

    with playing(play) as pacs, servers.relay(pacs.port) as relay, dm.MoveScu(impatient(relay.port)) as scu:
        assert [scu.move_study(STUDY, SINK).completed for _ in range(3)] == [5, 6, 7]
        assert 1 <= relay.connections <= 2
    assert sent[0] != sent[1]


STRAY: dict[str, tuple[dict[str, int | str], bytes | None, int | None]] = {
    "C-ECHO": ({"CommandField": 0x0030, "AffectedSOPClassUID": "1.2.840.10008.1.1"}, None, 0x0000),
    "N-EVENT-REPORT": ({"CommandField": 0x0100, "AffectedSOPClassUID": "1.2.840.10008.1.20.1"}, bytes(10), 0x0211),
    "C-STORE": ({"CommandField": 0x0001, "AffectedSOPInstanceUID": "1.2.3"}, bytes(10), 0x0211),
    "C-CANCEL": ({"CommandField": 0x0FFF, "MessageIDBeingRespondedTo": 3}, None, None),
}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", STRAY)
def test_a_request_of_the_pacs_between_its_responses_is_answered(name: str, is_first: bool) -> None:
    """The association stays clean: the next request uses it, too."""
    command, data, status = STRAY[name]
    heard: list[Message] = []

    def play(association: Association, message: Message) -> None:
        deadlines = Deadlines(Deadline(20, IdleTimeout, "the test"))
        if not is_first:
            pending(association, message)
        association.send(Message(message.context_id, {"MessageID": 77, **command}, data), deadlines)
        if status is not None:
            heard.append(association.receive(deadlines))
        respond(association, message, 0x0000, counts(None, 5))

    with playing(play) as pacs, servers.relay(pacs.port) as relay, dm.MoveScu(impatient(relay.port)) as scu:
        assert [scu.move_study(STUDY, SINK).completed for _ in range(2)] == [5, 5]
        assert scu.find_scu().find_studies({"PatientID": "7"}).error is None
        assert relay.connections == 1
    answers = [(one.number("MessageIDBeingRespondedTo"), one.number("Status")) for one in heard]
    assert answers == ([] if status is None else [(77, status)] * 3)


def test_requests_of_the_pacs_are_not_signs_of_progress() -> None:
    def play(association: Association, message: Message) -> None:
        deadlines = Deadlines(Deadline(20, IdleTimeout, "the test"))
        while True:
            association.send(Message(message.context_id, {"CommandField": 0x0030, "MessageID": 77}), deadlines)
            association.receive(deadlines)

    with playing(play) as pacs, within(LIMIT_S):
        assert move(pacs).error == "idle_timeout"


def test_message_ids_are_unique_and_wrap_around() -> None:
    seen: list[int | None] = []

    def play(association: Association, message: Message) -> None:
        seen.append(message.number("MessageID"))
        respond(association, message, 0x0000, counts(None, 5))

    with playing(play) as pacs, dm.MoveScu(pacs) as scu:
        scu._reusable._message_id = 0xFFFD
        for _ in range(4):
            assert scu.move_study(STUDY, SINK).outcome == "complete"
    assert seen == [0xFFFE, 0xFFFF, 1, 2]


@pytest.mark.parametrize(
    ("listed", "uids"),
    [
        (["1.2.3"], ("1.2.3",)),
        (["1.2.3", "1.2.40"], ("1.2.3", "1.2.40")),
        ([], ()),
        (None, ()),
        ([f"1.2.{n}" for n in range(3000)], tuple(f"1.2.{n}" for n in range(3000))),
    ],
)
def test_the_list_of_failed_instances(listed: list[str] | None, uids: tuple[str, ...]) -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        data = None if listed is None else encode_identifier({"FailedSOPInstanceUIDList": listed}, syntax)
        respond(association, message, 0xB000, {"ErrorComment": "half of it", **counts(None, 2, 2)}, data)

    with playing(play) as pacs:
        result = move(pacs)
    assert (result.outcome, result.error, result.failed_sop_instance_uids) == ("partial", "some_failed", uids)
    assert result.error_comment == "half of it"


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff" * 12])
def test_a_list_that_is_garbage_leaves_the_counts(data: bytes) -> None:
    with playing(lambda a, m: respond(a, m, 0xB000, counts(None, 4, 1), data)) as pacs:
        result = move(pacs)
    assert (result.outcome, result.completed, result.failed) == ("partial", 4, 1)
    assert result.failed_sop_instance_uids == ()


def test_pending_responses_may_have_a_data_set_and_no_counts() -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        for _ in range(3):
            respond(association, message, 0xFF00, None, encode_identifier({"PatientID": "x"}, syntax))
        respond(association, message, 0x0000, counts(None, 5))

    events: list[dm.events.SubOperationEvent] = []
    with playing(play) as pacs:
        assert move(pacs, on_sub_operation=events.append).outcome == "complete"
    assert [(event.total, event.completed, event.remaining, event.percent) for event in events] == [(None,) * 4] * 3
    assert [(event.rate, event.eta_s) for event in events] == [(None, None)] * 3
    assert str(events[0]) == "? of ? instances"


def test_success_without_counts_is_unconfirmed() -> None:
    with playing(lambda a, m: respond(a, m, 0x0000)) as pacs:
        result = move(pacs)
    assert (result.outcome, result.status, result.total, result.completed) == ("unconfirmed", "0x0000", None, None)


@pytest.mark.parametrize(
    ("expected", "outcome", "error"),
    [(None, "complete", None), (5, "complete", None), (7, "partial", "missing_instances")],
)
def test_fewer_than_are_expected_are_not_complete(expected: int | None, outcome: str, error: str | None) -> None:
    with playing(lambda a, m: respond(a, m, 0x0000, counts(0, 5))) as pacs:
        result = move(pacs, expected=expected)
    assert (result.outcome, result.error, result.completed) == (outcome, error, 5)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"", None), (b"\x05", None), (b"\x05\x00", 5), (b"\xff\xff", 65535), (b"\x05\x00\x01\x00", 5)],
)
def test_a_count_that_is_too_short_is_absent(value: bytes, expected: int | None) -> None:
    element = struct.pack("<HHI", 0, 0x1021, len(value)) + value
    assert decode_command(element).get("NumberOfCompletedSuboperations") == expected


# Callbacks.


def test_the_fields_of_the_events(here: Here) -> None:
    events: list[dm.events.SubOperationEvent] = []
    completed: list[dm.events.CompletedEvent] = []
    result = move(here.pacs, on_sub_operation=events.append, on_completed=completed.append)
    assert [(e.total, e.completed, e.failed, e.warning, e.remaining) for e in events] == [
        (5, 1, 0, 0, 4),
        (5, 2, 0, 0, 3),
        (5, 3, 0, 0, 2),
        (5, 4, 0, 0, 1),
    ]
    assert [event.percent for event in events] == [20, 40, 60, 80]
    for event in events:
        assert (event.row, event.position) == (None, None)
        assert event.rate == pytest.approx((event.completed or 0) / event.elapsed_s)
        assert event.eta_s == pytest.approx((event.remaining or 0) / (event.rate or 1))
    assert [event.elapsed_s for event in events] == sorted(event.elapsed_s for event in events)
    (end,) = completed
    assert (end.outcome, end.status, end.error) == (result.outcome, result.status, result.error)
    assert (end.total, end.completed, end.failed, end.warning) == (5, 5, 0, 0)
    assert end.duration_s == result.duration_s > events[-1].elapsed_s
    assert str(end) == end.message == f"complete: 5 of 5 instances in {end.duration_s:.1f} s"


def test_completion_is_told_of_failures_too() -> None:
    completed: list[dm.events.CompletedEvent] = []
    with servers.dead_port() as port:
        move(impatient(port), on_completed=completed.append)
    (end,) = completed
    assert (end.outcome, end.status, end.error, end.completed) == ("unreachable", None, "connection_failed", None)
    assert end.message == "unreachable"


def test_a_callback_that_raises_leaves_the_next_move_right(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    kinds = []

    def raises(event: object) -> None:
        kinds.append(type(event).__name__)
        raise ValueError

    with servers.relay(here.pacs.port) as relay, dm.MoveScu(dm.Pacs(f"127.0.0.1:{relay.port}")) as scu:
        first = scu.move_study(STUDY, SINK, on_sub_operation=raises, on_completed=raises)
        second = scu.move_study({"StudyInstanceUID": CR}, SINK)
        assert relay.connections == 1
    assert (first.outcome, first.completed, second.outcome, second.completed) == ("complete", 5, "complete", 3)
    assert kinds == ["SubOperationEvent"] * 4 + ["CompletedEvent"]
    assert caplog.text.count("the callback raises raised") == 5


def test_an_interrupt_in_a_callback_leaves_the_next_move_right(demo: RunningPacs, gate: Gate) -> None:
    def presses(_: object) -> None:
        raise KeyboardInterrupt

    gate.let(1)
    with dm.MoveScu(demo) as scu:
        with pytest.raises(KeyboardInterrupt):
            scu.move_study({"StudyInstanceUID": LONG}, GATE, on_sub_operation=presses)
        gate.let()
        result = scu.move_study({"StudyInstanceUID": CR}, GATE)
    assert (result.outcome, result.completed, result.total) == ("complete", 3, 3)


# Cancelling.


def test_cancel_from_another_thread(demo: RunningPacs, gate: Gate) -> None:
    gate.let(2)
    with dm.MoveScu(demo) as scu, servers.at_log("C-CANCEL-RQ", gate.let_slowly):

        def cancel() -> None:
            servers.wait_until(lambda: gate.waiting == 1 and len(gate.instances) == 2)
            scu.cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        result = scu.move_study({"StudyInstanceUID": LONG}, GATE)
        canceller.join()
    assert (result.outcome, result.status, result.error, result.advice) == ("cancelled", "0xFE00", None, None)
    assert result.completed is not None
    assert result.remaining is not None
    assert result.completed >= 3
    assert result.remaining >= 1
    assert result.completed + result.remaining == result.total == 60


def test_a_request_that_is_cancelled_before_it_begins_is_not_attempted(here: Here) -> None:
    stop = threading.Event()
    stop.set()
    result = move(here.pacs, stop=stop)
    assert (result.outcome, result.error) == ("not_attempted", None)
    assert not result.evidence.sent
    assert here.recorder.requests == []


def test_a_cancel_while_connecting_does_not_wait() -> None:
    def talk(sock: socket.socket) -> None:
        sock.recv(65536)
        stop.set()
        sock.recv(1)

    stop = threading.Event()
    with servers.listening(talk) as port, within(0):
        result = move(impatient(port, association_timeout=30), stop=stop)
    assert result.outcome == "not_attempted"


def test_a_cancel_of_nothing_is_forgotten(here: Here) -> None:
    with dm.MoveScu(here.pacs) as scu:
        scu.cancel()
        assert scu.move_study(STUDY, SINK).outcome == "complete"


def test_a_find_is_cancelled(here: Here) -> None:
    found: list[dict[str, str]] = []
    wishes: list[Callable[[], None]] = []
    keys = {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": LONG, "SeriesInstanceUID": f"{LONG}.1"}

    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        respond(association, message, 0xFF00, None, encode_identifier({"SOPInstanceUID": "1.2"}, syntax))
        assert association.receive(Deadlines(Deadline(20, IdleTimeout, "C-CANCEL"))).number("CommandField") == 0x0FFF
        respond(association, message, 0xFE00)

    def take(match: dict[str, str]) -> None:
        found.append(match)
        wishes[-1]()

    stop = threading.Event()
    with playing(play, idle_timeout=20) as pacs, dm.FindScu(pacs) as finder:
        for wish in (finder.cancel, stop.set):
            wishes.append(wish)
            result = finder.find_studies(keys, on_match=take, stop=stop)
            assert (result.cancelled, result.status, result.error, len(result)) == (True, "0xFE00", None, 1)
    assert found == [{"SOPInstanceUID": "1.2"}] * 2
    with dm.FindScu(here.pacs) as finder:
        assert len(finder.find_studies(keys | {"SOPInstanceUID": ""})) == 60


NO_IDENTIFIERS = {
    "noise": b"\xff" * 40,
    "cut": struct.pack("<HHI", 0x0020, 0x000D, 8) + b"1.2",
    "a sequence that does not end": b"\x08\x00\x15\x11\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff\x08",
}


@pytest.mark.parametrize("broken", NO_IDENTIFIERS.values(), ids=NO_IDENTIFIERS)
def test_the_matches_after_one_that_cannot_be_decoded_are_kept(broken: bytes) -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        for uid in ("1.2", "", "1.4"):
            identifier = encode_identifier({"StudyInstanceUID": uid}, syntax) if uid else broken
            respond(association, message, 0xFF00, None, identifier)
        respond(association, message, 0x0000)
        stay(association)

    with playing(play, idle_timeout=20) as pacs, dm.FindScu(pacs) as finder:
        found = finder.find_studies({"PatientID": "7"})
    assert [match["StudyInstanceUID"] for match in found] == ["1.2", "1.4"]
    assert found.error == "invalid_response"
    assert "1 of them" in str(found.advice)


# Queries.


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({}, {}),
        ({"StudyInstanceUID": ""}, {}),
        ({"StudyInstanceUID": None}, {}),
        ({"StudyInstanceUID": "*"}, {}),
        ({"StudyInstanceUID": "1.2.*"}, {}),
        ({"StudyInstanceUID": ["1.2.3", "1.2.4"]}, {}),
        ({"StudyInstanceUID": "1.2.3\\1.2.4"}, {}),
        ({"StudyInstanceUID": "1..2"}, {}),
        ({"AccessionNumber": "A0001"}, {}),
        ({"StudyDate": "20240101-20240131"}, {}),
        ({"StudyInstanceUID": CT, "QueryRetrieveLevel": "INSTANCE"}, {}),
        ({"StudyInstanceUID": CT, "QueryRetrieveLevel": "SERIES"}, {}),
        ({"SeriesInstanceUID": "1.2.3"}, {}),
        ({"PatientID": "000123", "QueryRetrieveLevel": "PATIENT"}, {}),
        ({"PatientID": "*", "QueryRetrieveLevel": "PATIENT"}, {"query_model": "PatientRoot"}),
        ({"PatientID": "", "QueryRetrieveLevel": "PATIENT"}, {"query_model": "PatientRoot"}),
        ({"StudyInstanceUID": CT}, {"query_model": "PatientRoot"}),
        ({"StudyInstanceUID": CT}, {"query_model": "Study"}),
    ],
)
def test_a_query_that_cannot_be_a_move(query: dict[str, object], options: dict[str, str]) -> None:
    with servers.counting() as counter, dm.MoveScu(counter.pacs) as scu:
        with pytest.raises(dm.errors.IdentifierError) as raised:
            scu.move_study(query, SINK, **options)  # type: ignore[arg-type]
        assert counter.connections == 0
    assert "000123" not in str(raised.value)


@pytest.mark.parametrize("destination", ["", " ", "X" * 17, "A\\B", None])
def test_a_destination_that_is_not_an_ae_title(destination: Any) -> None:
    with servers.counting() as counter, dm.MoveScu(counter.pacs) as scu:
        with pytest.raises(dm.errors.AddressError, match="destination"):
            scu.move_study(STUDY, destination)
        assert counter.connections == 0


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"AccessionNumber": "A0001"}, [CT]),
        ({"(0008,0050)": "A0001", "StudyInstanceUID": ""}, [CT]),
        ({"00080050": "A0001", "0020000D": None}, [CT]),
        ({"accession number": "A0001"}, [CT]),
        ({"StudyInstanceUID": [CT, CR]}, [CT, CR]),
        ({"StudyInstanceUID": (CT, CR)}, [CT, CR]),
        ({"StudyInstanceUID": f"{CT}\\{CR}"}, [CT, CR]),
        ({"AccessionNumber": "A001?"}, [CR]),
        ({"StudyDate": "20240229-20240229"}, [CR]),
        ({"AccessionNumber": "A0001", "QueryRetrieveLevel": "STUDY"}, [CT]),
        ({"AccessionNumber": "A0001", "QueryRetrieveLevel": " study "}, [CT]),
        ({"AccessionNumber": "nobody's"}, []),
    ],
)
def test_find_studies(here: Here, query: dict[str, object], found: list[str]) -> None:
    told: list[dict[str, str]] = []
    with dm.FindScu(here.pacs) as finder:
        result = finder.find_studies(query, on_match=told.append)
    assert (result.status, result.error, result.advice, result.cancelled) == ("0x0000", None, None, False)
    assert [match["StudyInstanceUID"] for match in result] == found
    assert list(result.matches) == told
    assert len(result) == len(found)


@pytest.mark.parametrize(
    ("query", "charset"),
    [
        ({"PatientID": "1"}, ""),
        ({"PatientName": "Müller*"}, "ISO_IR 100"),
        ({"PatientName": "Łucja*"}, "ISO_IR 192"),
        ({"PatientName": "Müller*", "SpecificCharacterSet": ""}, "ISO_IR 100"),
        ({"PatientName": "Müller*", "SpecificCharacterSet": "ISO_IR 192"}, "ISO_IR 192"),
    ],
)
def test_the_character_set_is_always_asked_for(here: Here, query: dict[str, str], charset: str) -> None:
    with dm.FindScu(here.pacs) as finder:
        finder.find_studies(query)
    (asked,) = here.recorder.asked("C-FIND")
    assert asked["SpecificCharacterSet"] == charset
    assert asked.get("PatientName", "") == query.get("PatientName", "")


def test_the_unique_key_of_the_level_is_always_asked_for(here: Here) -> None:
    """Without it, a PACS need not return it, and the match could not be moved."""
    with dm.FindScu(here.pacs) as finder:
        finder.find_studies({"StudyDate": "20240229"})
        finder.find_studies({"PatientName": "A*", "QueryRetrieveLevel": "PATIENT"}, query_model="PatientRoot")
    study, patient = here.recorder.asked("C-FIND")
    assert (study["StudyInstanceUID"], patient["PatientID"]) == ("", "")
    assert "StudyInstanceUID" not in patient


def test_a_match_that_the_pacs_does_not_tell_is_counted() -> None:
    """It was as if there were none."""

    def play(association: Association, message: Message) -> None:
        respond(association, message, 0xFF00, None, None)
        respond(association, message, 0xFF00, None, b"")
        respond(association, message, 0)

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        told: list[dict[str, str]] = []
        found = finder.find_studies({"PatientID": "x"}, on_match=told.append)
    assert (found.matches, told, found.without_identifier) == ((), [], 2)
    with playing(play) as pacs, pytest.warns(dm.errors.FindWarning, match="left out"):
        (row,) = dm.find(pd.DataFrame({"PatientID": ["x"]}), pacs, progress=False).itertuples()
    assert "came without StudyInstanceUID" in str(row.advice)


def test_threads_may_share_an_scu() -> None:
    """Each has an association of its own meanwhile. One is kept; the other was never released."""
    both, there = threading.Barrier(2), []

    def play(association: Association, message: Message) -> None:
        there.append(association)
        both.wait(60)
        respond(association, message, 0, counts(None, 1))

    with playing(play, first_response_timeout=60) as pacs, ThreadPoolExecutor(2) as pool:
        with dm.MoveScu(pacs) as scu:
            found = list(pool.map(lambda _: scu.move_study(STUDY, SINK), range(4)))
        servers.wait_until(lambda: all(one.state is State.RELEASED for one in there))
    assert {(one.outcome, one.completed) for one in found} == {("complete", 1)}


def test_a_move_has_no_character_set(here: Here) -> None:
    with dm.MoveScu(here.pacs) as scu:
        scu.move_study({"StudyInstanceUID": CT, "QueryRetrieveLevel": "STUDY"}, SINK)
    (asked,) = here.recorder.asked("C-MOVE")
    assert set(asked) == {"StudyInstanceUID", "QueryRetrieveLevel"}


def test_empty_values_are_empty_text(here: Here) -> None:
    with dm.FindScu(here.pacs) as finder:
        (match,) = finder.find_studies({"AccessionNumber": "A0001", "ReferringPhysicianName": "", "StudyTime": ""})
    assert match["ReferringPhysicianName"] == ""
    assert match["StudyTime"] == "080000"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ({"NoSuchKeyword": "x"}, {}),
        ({"(0009,0010)": "x"}, {}),
        ({"QueryRetrieveLevel": "INSTANCE"}, {}),
        ({"PatientID": 123}, {}),
        ({"PatientID": [1, 2]}, {}),
        ({"PatientID": "000123"}, {"query_model": "Patient"}),
    ],
)
def test_a_query_that_cannot_be_a_find(query: dict[str, object], options: dict[str, str]) -> None:
    with servers.counting() as counter, dm.FindScu(counter.pacs) as finder:
        with pytest.raises(dm.errors.IdentifierError):
            finder.find_studies(query, **options)  # type: ignore[arg-type]
        assert counter.connections == 0


@pytest.mark.usefixtures("short_grace")
def test_a_find_has_a_total_timeout_too() -> None:
    with playing(silent, first_response_timeout=20) as pacs, dm.FindScu(pacs) as finder, within(2 * LIMIT_S):
        result = finder.find_studies({"PatientID": "x"}, total_timeout=LIMIT_S)
    assert (result.error, result.status, result.cancelled, result.sent) == ("total_timeout", None, False, True)


class AnswersForever(faults.PendingForever):
    """So it is with C-FIND."""

    commands = ("C-FIND",)


def test_a_find_that_repeats_its_answers_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that come twice, as of an archive that joins two databases, are read to their end."""
    monkeypatch.setattr("dicomove.dimse.find._MOST_REPEATED", 10)
    query = {"StudyInstanceUID": "", "PatientID": "SYN*"}
    source = Synthetic(studies=20, series=1, instances=1, size=64)
    with receiving.pacs({}, AnswersForever(interval_s=0), source=source) as pacs, dm.FindScu(pacs) as finder:
        endless = finder.find_studies(query)
    assert (endless.status, endless.error) == (None, "invalid_response")
    assert "repeats its answers without an end" in (endless.advice or "")
    assert {match["StudyInstanceUID"] for match in endless} == {
        one.study_instance_uid for one in source.instances_of_all()
    }
    with receiving.pacs({}, faults.FindRepeatsAnswers(), source=source) as pacs, dm.FindScu(pacs) as finder:
        assert (finder.find_studies(query).error, len(finder.find_studies(query))) == (None, 40)


def test_matches_before_the_end_of_the_association_are_kept() -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        for number in range(3):
            respond(association, message, 0xFF00, None, encode_identifier({"StudyInstanceUID": f"1.{number}"}, syntax))
        association.abort()

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        result = finder.find_studies({"PatientID": "x"})
    assert [match["StudyInstanceUID"] for match in result] == ["1.0", "1.1", "1.2"]
    assert (result.error, result.status, result.sent) == ("association_aborted", None, True)


QUERY = {"PatientID": "x", "StudyInstanceUID": ""}
#: The identifier of the final response, and the study that it brings.
FINAL_IDENTIFIERS = {
    "the last match": ({"PatientID": "x", "StudyInstanceUID": "1.2"}, ["1.1", "1.2"]),
    "the query once more": ({"PatientID": "x", "StudyInstanceUID": "", "RetrieveAETitle": "PACS"}, ["1.1"]),
    "nothing": (None, ["1.1"]),
}


@pytest.mark.parametrize("status", [0x0000, 0xB000])
@pytest.mark.parametrize(("identifier", "found"), FINAL_IDENTIFIERS.values(), ids=FINAL_IDENTIFIERS)
def test_a_match_may_come_with_the_final_response(
    identifier: dict[str, str] | None, found: list[str], status: int
) -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        respond(association, message, 0xFF00, None, encode_identifier({"StudyInstanceUID": "1.1"}, syntax))
        respond(association, message, status, None, encode_identifier(identifier, syntax) if identifier else b"")

    told: list[dict[str, str]] = []
    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        result = finder.find_studies(QUERY, on_match=told.append)
    assert [match["StudyInstanceUID"] for match in result] == found
    assert list(result) == told
    assert result.error == ("capped" if status else None)


@pytest.mark.parametrize("number", [{"MessageIDBeingRespondedTo": 0}, {"MessageIDBeingRespondedTo": ""}])
def test_a_response_that_names_no_request_is_ours(number: dict[str, int | str]) -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        respond(association, message, 0xFF00, number, encode_identifier({"StudyInstanceUID": "1.1"}, syntax))
        respond(association, message, 0x0000, number)

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        for _ in range(2):
            result = finder.find_studies(QUERY)
            assert (result.error, result.status, len(result)) == (None, "0x0000", 1)


def test_an_association_whose_responses_name_no_request_is_not_used_again() -> None:
    associations: list[Association] = []

    def play(association: Association, message: Message) -> None:
        associations.append(association)
        respond(association, message, 0x0000, {"MessageIDBeingRespondedTo": 0} if len(associations) == 2 else None)

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        for _ in range(4):
            assert finder.find_studies(QUERY).error is None
    first, second, third, fourth = associations
    assert first is second
    assert second is not third
    assert third is fourth


def test_answers_that_name_another_request_are_not_left_out_in_silence() -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        other = {"MessageIDBeingRespondedTo": 4711}
        respond(association, message, 0xFF00, other, encode_identifier({"StudyInstanceUID": "1.1"}, syntax))
        respond(association, message, 0x0000)

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        result = finder.find_studies(QUERY)
    assert result.error == "invalid_response"
    assert "name another request" in (result.advice or "")


def test_responses_that_all_name_another_request_are_no_silence() -> None:
    def play(association: Association, message: Message) -> None:
        respond(association, message, 0x0000, {"MessageIDBeingRespondedTo": 4711})
        stay(association)

    with playing(play) as pacs:
        result = move(pacs)
    assert result.error == "idle_timeout"
    assert "responses that name another request: 1 of them" in (result.advice or "")


def test_a_c_find_that_the_pacs_cancels_may_lack_answers() -> None:
    def play(association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        respond(association, message, 0xFF00, None, encode_identifier({"StudyInstanceUID": "1.1"}, syntax))
        respond(association, message, 0xFE00)

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        result = finder.find_studies(QUERY)
    assert (result.error, result.status, len(result), result.cancelled) == ("cancelled_by_pacs", "0xFE00", 1, False)


def test_a_final_response_that_cannot_be_decoded_is_still_final() -> None:
    def play(association: Association, message: Message) -> None:
        respond(association, message, 0x0000, None, b"\x08\x00\x52\x00\xff\xff\xff\x00x")

    with playing(play) as pacs, dm.FindScu(pacs) as finder:
        result = finder.find_studies(QUERY)
    assert (result.error, result.status, len(result)) == (None, "0x0000", 0)


NEVER_COMES: dict[str, list[Step]] = {
    "silence": [],
    "half of it": [Send(pdus.p_data(pdus.pdv(1, bytes(20), command=False, last=False)))],
    "half of a fragment": [Send(pdus.p_data(pdus.pdv(1, bytes(20), command=False))[:20])],
    "closes": [Close()],
    "releases": [Send(pdus.RELEASE_REQUEST)],
    "aborts": [Send(pdus.abort(0))],
    "another response": [Respond(completed=7)],
}


@pytest.mark.parametrize("end", NEVER_COMES.values(), ids=NEVER_COMES)
@pytest.mark.parametrize("idle_timeout", [LIMIT_S, 60.0])
def test_a_final_response_stands_without_the_data_set_that_it_announced(
    end: list[Step], idle_timeout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "_DATA_SET_S", LIMIT_S)
    script: list[Step] = [Accept(), ReadRequest(), Respond(completed=3, data=b""), *end]
    with ScriptedPeer(script, [Accept(), ReadRequest(), Respond(completed=1), Silence()]) as peer:
        pacs = dm.Pacs(peer.address, association_timeout=1, idle_timeout=idle_timeout)
        with dm.MoveScu(pacs) as scu, within(2 * LIMIT_S + 1):
            result = scu.move_study(STUDY, SINK)
            assert (result.outcome, result.status, result.completed) == ("complete", "0x0000", 3)
            assert scu.move_study(STUDY, SINK).completed == 1
        assert peer.connections == 2


def test_a_pending_response_without_its_data_set_is_not_final() -> None:
    with ScriptedPeer([Accept(), ReadRequest(), Respond(status=0xFF00, completed=3, data=b"")]) as peer:
        result = move(
            dm.Pacs(peer.address, association_timeout=1, idle_timeout=LIMIT_S, first_response_timeout=LIMIT_S)
        )
    assert (result.outcome, result.error) == ("interrupted", "idle_timeout")


@pytest.mark.parametrize("status", [0x1234, 0xD000, 0xFFFF, 0xFF02])
def test_a_status_that_no_standard_defines_keeps_its_number(status: int) -> None:
    def play(association: Association, message: Message) -> None:
        respond(association, message, status)

    with playing(play) as pacs, dm.MoveScu(pacs) as scu:
        moved, found = scu.move_study(STUDY, SINK), scu.find_scu().find_studies(QUERY)
    assert (moved.outcome, moved.status, moved.error) == ("failed", f"0x{status:04X}", "unable_to_process")
    assert (found.status, found.error) == (f"0x{status:04X}", "unable_to_process")


@pytest.mark.parametrize("patient", DEMO_PATIENTS, ids=lambda patient: patient.charset)
def test_the_names_of_the_demo(here: Here, patient: Any) -> None:
    with dm.FindScu(here.pacs) as finder:
        matches = finder.find_studies({"PatientID": patient.patient_id, "PatientName": ""})
        assert {match["PatientName"] for match in matches} == {patient.name}
        again = finder.find_studies({"PatientName": patient.name, "PatientID": ""})
        assert {match["PatientID"] for match in again} == {patient.patient_id}


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (None, "DOE^JANE"),
        ("", "DOE^JANE"),
        ("ISO_IR 6", "DOE^JANE"),
        ("ISO_IR 100", "MÜLLER^ÄNNE"),
        ("ISO_IR 101", "WAŁĘSA^LECH"),
        ("ISO_IR 144", "ЛЮКСЕМБУРГ"),
        ("ISO_IR 126", "ΔΙΟΝΥΣΙΟΣ"),
        ("ISO_IR 138", "שרון^דבורה"),
        ("ISO_IR 127", "قباني^لنزار"),
        ("ISO_IR 192", "王^小东"),
        ("GB18030", "王^小东"),
        ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        (["ISO 2022 IR 100", "ISO 2022 IR 144"], "Äneas=Люкceмбypг"),  # noqa: RUF001
    ],
)
def test_text_in_its_character_set(charset: str | list[str] | None, name: str, syntax: Any) -> None:
    answer = Dataset()
    if charset is not None:
        answer.SpecificCharacterSet = charset
    with config.disable_value_validation():
        answer.PatientName = name
        answer.PatientID = "000123 "
        answer.ModalitiesInStudy = ["CT", "SR "]
        answer.Rows = 512
        data = encode(answer, syntax.is_implicit_VR, syntax.is_little_endian)
    assert data is not None
    assert decode_match(data, syntax) == {
        "PatientName": name,
        "PatientID": "000123",
        "ModalitiesInStudy": "CT\\SR",
        "Rows": "512",
    }


@pytest.mark.parametrize(
    ("charset", "value", "text"),
    [
        (b"", "JÖRG".encode("latin-1"), "JÖRG"),
        (b"NONSENSE", "JÖRG".encode("latin-1"), "JÖRG"),
        (b"ISO_IR 192", b"J\xd6RG", "JÖRG"),
        (b"ISO_IR 192", "JÖRG".encode(), "JÖRG"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;", None),
        (b"\xff\xfe", b"JANE", "JANE"),
    ],
)
def test_text_in_another_character_set_than_it_says(charset: bytes, value: bytes, text: str | None) -> None:
    def element(group: int, number: int, content: bytes) -> bytes:
        content += b" " * (len(content) % 2)
        return struct.pack("<HHI", group, number, len(content)) + content

    data = element(0x0008, 0x0005, charset) + element(0x0010, 0x0010, value)
    decoded = decode_match(data, ImplicitVRLittleEndian)["PatientName"]
    assert text is None or decoded == text


@pytest.mark.parametrize("length", [128, 1024, 0])
def test_answers_in_many_small_pieces(archive: Archive, length: int) -> None:
    with servers.here(archive, max_pdu_length=length) as here, dm.FindScu(here.pacs) as finder:
        query = {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": CT, "SeriesInstanceUID": series_uid("A0001", 1)}
        matches = finder.find_studies({**query, "SOPInstanceUID": "", "ImageType": "", "StudyDescription": ""})
        assert len(matches) == 4
        assert {match["StudyDescription"] for match in matches} == {"CT Thorax with report"}


# The log.


def test_nothing_of_a_patient_is_logged(here: Here, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with caplog.at_level(logging.DEBUG, "dicomove"), dm.MoveScu(here.pacs, verbose=True) as scu:
        moved = scu.move_study(
            {"PatientID": "000123", "QueryRetrieveLevel": "PATIENT"}, SINK, query_model="PatientRoot"
        )
        found = scu.find_scu().find_studies(
            {"PatientID": "000305", "PatientName": "DEMO^HANAKO*", "AccessionNumber": "A0010"}
        )
    assert (moved.outcome, moved.completed, len(found)) == ("complete", 11, 1)
    assert "C-MOVE-RQ" in caplog.text
    assert "C-FIND-RQ" in caplog.text
    assert "PatientID, PatientName, AccessionNumber" in caplog.text
    for secret in ("000123", "000305", "HANAKO", "DEMO^", "A0010"):
        assert secret not in caplog.text
        assert secret not in repr(moved)
        assert secret not in repr(found)


SCRIPT = """
import sys
import dicomove as dm
with dm.MoveScu(dm.Pacs(f"127.0.0.1:{sys.argv[1]}"), verbose=sys.argv[2] == "verbose") as scu:
    result = scu.move_study({"StudyInstanceUID": sys.argv[3], "PatientID": "000123"}, "SINK", query_model="PatientRoot")
assert result.completed == 5, result
"""


@pytest.mark.parametrize("mode", ["verbose", "quiet"])
def test_a_script_shows_the_log_if_it_wants_to(here: Here, tmp_path: Path, mode: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "error", str(script), str(here.pacs.port), mode, CT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "000123" not in done.stderr
    if mode == "quiet":
        assert done.stderr == ""
    else:
        for line in (
            "association with",
            "C-MOVE-RQ 1 to SINK",
            f"StudyInstanceUID={CT}",
            "0xFF00",
            "0x0000",
            "released",
        ):
            assert line in done.stderr


def test_a_repr_is_the_answer(here: Here) -> None:
    with dm.MoveScu(here.pacs) as scu:
        assert repr(scu) == f"MoveScu({here.pacs!r})"
        result = scu.move_study(STUDY, SINK)
        assert repr(scu.find_scu().find_studies({"PatientID": "000123"})).startswith("FindResult(status='0x0000'")
    assert repr(result).startswith("MoveResult(outcome='complete', status='0x0000', error=None")
    assert "evidence" not in repr(result)
