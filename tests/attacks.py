"""Attacks by name: what a client may do to a Storage or Query/Retrieve SCP, bounded in time and bytes."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Final, Literal

from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

from dicomove.dimse.messages import C_CANCEL_RQ, C_ECHO_RQ, C_FIND_RQ, C_STORE_RQ, MEDIUM, RESPONSE
from dicomove.dimse.pdu import ASSOCIATE_RQ, P_DATA
from dicomove.testing.raw import pdus
from dicomove.testing.raw.peer import RawConnection, Step, play
from dicomove.testing.raw.steps import (
    Associate,
    Close,
    Drip,
    FinishSending,
    Repeat,
    Reset,
    Send,
    StopReading,
    damaged,
    garbage,
)

Ended = Literal["closed", "timeout", "left", "refused"]

_MIB: Final = 1 << 20
_UID: Final = "2.25.172034117260313178190442862331413210"
_DATA_SET: Final = pdus.element(0x0008, 0x0018, _UID.encode()) + pdus.element(0x7FE0, 0x0010, bytes(4096))


@dataclass(frozen=True, slots=True)
class Attack:
    """What is done to an SCP.

    Attributes
    ----------
    about
        What it is, and what it has done to real peers, where that is known.
    sessions
        The steps of each connection, one after the other.
    """

    about: str
    sessions: tuple[tuple[Step, ...], ...]


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What became of an attack; of several connections, the last one's.

    Attributes
    ----------
    ended
        ``"closed"`` by the SCP (FIN or RST); ``"timeout"`` when the time was over; ``"left"`` by the attack itself;
        ``"refused"`` where no connection was made.
    seconds
        Until then, all connections together.
    sent
        Bytes, all connections together.
    received
        What the SCP said.
    """

    ended: Ended
    seconds: float
    sent: int
    received: bytes = field(repr=False)


def attack(name: str, host: str, port: int, called_ae_title: str = "ANY-SCP", *, seconds: float = 5.0) -> AttackResult:
    """Attack an SCP.

    Parameters
    ----------
    name
        One of `ATTACKS`.
    host, port, called_ae_title
        The SCP.
    seconds
        How long it lasts at the most.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> with demo_pacs() as pacs:
    ...     attack("http", pacs.host, pacs.port).ended
    'closed'
    """
    started = time.monotonic()
    sent = 0
    for steps in ATTACKS[name].sessions:
        left = seconds - (time.monotonic() - started)
        ended, connection = _connect(steps, (host, port), called_ae_title, left)
        sent += connection.bytes_sent if connection else 0
        if ended in ("refused", "timeout"):
            break
    return AttackResult(ended, time.monotonic() - started, sent, bytes(connection.received) if connection else b"")


def _connect(
    steps: tuple[Step, ...], address: tuple[str, int], called_ae_title: str, seconds: float
) -> tuple[Ended, RawConnection | None]:
    try:
        sock = socket.create_connection(address, timeout=max(seconds, 0.001))
    except TimeoutError:
        return "timeout", None
    except OSError:
        return "refused", None
    with sock:
        connection = RawConnection(sock, seconds, called_ae_title=called_ae_title)
        return _ended(steps, connection), connection


def _ended(steps: tuple[Step, ...], connection: RawConnection) -> Ended:
    try:
        play(steps, connection)
    except TimeoutError:
        return "timeout"
    except (EOFError, OSError):
        return "left" if connection.left else "closed"
    return "closed"


def _store(data: bytes | None = _DATA_SET, *, context_id: int = 1) -> bytes:
    """Return a C-STORE-RQ; empty data announces a data set that does not come."""
    return _message({"CommandField": C_STORE_RQ, "Priority": MEDIUM, "AffectedSOPInstanceUID": _UID}, data, context_id)


def _message(command: dict[str, int | str], data: bytes | None = None, context_id: int = 1) -> bytes:
    full = {"AffectedSOPClassUID": CTImageStorage, "MessageID": 1, **command}
    return b"".join(map(pdus.p_data, pdus.message_pdvs(context_id, full, data)))


def _connected(about: str, *steps: Step) -> Attack:
    return Attack(about, (steps,))


def _associated(about: str, *steps: Step) -> Attack:
    return Attack(about, ((_ASSOCIATE, *steps),))


def _damaged(about: str, session: bytes) -> Attack:
    return Attack(about, tuple((damaged(session, seed), FinishSending()) for seed in range(100)))


def _lie(at: int, lie: bytes) -> bytes:
    """Return the A-ASSOCIATE-RQ with something else at a place that counts from its presentation context."""
    start = _REQUEST.index(b"\x20\x00", 74) + at
    return _REQUEST[:start] + lie + _REQUEST[start + len(lie) :]


