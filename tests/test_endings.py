"""A PACS ends the association at every byte of a request and of its answer: the request is sent at most twice, and only
once if a byte of the answer came.

Each byte has one of the endings, in turn. ``DICOMOVE_ENDINGS=all pytest tests/test_endings.py`` tries each of them
at each byte.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

import dicomove as dm
from dicomove.dimse import MoveResult
from dicomove.dimse.data_sets import encode_identifier
from dicomove.dimse.messages import C_STORE_RQ, respond
from dicomove.dimse.pdu import P_DATA, PDU_HEADER
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
    Step,
    pdus,
)
from dicomove.tls import TLS, server_context
from tests import receiving
from tests.certificates import Authority
from tests.exchanges import EXCHANGES, NOTHING, SHORT, Exchange, got

pytestmark = pytest.mark.timeout(900)

ALL = os.environ.get("DICOMOVE_ENDINGS") == "all"
LOST = ("connection_lost", "association_aborted", "tls_failed")

#: Each ends the connection, too: within a PDU, an ending is only some bytes of it.
ENDINGS: dict[str, tuple[Step, ...]] = {
    "releases": (Send(pdus.RELEASE_REQUEST), FinishSending()),
    "aborts": (Send(pdus.abort(0)), FinishSending()),
    "closes": (Close(),),
    "resets": (Reset(),),
    "closes its side": (FinishSending(),),
    "releases and closes": (Send(pdus.RELEASE_REQUEST), Close()),
    "aborts and closes": (Send(pdus.abort(2)), Close()),
}


class Record:
    """A step that notes the answer's bytes, without sending them."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.stream, self.stands, self.request = exchange, b"", 0, 0

    def __call__(self, connection: RawConnection) -> None:
        pending = [item for one in self.exchange.pending for item in one.pdvs(connection)]
        final = self.exchange.final.pdvs(connection)
        self.stream = b"".join(map(pdus.p_data, [*pending, *final]))
        commands = [item for item in final if item[5] & 1]
        self.stands = len(b"".join(map(pdus.p_data, [*pending, *commands])))
        connection.send(self.stream)


class HalfClosed(ssl.SSLSocket):
    """Still deciphers what comes after its own end: ciphertext, taken for PDUs, now and then looks like a request."""

    def shutdown(self, how: int) -> None:
        socket.socket.shutdown(self, how)


def secured(context: ssl.SSLContext) -> type[ScriptedPeer]:
    """Raw peers that speak TLS."""
    context.sslsocket_class = HalfClosed

    class Secured(ScriptedPeer):
        def _play(self, client: socket.socket, connection: RawConnection, script: Sequence[Step]) -> None:
            try:
                over = context.wrap_socket(client, server_side=True)
            except OSError:
                return
            connection._socket = over
            super()._play(over, connection, script)

    return Secured


