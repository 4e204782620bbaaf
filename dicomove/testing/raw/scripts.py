"""Ready-made scripts by name: the behaviour of a PACS, or of another server, that a client may meet."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

from dicomove.dimse.messages import C_STORE_RQ, RESPONSE
from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA
from dicomove.testing.raw import pdus
from dicomove.testing.raw.peer import Step
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
#: A sequence without valid items.
_UNDECODABLE: Final = pdus.element(0x0008, 0x1110, b"no items at all.", pdus.LONGEST)
#: The first bytes of an element.
_CUT_SHORT: Final = b"\x08\x00\x58"
#: An identifier in Implicit VR whose only element claims 2 GiB.
_CLAIMS_2_GIB: Final = pdus.element(0x0010, 0x4000, b"1.2.3", 0x7FFFFFFF)
_P_DATA: Final = pdus.p_data(pdus.pdv(1, bytes(200), command=True))
_NO_FRAGMENT: Final = pdus.pdv(1, b"", command=True, last=False)

_TRICKLE: Final = Drip(pdus.p_data(), size=64, interval_s=0.02)

_SOME: Final = Respond(status=PENDING, completed=1, remaining=2)
_MORE: Final = Respond(status=PENDING, completed=2, remaining=1)
_ALL: Final = Respond(completed=3)
_RELEASE: Final = (AwaitRelease(), Send(pdus.RELEASE_ANSWER))


@dataclass(frozen=True, slots=True)
class Script:
    """The steps of a script, with a description.

    Attributes
    ----------
    about
        The description, with a real peer that does this if one is known.
    steps
        The steps, for `ScriptedPeer`.
    """

    about: str
    steps: tuple[Step, ...]


def _at_once(about: str, *steps: Step) -> Script:
    """Return a script whose steps begin after A-ASSOCIATE-RQ."""
    return Script(about, (ReadPdu(), *steps))


def _asked(about: str, *steps: Step) -> Script:
    """Return a script whose steps begin after the first request over a correct association."""
    return Script(about, (Accept(), ReadRequest(), *steps))


def _command(*fragments: bytes) -> Send:
    """Send parts of an incomplete command set."""
    return Send(b"".join(pdus.p_data(pdus.pdv(1, fragment, command=True, last=False)) for fragment in fragments))


_NO_DICOM: Final = {
    "silent": Script("The port is open, but does not answer: a load balancer without a server behind it.", ()),
    "deaf": Script("The peer neither answers nor reads: a stopped process (SIGSTOP).", (StopReading(),)),
    "closes-at-once": Script("The peer closes before it reads a byte: an address filter, a full server.", (Close(),)),
    "resets-at-once": Script("RST before the peer reads a byte: a firewall.", (Reset(),)),
    "closes": _at_once("The peer closes without an answer, as PACS do for unknown AE titles.", Close()),
    "resets": _at_once("RST instead of an answer.", Reset()),
    "http": _at_once("The port of a web server.", Send(_HTTP), FinishSending()),
    "tls-alert": _at_once("The port needs TLS: an alert, and the end.", Send(_TLS_ALERT), FinishSending()),
    "garbage": _at_once("Random bytes.", garbage()),
    "unknown-pdu": _at_once("A PDU of an undefined type.", Send(pdus.pdu(0x42, bytes(4)))),
    "pdu-of-4-gib": _at_once(
        "An A-ASSOCIATE-AC of 4 GiB; pynetdicom and old DCMTK (before 2018) buffer all of it.",
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
    "rejects-9-9-9": _at_once("A-ASSOCIATE-RJ with undefined numbers.", Send(pdus.reject_pdu(9, 9, 9))),
    "rejects-without-reason": _at_once("A-ASSOCIATE-RJ that ends early.", Send(pdus.pdu(ASSOCIATE_RJ, b"\x00"))),
    **{f"aborts-{source}": _at_once("A-ABORT instead of an answer.", Send(pdus.abort(source))) for source in (0, 1, 2)},
    "aborts-without-source": _at_once("A-ABORT that ends early.", Send(pdus.header(7, 0))),
    "releases": _at_once("A-RELEASE-RQ instead of an answer.", Send(pdus.RELEASE_REQUEST)),
    "p-data-first": _at_once("P-DATA instead of an answer.", Send(pdus.p_data(_NO_FRAGMENT))),
    "half-accept": Script("Half of an A-ASSOCIATE-AC, and silence.", (Accept(part=0.5),)),
    "drips-accept": _at_once(
        "An A-ASSOCIATE-AC that comes byte by byte, too slowly.", Drip(pdus.pdu(ASSOCIATE_AC, bytes(200)))
    ),
    "undecodable-accept": _at_once(
        "An A-ASSOCIATE-AC of random bytes.", Send(pdus.pdu(ASSOCIATE_AC, garbage(200).data))
    ),
    "empty-accept": _at_once("An A-ASSOCIATE-AC without content.", Send(pdus.pdu(ASSOCIATE_AC, b""))),
    "accepts-nothing": Script(
        "The peer accepts no presentation context: a Storage SCP.", (Accept(result=3), *_RELEASE)
    ),
    "accepts-what-nobody-proposed": Script(
        "The peer accepts contexts in a transfer syntax that the client did not propose.",
        (Accept(transfer_syntax="1.2.840.10008.1.2.4.50"), ReadRequest(), _ALL, *_RELEASE),
    ),
    "accepts-no-transfer-syntax": Script(
        "The peer accepts contexts with a UID that is not a transfer syntax.",
        (Accept(transfer_syntax="1.2.3"), ReadRequest(), _ALL, *_RELEASE),
    ),
    **{
        f"receives-{length}-bytes": Script(
            "The maximum PDU length is too small for a fragment.",
            (Accept(max_pdu_length=length), ReadRequest(), _ALL, *_RELEASE),
        )
        for length in (1, 6)
    },
    "receives-8-bytes": Script(
        "The maximum PDU length has room for fragments of two bytes.",
        (Accept(max_pdu_length=8), ReadRequest(), _ALL, *_RELEASE),
    ),
}

_LOST: Final = {
    "hangs": _asked("The peer accepts the request and never answers: Dicoogle before 2024-12 (dicoogle#710)."),
    "closes-after-request": _asked("The peer closes instead of a response, as Orthanc does to refuse.", Close()),
    "resets-after-request": _asked("RST instead of a response: the process crashed.", Reset()),
    "aborts-after-request": _asked("A-ABORT by the user: GE, about 20 s after a C-CANCEL.", Send(pdus.abort(0))),
    "provider-aborts": _asked("A-ABORT by the provider: unexpected PDU.", Send(pdus.abort(2, 2))),
    "releases-after-request": _asked("A-RELEASE-RQ instead of a response.", Send(pdus.RELEASE_REQUEST)),
    "aborts-after-pending": _asked("A-ABORT after a pending response.", _SOME, Send(pdus.abort(0))),
    "hangs-after-pending": _asked("A pending response, and no more.", _SOME),
    "drips-response": _asked("A P-DATA that comes byte by byte, too slowly.", Drip(_P_DATA)),
    "half-p-data": _asked("Half of a P-DATA, and silence.", Send(_P_DATA[: len(_P_DATA) // 2])),
    "promises-a-data-set": _asked(
        "The final response announces an identifier that never comes.", Respond(completed=3, data=b"")
    ),
    "wrong-message-id": _asked(
        "Responses to another request, without an end.", Repeat(Respond(status=PENDING, message_id_shift=7))
    ),
    "stale-success": _asked("Success for the previous request.", Respond(completed=3, message_id_shift=-1)),
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
        "A P-DATA of 2 GiB; pynetdicom buffers all of it.",
        Send(pdus.header(P_DATA, 1 << 31)),
        Repeat(Send(bytes(65536))),
    ),
    "garbage-after-request": _asked("Random bytes instead of a response.", garbage(seed=1)),
    "http-after-request": _asked("A proxy answers with HTTP after its timeout.", Send(_HTTP), FinishSending()),
    "second-accept": _asked("A second A-ASSOCIATE-AC.", Send(pdus.pdu(ASSOCIATE_AC, bytes(68)))),
    "pdv-of-1-byte": _asked("An item that is too short for its header.", Send(pdus.pdu(P_DATA, b"\0\0\0\1\1\3"))),
    "pdv-of-4-gib": _asked("An item that is longer than its PDU.", Send(pdus.pdu(P_DATA, b"\xff\xff\xff\xff\1\3ab"))),
    "pdv-cut-short": _asked("A PDU that ends inside an item's header.", Send(pdus.pdu(P_DATA, b"\0\0\0"))),
    "wrong-context": _asked("A response over a context that was not accepted.", Respond(context_id=99)),
    "no-command-set": _asked(
        "Text instead of a command set.", Send(pdus.p_data(pdus.pdv(1, b"no command set", command=True)))
    ),
    "data-set-first": _asked("A data set without a command.", Send(pdus.p_data(pdus.pdv(1, b"data", command=False)))),
    "endless-fragments": _asked("A command set without an end.", Repeat(_command(*[bytes(16384)] * 16))),
    "wrong-kind": _asked("C-STORE-RSP instead of the right response.", Respond(command_field=C_STORE_RQ | RESPONSE)),
    "request-as-response": _asked("C-STORE-RQ instead of a response.", Respond(command_field=C_STORE_RQ)),
    "no-status": _asked("A response without a status.", Respond(status=None)),
}

_ANSWERED: Final = {
    "well-behaved": _asked("The peer follows the standard.", _SOME, _MORE, _ALL, *_RELEASE),
    "release-collision": _asked(
        "Both sides release at the same time (PS3.8 7.2.2.3).",
        _ALL,
        AwaitRelease(),
        Send(pdus.RELEASE_REQUEST),
        ReadPdu(),
        Send(pdus.RELEASE_ANSWER),
    ),
    "ignores-release": _asked("The peer never answers A-RELEASE-RQ.", _ALL),
    "talks-through-release": _asked(
        "The answer to A-RELEASE-RQ is P-DATA, without an end.",
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
    "one-pdu": _asked("All responses in one P-DATA.", InOnePdu((_SOME, _ALL)), *_RELEASE),
    "many-pdus": _asked("Each response in PDUs of a few bytes.", Respond(completed=3, fragment=2), *_RELEASE),
    "slow-pdus": _asked("A PDU byte by byte, but in time.", Drip(pdus.p_data(), 1, 0.001), _ALL, *_RELEASE),
    "stale-then-right": _asked(
        "A response to the previous request, and then the right one; pynetdicom takes the first.",
        Respond(completed=9, message_id_shift=-1),
        _ALL,
        *_RELEASE,
    ),
    "undecodable-pending": _asked(
        "Pending responses with an identifier that cannot be decoded.",
        Respond(status=PENDING, completed=1, remaining=2, data=_UNDECODABLE),
        _ALL,
        *_RELEASE,
    ),
    "cut-short-pending": _asked(
        "Pending responses with an identifier that ends inside its first element.",
        Respond(status=PENDING, completed=1, remaining=2, data=_CUT_SHORT),
        _ALL,
        *_RELEASE,
    ),
    "cut-short-final": _asked(
        "The final response has an identifier that ends inside its first element.",
        Respond(completed=3, data=_CUT_SHORT),
        *_RELEASE,
    ),
    "undecodable-final": _asked(
        "The final response has an identifier that cannot be decoded (Philips MV300, DCMTK's dimmove.cc).",
        Respond(completed=3, data=_UNDECODABLE),
        *_RELEASE,
    ),
    "lying-identifier": _asked(
        "An element that claims 2 GiB in 13 bytes.", Respond(completed=3, data=_CLAIMS_2_GIB), *_RELEASE
    ),
    "says-too-much": _asked("Two final responses: the client cannot use the association again.", _ALL, _ALL),
}

_ENDLESS: Final = {
    "pending-for-ever": _asked("Pending responses without an end.", Repeat(_SOME)),
    "pending-until-cancelled": _asked(
        "Pending responses until C-CANCEL, which the peer honours.",
        _SOME,
        ReadPdu(),
        Respond(status=0xFE00, completed=1, remaining=2),
        *_RELEASE,
    ),
}

#: Every script by its name.
SCRIPTS: Final[dict[str, Script]] = {**_NO_DICOM, **_ASSOCIATION, **_LOST, **_WRONG, **_ANSWERED, **_ENDLESS}