def _data(size: int, *, last: bool = False) -> bytes:
    return pdus.p_data(pdus.pdv(1, bytes(size), command=False, last=last))


_ASSOCIATE: Final = Associate(CTImageStorage, ImplicitVRLittleEndian)
_REQUEST: Final = pdus.associate_request("ANY-SCP", {CTImageStorage: [ImplicitVRLittleEndian]})
_CONTEXTS: Final = {f"1.2.840.10008.5.1.4.1.1.{number}": [ImplicitVRLittleEndian] for number in range(127)}
_LIES: Final = (
    *(_lie(4, bytes([number])) for number in (0, 2, 255)),
    *(_lie(2, length) for length in (b"\0\0", b"\0\1", b"\x7f\xff", b"\xff\xff")),
    *(_lie(at, b"\x3f") for at in (8, 12 + len(CTImageStorage))),  # no abstract syntax; no transfer syntax
    *(_lie(10, length) for length in (b"\0\0", b"\xff\xff")),
    _REQUEST[:2] + pdus.header(ASSOCIATE_RQ, len(_REQUEST))[2:] + _REQUEST[6:] + b"\0" * 6,
    pdus.associate_request("ANY-SCP", {}),
    pdus.associate_request("ANY-SCP", {CTImageStorage: []}),
    pdus.associate_request("ANY-SCP", {"": [""], CTImageStorage: ["", "\0", "1" * 64, "2" * 10000]}),
    pdus.associate_request("ANY-SCP", _CONTEXTS | {"1" * 60000: ["1.2"]}),
    pdus.associate_request("ANY-SCP", {CTImageStorage: [ImplicitVRLittleEndian]}, calling_ae_title=""),
    pdus.associate_request("ANY-SCP", {CTImageStorage: [ImplicitVRLittleEndian]}, calling_ae_title="a\\b\x7f\0\n"),
)

