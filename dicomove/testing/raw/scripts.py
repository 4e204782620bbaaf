"""Ready-made scripts by name: what a PACS, or something that is none, may do to a client."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

from dicomove.dimse.fragments import ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA
from dicomove.dimse.messages import C_STORE_RQ, RESPONSE
from dicomove.testing.raw import pdus
from dicomove.testing.raw.connection import Step
from dicomove.testing.raw.steps import (
    PENDING,
    Accept,
    AwaitRelease,
    Close,
    Drip,
    FinishSending,
    InOnePdu,
    ReadPdu,
    ReadRequest,
    Repeat,
    Reset,
    Respond,
    Send,
    StopReading,
    garbage,
)

#: PS3.8 Table 9-21: the reasons that each source of a rejection may give.
_REASONS: Final = {1: (1, 2, 3, 7), 2: (1, 2), 3: (1, 2)}
_HTTP: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html></html>"
_TLS_ALERT: Final = bytes.fromhex("15030300020246")
#: A sequence whose items are none.
_UNDECODABLE: Final = pdus.element(0x0008, 0x1110, b"no items at all.", pdus.LONGEST)
#: A group, half an element, and no more.
_CUT_SHORT: Final = b"\x08\x00\x58"
#: An identifier in Implicit VR whose only element claims 2 GiB.
_LYING: Final = pdus.element(0x0010, 0x4000, b"1.2.3", 0x7FFFFFFF)
_P_DATA: Final = pdus.p_data(pdus.pdv(1, bytes(200), command=True))
_NO_FRAGMENT: Final = pdus.pdv(1, b"", command=True, last=False)

_TRICKLE: Final = Drip(pdus.p_data(), size=64, interval_s=0.02)

_SOME: Final = Respond(status=PENDING, completed=1, remaining=2)
_MORE: Final = Respond(status=PENDING, completed=2, remaining=1)
_ALL: Final = Respond(completed=3)
_FAREWELL: Final = (AwaitRelease(), Send(pdus.RELEASE_ANSWER))


@dataclass(frozen=True, slots=True)
class Script:
    """Steps with a name's worth of explanation.

    Attributes
    ----------
    about
        What it is, and which real peer does this, where one is known.
    steps
        For `ScriptedPeer`.
    """

    about: str
    steps: tuple[Step, ...]


def _at_once(about: str, *steps: Step) -> Script:
    """Return a script that begins when A-ASSOCIATE-RQ has come."""
    return Script(about, (ReadPdu(), *steps))


def _asked(about: str, *steps: Step) -> Script:
    """Return a script that begins when a request has come over a proper association."""
    return Script(about, (Accept(), ReadRequest(), *steps))


def _command(*fragments: bytes) -> Send:
    """Send parts of a command set that is not complete."""
    return Send(b"".join(pdus.p_data(pdus.pdv(1, fragment, command=True, last=False)) for fragment in fragments))


_NO_DICOM: Final = {
    "silent": Script("The port is open and nothing answers: a load balancer with nothing behind it.", ()),
    "deaf": Script("Nothing answers, and nothing is read: a stopped process (SIGSTOP).", (StopReading(),)),
    "closes-at-once": Script("Closed before a byte was read: an address filter, a full server.", (Close(),)),
    "resets-at-once": Script("RST before a byte was read: a firewall.", (Reset(),)),
    "closes": _at_once("Closed without an answer, as PACS do to AE titles that they do not know.", Close()),
    "resets": _at_once("RST instead of an answer.", Reset()),
    "http": _at_once("The port of a web server.", Send(_HTTP), FinishSending()),
    "tls-alert": _at_once("The port wants TLS: an alert, and the end.", Send(_TLS_ALERT), FinishSending()),
    "garbage": _at_once("Random bytes.", garbage()),
    "unknown-pdu": _at_once("A PDU of a type that there is not.", Send(pdus.pdu(0x42, bytes(4)))),
    "pdu-of-4-gib": _at_once(
        "An A-ASSOCIATE-AC of 4 GiB; pynetdicom and old DCMTK (before 2018) buffer what comes.",
        Send(pdus.header(ASSOCIATE_AC, pdus.LONGEST)),
        Repeat(Send(bytes(65536))),
    ),
    "half-header": _at_once("Three bytes, and silence; pynetdicom waits for ever.", Send(b"\x02\x00\x00")),
}

_ASSOCIATION: Final = {
    **{
        f"rejects-{result}-{source}-{reason}": _at_once(
            "A-ASSOCIATE-RJ (PS3.8 Table 9-21).", Send(pdus.reject_pdu(result, source, reason)), FinishSending()
        )
        for result, source in product((1, 2), _REASONS)
        for reason in _REASONS[source]
    },
    "rejects-9-9-9": _at_once("A-ASSOCIATE-RJ with numbers that nobody defined.", Send(pdus.reject_pdu(9, 9, 9))),
    "rejects-without-reason": _at_once("A-ASSOCIATE-RJ that ends early.", Send(pdus.pdu(ASSOCIATE_RJ, b"\x00"))),
    **{f"aborts-{source}": _at_once("A-ABORT instead of an answer.", Send(pdus.abort(source))) for source in (0, 1, 2)},
    "aborts-without-source": _at_once("A-ABORT that ends early.", Send(pdus.header(7, 0))),
    "releases": _at_once("A-RELEASE-RQ instead of an answer.", Send(pdus.RELEASE_REQUEST)),
    "p-data-first": _at_once("P-DATA instead of an answer.", Send(pdus.p_data(_NO_FRAGMENT))),
    "half-accept": Script("Half of an A-ASSOCIATE-AC, and silence.", (Accept(part=0.5),)),
    "drips-accept": _at_once(
        "An A-ASSOCIATE-AC that comes byte by byte, and so never.", Drip(pdus.pdu(ASSOCIATE_AC, bytes(200)))
    ),
    "undecodable-accept": _at_once(
        "An A-ASSOCIATE-AC of random bytes.", Send(pdus.pdu(ASSOCIATE_AC, garbage(200).data))
    ),
    "empty-accept": _at_once("An A-ASSOCIATE-AC of nothing.", Send(pdus.pdu(ASSOCIATE_AC, b""))),
    "accepts-nothing": Script("No presentation context is accepted: a Storage SCP.", (Accept(result=3), *_FAREWELL)),
    "accepts-what-nobody-proposed": Script(
        "Contexts are accepted in a transfer syntax that was not proposed.",
        (Accept(transfer_syntax="1.2.840.10008.1.2.4.50"), ReadRequest(), _ALL, *_FAREWELL),
    ),
    "accepts-no-transfer-syntax": Script(
        "Contexts are accepted in a transfer syntax that is none.",
        (Accept(transfer_syntax="1.2.3"), ReadRequest(), _ALL, *_FAREWELL),
    ),
    **{
        f"receives-{length}-bytes": Script(
            "A maximum PDU length in which no fragment has room.",
            (Accept(max_pdu_length=length), ReadRequest(), _ALL, *_FAREWELL),
        )
        for length in (1, 6)
    },
    "receives-8-bytes": Script(
        "A maximum PDU length in which fragments of two bytes have room.",
        (Accept(max_pdu_length=8), ReadRequest(), _ALL, *_FAREWELL),
    ),
}

_LOST: Final = {
    "hangs": _asked("The request is taken and never answered: Dicoogle before 2024-12 (dicoogle#710)."),
    "closes-after-request": _asked("Closed instead of a response, as Orthanc does to what is not allowed.", Close()),
    "resets-after-request": _asked("RST instead of a response: the process crashed.", Reset()),
    "aborts-after-request": _asked("A-ABORT by the user: GE, some 20 s after a C-CANCEL.", Send(pdus.abort(0))),
    "provider-aborts": _asked("A-ABORT by the provider: unexpected PDU.", Send(pdus.abort(2, 2))),
    "releases-after-request": _asked("A-RELEASE-RQ in the middle.", Send(pdus.RELEASE_REQUEST)),
    "aborts-after-pending": _asked("A-ABORT after a pending response.", _SOME, Send(pdus.abort(0))),
    "hangs-after-pending": _asked("A pending response, and no more.", _SOME),
    "drips-response": _asked("A P-DATA that comes byte by byte, and so never.", Drip(_P_DATA)),
    "half-p-data": _asked("Half of a P-DATA, and silence.", Send(_P_DATA[: len(_P_DATA) // 2])),
    "promises-a-data-set": _asked(
        "The final response announces an identifier that never comes.", Respond(completed=3, data=b"")
    ),
    "wrong-message-id": _asked(
        "Responses to another request, without an end.", Repeat(Respond(status=PENDING, message_id_shift=7))
    ),
    "stale-success": _asked("Success, but of the request before.", Respond(completed=3, message_id_shift=-1)),
    "endless-empty-fragments": _asked("Fragments without a byte, without an end.", Repeat(_command(*[b""] * 4096))),
    "endless-empty-pdus": _asked("P-DATA without an item, without an end.", Repeat(Send(pdus.p_data() * 4096))),
    "trickle-of-pdus": _asked("P-DATA without an item, a few in a second, without an end.", Repeat(_TRICKLE)),
    "trickle-of-fragments": _asked(
        "Fragments without a byte, a few in a second, without an end.",
        Repeat(Drip(pdus.p_data(_NO_FRAGMENT), size=64, interval_s=0.02)),
    ),
}

_WRONG: Final = {
    "p-data-of-2-gib": _asked(
        "A P-DATA of 2 GiB; pynetdicom buffers what comes.",
        Send(pdus.header(P_DATA, 1 << 31)),
        Repeat(Send(bytes(65536))),
    ),
    "garbage-after-request": _asked("Random bytes instead of a response.", garbage(seed=1)),
    "http-after-request": _asked("A proxy that loses its patience.", Send(_HTTP), FinishSending()),
    "second-accept": _asked("A second A-ASSOCIATE-AC.", Send(pdus.pdu(ASSOCIATE_AC, bytes(68)))),
    "pdv-of-1-byte": _asked("An item that has no room for its header.", Send(pdus.pdu(P_DATA, b"\0\0\0\1\1\3"))),
    "pdv-of-4-gib": _asked("An item that is longer than its PDU.", Send(pdus.pdu(P_DATA, b"\xff\xff\xff\xff\1\3ab"))),
    "pdv-cut-short": _asked("A PDU that ends inside an item's header.", Send(pdus.pdu(P_DATA, b"\0\0\0"))),
    "wrong-context": _asked("A response over a context that was not accepted.", Respond(context_id=99)),
    "no-command-set": _asked(
        "A command set that is none.", Send(pdus.p_data(pdus.pdv(1, b"no command set", command=True)))
    ),
    "data-set-first": _asked("A data set without a command.", Send(pdus.p_data(pdus.pdv(1, b"data", command=False)))),
    "endless-fragments": _asked("A command set without an end.", Repeat(_command(*[bytes(16384)] * 16))),
    "wrong-kind": _asked("C-STORE-RSP where none belongs.", Respond(command_field=C_STORE_RQ | RESPONSE)),
    "request-as-response": _asked("C-STORE-RQ over this association.", Respond(command_field=C_STORE_RQ)),
    "no-status": _asked("A response without a status.", Respond(status=None)),
}

_ANSWERED: Final = {
    "well-behaved": _asked("By the book.", _SOME, _MORE, _ALL, *_FAREWELL),
    "release-collision": _asked(
        "Both sides release at the same time (PS3.8 7.2.2.3).",
        _ALL,
        AwaitRelease(),
        Send(pdus.RELEASE_REQUEST),
        ReadPdu(),
        Send(pdus.RELEASE_ANSWER),
    ),
    "ignores-release": _asked("A-RELEASE-RQ is never answered.", _ALL),
    "talks-through-release": _asked(
        "The answer to A-RELEASE-RQ is more of everything, without an end.",
        _ALL,
        AwaitRelease(),
        Repeat(Send(pdus.p_data() * 4096)),
    ),
    "trickles-through-release": _asked(
        "The answer to A-RELEASE-RQ is P-DATA, a few in a second, without an end.",
        _ALL,
        AwaitRelease(),
        Repeat(_TRICKLE),
    ),
    "one-pdu": _asked("All responses in one P-DATA.", InOnePdu((_SOME, _ALL)), *_FAREWELL),
    "many-pdus": _asked("Each response in PDUs of a few bytes.", Respond(completed=3, fragment=2), *_FAREWELL),
    "slow-pdus": _asked("PDUs in single bytes, yet whole.", Drip(pdus.p_data(), 1, 0.001), _ALL, *_FAREWELL),
    "stale-then-right": _asked(
        "A response to the request before, and then the right one; pynetdicom takes the first.",
        Respond(completed=9, message_id_shift=-1),
        _ALL,
        *_FAREWELL,
    ),
    "undecodable-pending": _asked(
        "Pending responses with an identifier that cannot be decoded.",
        Respond(status=PENDING, completed=1, remaining=2, data=_UNDECODABLE),
        _ALL,
        *_FAREWELL,
    ),
    "cut-short-pending": _asked(
        "Pending responses with an identifier that ends inside its first element.",
        Respond(status=PENDING, completed=1, remaining=2, data=_CUT_SHORT),
        _ALL,
        *_FAREWELL,
    ),
    "cut-short-final": _asked(
        "The final response has an identifier that ends inside its first element.",
        Respond(completed=3, data=_CUT_SHORT),
        *_FAREWELL,
    ),
    "undecodable-final": _asked(
        "The final response has an identifier that cannot be decoded (Philips MV300, DCMTK's dimmove.cc).",
        Respond(completed=3, data=_UNDECODABLE),
        *_FAREWELL,
    ),
    "lying-identifier": _asked("An element of 2 GiB in 13 bytes.", Respond(completed=3, data=_LYING), *_FAREWELL),
    "says-too-much": _asked("Everything twice: the association cannot be used again.", _ALL, _ALL),
}

_ENDLESS: Final = {
    "pending-for-ever": _asked("Pending responses without an end.", Repeat(_SOME)),
    "pending-until-cancelled": _asked(
        "Pending responses until C-CANCEL, which is honoured.",
        _SOME,
        ReadPdu(),
        Respond(status=0xFE00, completed=1, remaining=2),
        *_FAREWELL,
    ),
}

#: Every script by its name.
SCRIPTS: Final[dict[str, Script]] = {**_NO_DICOM, **_ASSOCIATION, **_LOST, **_WRONG, **_ANSWERED, **_ENDLESS}

__all__ = ["SCRIPTS", "Script"]