def requests(peer: ScriptedPeer, exchange: Exchange, first: int = 0) -> int:
    """How many requests came over all connections from this one on, whole or begun."""
    return sum(-(-_p_data(came) // exchange.pdus) for came in peer.received[first:])


def _p_data(came: bytes) -> int:
    count = start = 0
    while start < len(came):
        count += came[start] == P_DATA
        header = came[start : start + PDU_HEADER.size]
        start += PDU_HEADER.size + (PDU_HEADER.unpack(header)[1] if len(header) == PDU_HEADER.size else 0)
    return count


def boundaries(stream: bytes) -> set[int]:
    found, start = {0}, 0
    while start < len(stream):
        start += PDU_HEADER.size + PDU_HEADER.unpack_from(stream, start)[1]
        found.add(start)
    return found


@dataclass(frozen=True)
class Moment:
    """The bytes of a request that were read, all of them for ``None``, and those of the answer that were sent."""

    read: int | None
    sent: int
    ending: str

    def steps(self, stream: bytes) -> tuple[Step, ...]:
        reading: Step = ReadRequest() if self.read is None else ReadBytes(self.read)
        return (reading, Send(stream[: self.sent]), *ENDINGS[self.ending])

    @property
    def goes_on_reading(self) -> bool:
        """Whether the peer still reads after its ending."""
        return isinstance(ENDINGS[self.ending][-1], FinishSending)


class Ending:
    """A step that notes that the peer has ended the association."""

    def __init__(self) -> None:
        self.said = threading.Event()

    def __call__(self, _: RawConnection) -> None:
        self.said.set()


def moments(request: int, stream: bytes, every: int = 1) -> Iterator[Moment]:
    """Each byte of the request with nothing answered and with a byte, and each byte of the answer."""
    places: list[tuple[int | None, int]] = [
        (read, sent) for sent in (0, 1) for read in range(1 if sent else 0, request)
    ]
    places += [(None, sent) for sent in range(len(stream) + 1)]
    turn = cycle(ENDINGS)
    for read, sent in places[::every]:
        for ending in ENDINGS if ALL else [next(turn)]:
            yield Moment(read, sent, ending)


def recorded(exchange: Exchange) -> tuple[Record, Record]:
    """The second exchange on an association, and the first on a fresh one."""
    first, second = Record(exchange), Record(exchange)

    def length(record: Record) -> Step:
        def step(connection: RawConnection) -> None:
            before = len(connection.received)
            connection.read_request()
            record.request = len(connection.received) - before

        return step

    script: list[Step] = [Accept(), length(first), first, length(second), second, AwaitRelease(), Close()]
    with ScriptedPeer(script) as peer, dm.MoveScu(dm.Pacs(peer.address)) as scu:
        assert (exchange.ask(scu), exchange.ask(scu)) == (None, None)
    return second, first


def is_swallowed(ending: str, sent: int, stream: bytes) -> bool:
    """Whether the bytes of an ending are the next ones of a PDU that had begun; they may even be a status."""
    return ("abort" in ending or "release" in ending) and sent not in boundaries(stream)


def expected(record: Record, moment: Moment, word: str | None) -> bool:
    """Whether the word of an outcome is right, where the request was not answered on another association."""
    if moment.sent >= record.stands:
        return word is None
    if is_swallowed(moment.ending, moment.sent, record.stream):
        return True
    return word == ("association_aborted" if "abort" in moment.ending else "connection_lost") or word == "tls_failed"


def on_a_reused_association(
    exchange: Exchange, kind: type[ScriptedPeer] = ScriptedPeer, every: int = 1, **options: object
) -> list[object]:
    """What was not as it should be."""
    record, _ = recorded(exchange)
    once: tuple[Step, ...] = (ReadRequest(), Respond(completed=1, remaining=0))
    good: list[Step] = [Accept(), *once, *once, AwaitRelease(), Close()]
    wrong: list[object] = []
    for moment in moments(record.request, record.stream, every):
        ending = Ending()
        script = [Accept(), ReadRequest(), Respond(completed=1, remaining=0), *moment.steps(record.stream), ending]
        with kind(script, good) as peer, dm.MoveScu(dm.Pacs(peer.address, **SHORT, **options)) as scu:  # type: ignore[arg-type]
            first, word = exchange.ask(scu), exchange.ask(scu)
            sent = requests(peer, exchange) - 1
            if moment.sent:
                is_right = sent == 1 and expected(record, moment, word)
            else:
                is_right = word is None and 1 <= sent <= 2 and peer.connections == 2
            # Else the next request may cross the ending, and come twice.
            assert not moment.goes_on_reading or ending.said.wait(10)
            # What crossed the ending may be read, and counted, only now: all of the second connection was answered.
            answered = requests(peer, exchange, 1)
            if first is not None or not is_right:
                wrong.append((moment, first, word, sent))
            elif exchange.ask(scu) is not None or requests(peer, exchange, 1) != answered + 1:
                wrong.append((moment, "the request after it"))
    return wrong


def on_a_fresh_association(
    exchange: Exchange, kind: type[ScriptedPeer] = ScriptedPeer, every: int = 1, **options: object
) -> list[object]:
    _, record = recorded(exchange)
    good = [Accept(), ReadRequest(), Respond(completed=1, remaining=0), AwaitRelease(), Close()]
    wrong: list[object] = []
    for moment in moments(record.request, record.stream, every):
        script = [Accept(), *moment.steps(record.stream)]
        with kind(script, good) as peer, dm.MoveScu(dm.Pacs(peer.address, **SHORT, **options)) as scu:  # type: ignore[arg-type]
            word = exchange.ask(scu)
            # Where no byte of it was read, the request may not have come before the end.
            sent = requests(peer, exchange)
            if sent > 1 or peer.connections != 1 or not expected(record, moment, word):
                wrong.append((moment, word, sent, peer.connections))
    return wrong


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_at_every_byte_on_an_association_that_was_used_before(exchange: Exchange) -> None:
    assert on_a_reused_association(exchange) == []


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_at_every_byte_on_a_fresh_association(exchange: Exchange) -> None:
    assert on_a_fresh_association(exchange) == []


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
@pytest.mark.parametrize("way", [on_a_reused_association, on_a_fresh_association])
def test_over_tls(way: Callable[..., list[object]], exchange: Exchange, authority: Authority) -> None:
    """A sample of the bytes: one handshake takes longer than a whole exchange without it."""
    local = authority.sign("127.0.0.1")
    context = server_context(TLS(certificate=local.certificate, key=local.key))
    every = 1 if ALL else 29
    assert way(exchange, secured(context), every, tls=TLS(ca=authority.file)) == []


class Getting:
    """A step that answers a C-GET with one instance, up to so many bytes of the answer, and then ends the association.

    Attributes
    ----------
    stored, stands
        How many bytes of the answer bring the instance, and a final response that stands.
    stream
        All of them.
    """

    def __init__(self, uid: str, sent: int, ending: str) -> None:
        self.uid, self.sent, self.ending = uid, sent, ending
        self.stored = self.stands = 0
        self.stream = bytes(1)

    def __call__(self, connection: RawConnection) -> None:
        connection.read_request()
        first = _written(self._response(connection, 0xFF00, 0, 1, None) + self._store())
        final = self._response(connection, 0x0000, 1, 0, NOTHING)
        second = _written(final)
        self.stored, self.stream = len(first), first + second
        self.stands = len(first) + len(_written([item for item in final if item[5] & 1]))
        connection.send(first[: self.sent])
        if self.sent >= len(first):
            connection.read_pdu()  # the response to C-STORE
            connection.send(second[: self.sent - len(first)])
        for step in ENDINGS[self.ending]:
            step(connection)

    def _response(
        self, connection: RawConnection, status: int, completed: int, remaining: int, data: bytes | None
    ) -> list[bytes]:
        assert connection.request
        counts = {"completed": completed, "remaining": remaining, "failed": 0, "warning": 0}
        response = respond(connection.request, status, counts=counts)
        return pdus.message_pdvs(response.context_id, response.command, data, 60)

    def _store(self) -> list[bytes]:
        command: dict[str, int | str] = {
            "AffectedSOPClassUID": CTImageStorage,
            "CommandField": C_STORE_RQ,
            "MessageID": 1,
            "Priority": 0,
            "AffectedSOPInstanceUID": self.uid,
        }
        return pdus.message_pdvs(3, command, instance(self.uid), 60)


def instance(uid: str) -> bytes:
    """A data set of one study, in Explicit VR Little Endian."""
    keys = {"SOPClassUID": CTImageStorage, "SOPInstanceUID": uid, "StudyInstanceUID": "1.2.3"}
    return encode_identifier({**keys, "SeriesInstanceUID": "1.2.3.4"}, ExplicitVRLittleEndian)


def _written(items: Sequence[bytes]) -> bytes:
    return b"".join(map(pdus.p_data, items))


def through_the_answer(folder: Path, every: int = 1, **options: object) -> None:
    """What came whole is there, what did not is not, and a C-GET is never sent twice."""
    turn, sent, length = cycle(ENDINGS), 0, 1
    wrong: list[object] = []
    whole: set[str] = set()
    swallowed: set[str] = set()
    with dm.Receiver(folder, port=None) as receiver:
        while sent <= length:
            for number, ending in enumerate(ENDINGS if ALL else [next(turn)]):
                step = Getting(f"1.2.3.4.{1000 + sent}.{number}", sent, ending)
                result, associations = got(receiver, step, **options)  # type: ignore[arg-type]
                length = len(step.stream)
                if sent >= step.stored:
                    whole.add(step.uid)
                elif is_swallowed(ending, sent, step.stream):
                    swallowed.add(step.uid)
                is_right = is_right_for_c_get(result, step, bool(options)) or is_swallowed(ending, sent, step.stream)
                if (associations, result.attempts) != (1, 1) or not is_right:
                    wrong.append((sent, ending, associations, result.attempts, result.outcome, result.error))
            sent += every
        assert wrong == []
        there = receiving.files(folder)
        assert whole
        assert there.keys() - swallowed == whole
    for uid in whole:
        assert there[uid].read_bytes().endswith(instance(uid))


def is_right_for_c_get(result: MoveResult, step: Getting, over_tls: bool) -> bool:
    if step.sent >= step.stands:
        return (result.error, result.status) == (None, "0x0000")
    words = {"association_aborted" if "abort" in step.ending else "connection_lost"} | (
        {"tls_failed"} if over_tls else set()
    )
    return result.error in words and result.status is None


def through_the_request(folder: Path, every: int = 1, **options: object) -> None:
    turn = cycle(ENDINGS)
    lengths: list[int] = []

    def read(connection: RawConnection) -> None:
        before = len(connection.received)
        connection.read_request()
        lengths.append(len(connection.received) - before)

    with dm.Receiver(folder, port=None) as receiver:
        first, _ = got(receiver, read, Reset(), **options)  # type: ignore[arg-type]
        assert first.error is not None
        assert first.error in LOST
        for count in range(0, lengths[0] + 1, every):
            for ending in ENDINGS if ALL else [next(turn)]:
                result, associations = got(receiver, ReadBytes(count), *ENDINGS[ending], **options)  # type: ignore[arg-type]
                assert (result.error in LOST, associations, result.attempts) == (True, 1, 1), (count, result.error)


def test_c_get_at_every_byte_of_its_answer(tmp_path: Path) -> None:
    through_the_answer(tmp_path)


def test_c_get_at_every_byte_of_its_request(tmp_path: Path) -> None:
    through_the_request(tmp_path)


@pytest.mark.parametrize("way", [through_the_answer, through_the_request])
def test_c_get_over_tls(way: Callable[..., None], authority: Authority, tmp_path: Path) -> None:
    """A sample of the bytes, as with the others."""
    local = authority.sign("127.0.0.1")
    context = server_context(TLS(certificate=local.certificate, key=local.key))
    way(tmp_path, 1 if ALL else 29, kind=secured(context), tls=TLS(ca=authority.file))