_BEFORE: Final = {
    "silent": _connected("A connection, and not a byte."),
    "port-scan": Attack(
        "Connected and closed, again and again: 12 of them keep pynetdicom from accepting for 30 s.",
        ((Close(),),) * 100,
    ),
    "resets": Attack("Connected and reset, again and again: a SYN scanner.", ((Reset(),),) * 100),
    "half-header": _connected("Three bytes; pynetdicom waits for ever and cannot exit.", Send(b"\x01\x00\x00")),
    "half-associate": _connected("Half of an A-ASSOCIATE-RQ.", Send(_REQUEST[: len(_REQUEST) // 2])),
    "drip": _connected("A byte at a time: no read is ever idle.", Drip(_REQUEST)),
    "pdu-of-4-gib": _connected(
        "A length of 4 GiB, and 64 MiB of it: pynetdicom took 700 MiB in a second.",
        Send(pdus.header(ASSOCIATE_RQ, pdus.LONGEST)),
        Repeat(Send(bytes(_MIB)), 64),
    ),
    "garbage": _connected("Random bytes.", garbage(65536)),
    "garbage-associate": _connected(
        "An A-ASSOCIATE-RQ of random bytes.", Send(pdus.pdu(ASSOCIATE_RQ, garbage(200, seed=2).data))
    ),
    "empty-associate": _connected("An A-ASSOCIATE-RQ of nothing.", Send(pdus.pdu(ASSOCIATE_RQ, b""))),
    "no-ae-titles": _connected("AE titles of null bytes.", Send(_REQUEST[:10] + bytes(32) + _REQUEST[42:])),
    "http": _connected("A web browser, or a scanner of ports.", Send(b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n")),
    "tls": _connected(
        "A TLS client, or a scanner of ports.", Send(bytes.fromhex("16030100f5010000f10303") + bytes(239))
    ),
    "p-data-first": _connected("C-STORE without an association.", Send(_store())),
    "aborts": _connected("A-ABORT before anything.", Send(pdus.abort(0))),
    "releases-first": _connected("A-RELEASE-RQ before anything.", Send(pdus.RELEASE_REQUEST)),
    "lying-associates": Attack(
        "A-ASSOCIATE-RQs that cannot be: no syntaxes, even numbers, lengths that lie.",
        tuple((Send(lie), FinishSending()) for lie in _LIES),
    ),
    "associate-of-1-mib": _connected(
        "A quarter of a million items, over which a codec may take its time.",
        Send(pdus.pdu(ASSOCIATE_RQ, _REQUEST[6:] + b"\x50\0\0\0" * (_MIB // 4 - 100))),
        FinishSending(),
    ),
    "damaged-associates": _damaged("A-ASSOCIATE-RQs with a few bytes wrong, 100 of them.", _REQUEST),
    "damaged-sessions": _damaged(
        "Sessions with a few bytes wrong, 100 of them.", _REQUEST + _store() + pdus.RELEASE_REQUEST
    ),
}

_AFTER: Final = {
    "silent-association": _associated("An association, and no request."),
    "second-associate": _associated("A second A-ASSOCIATE-RQ.", Send(_REQUEST)),
    "garbage-after-associate": _associated("Random bytes in an association.", garbage(65536, seed=3)),
    "garbage-p-data": _associated("P-DATA of random bytes.", Send(pdus.pdu(P_DATA, garbage(4096, seed=4).data))),
    "p-data-of-2-gib": _associated(
        "A length of 2 GiB, and 64 MiB of it.", Send(pdus.header(P_DATA, 1 << 31)), Repeat(Send(bytes(_MIB)), 64)
    ),
    "half-p-data": _associated("Half of a P-DATA.", Send(_store()[:200])),
    "pdv-of-0-bytes": _associated("An item without a header.", Send(pdus.pdu(P_DATA, b"\0\0\0\0\1\3"))),
    "pdv-of-1-byte": _associated("An item without room for its header.", Send(pdus.pdu(P_DATA, b"\0\0\0\1\1\3"))),
    "pdv-of-4-gib": _associated("An item longer than its PDU.", Send(pdus.pdu(P_DATA, b"\xff\xff\xff\xff\1\3ab"))),
    "unknown-context": _associated("C-STORE over a context that there is not.", Send(_store(context_id=99))),
    "no-command-set": _associated(
        "A command set that is none.", Send(pdus.p_data(pdus.pdv(1, b"no command set", command=True)))
    ),
    "command-without-end": _associated(
        "A command set of a MiB.",
        Repeat(Send(pdus.p_data(pdus.pdv(1, bytes(16378), command=True, last=False))), 64),
        FinishSending(),
    ),
    "data-before-command": _associated("A data set that no command set announced.", Send(_data(64, last=True))),
    "odd-commands": Attack(
        "Commands that no Storage SCP knows, responses that answer nothing, and a C-CANCEL.",
        tuple(
            (_ASSOCIATE, Send(_message({"CommandField": field}, data)), FinishSending())
            for field in (0, C_FIND_RQ, 0x0150, 0x7FFF, C_STORE_RQ | RESPONSE, C_ECHO_RQ | RESPONSE, C_CANCEL_RQ)
            for data in (None, b"12")
        ),
    ),
    "no-data-set": _associated("C-STORE without a data set; pynetdicom never answers it.", Send(_store(None))),
    "data-set-never-comes": _associated("C-STORE whose data set does not come.", Send(_store(b""))),
    "truncated-data-set": _associated(
        "C-STORE that ends inside its data set, with a FIN.", Send(_store(b"") + _data(2048)), FinishSending()
    ),
    "resets-in-the-middle": _associated(
        "C-STORE that ends inside its data set, with a RST.", Send(_store(b"") + _data(2048)), Reset()
    ),
    "releases-in-the-middle": _associated(
        "A-RELEASE-RQ inside of a data set.", Send(_store(b"") + _data(2048) + pdus.RELEASE_REQUEST)
    ),
    "aborts-in-the-middle": _associated(
        "A-ABORT inside of a data set.", Send(_store(b"") + _data(2048) + pdus.abort(2)), FinishSending()
    ),
    "no-uid": _associated("C-STORE of an instance without a UID.", Send(_message({"CommandField": C_STORE_RQ}, b"12"))),
    "endless-fragments": _associated(
        "A data set without an end: 96 MiB of it.", Send(_store(b"")), Repeat(Send(_data(16378) * 64), 96)
    ),
    "endless-empty-fragments": _associated(
        "A data set without an end and without a byte.", Send(_store(b"")), Repeat(Send(_data(0) * 4096), 64)
    ),
    "small-fragments": _associated(
        "A data set in PDUs of two bytes.", Send(_store(b"")), Repeat(Send(_data(2) * 4096), 8)
    ),
    "never-reads": _associated(
        "Requests whose answers are never read.",
        Repeat(Send(_message({"CommandField": C_ECHO_RQ}) * 64), 256),
        StopReading(),
    ),
    "receives-6-bytes": Attack(
        "A maximum PDU length in which no fragment has room.",
        ((Associate(CTImageStorage, ImplicitVRLittleEndian, 6), Send(_message({"CommandField": C_ECHO_RQ}))),),
    ),
}

#: Every attack by its name.
ATTACKS: Final[dict[str, Attack]] = {**_BEFORE, **_AFTER}
