"""Odd associations, field by field (PS3.8 9.3, PS3.7 D.3), that carry a C-ECHO all the same: for peers of all makes."""

from __future__ import annotations

import socket
import struct
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove.dimse.associate import item
from dicomove.dimse.messages import C_ECHO_RQ, Message, encode_command
from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RQ, PDU_HEADER
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.testing.raw import RawConnection, pdus

HOST: Final = "127.0.0.1"
SUCCESS: Final = 0x0000
_ECHO: Final = VERIFICATION.encode()
_IMPLICIT: Final = ImplicitVRLittleEndian.encode()
_NAME: Final = item(0x10, b"1.2.840.10008.3.1.1.1")
_MAX: Final = item(0x51, struct.pack(">I", 16384))
_UID: Final = item(0x52, b"1.2.3")
_USER: Final = item(0x50, _MAX + _UID + item(0x55, b"ODD"))


def asks(number: int = 1, abstract: bytes | None = _ECHO, *transfer: bytes) -> bytes:
    """Return a presentation context of A-ASSOCIATE-RQ."""
    named = b"" if abstract is None else item(0x30, abstract)
    return item(0x20, bytes([number, 0, 0, 0]) + named + b"".join(item(0x40, one) for one in transfer or (_IMPLICIT,)))


def answers(number: int = 1, result: int = 0, transfer: bytes | None = _IMPLICIT) -> bytes:
    """Return a presentation context of A-ASSOCIATE-AC."""
    return item(0x21, bytes([number, 0, result, 0]) + (b"" if transfer is None else item(0x40, transfer)))


def user(*more: bytes, first: bytes = _MAX + _UID) -> bytes:
    return item(0x50, first + b"".join(more))


#: What either side may say beside the presentation contexts: what comes before them, and what comes after them.
BESIDE: Final[dict[str, tuple[bytes, bytes]]] = {
    "by the book": (_NAME, _USER),
    "version name of 22 characters": (_NAME, user(item(0x55, b"VENDOR_PACS_2.15.100.7"))),
    "version name of 300 characters": (_NAME, user(item(0x55, b"x" * 300))),
    "empty version name": (_NAME, user(item(0x55, b""))),
    "version name that is not ASCII": (_NAME, user(item(0x55, b"P\xc4CS\x1b\xff"))),
    "version name of zeros": (_NAME, user(item(0x55, bytes(16)))),
    "two version names": (_NAME, user(item(0x55, b"A"), item(0x55, b"B"))),
    "class UID with letters": (_NAME, user(first=_MAX + item(0x52, b"no UID at all"))),
    "empty class UID": (_NAME, user(first=_MAX + item(0x52, b""))),
    "class UID of 100 digits": (_NAME, user(first=_MAX + item(0x52, b"1" * 100))),
    "no class UID": (_NAME, user(first=_MAX)),
    "no maximum length": (_NAME, user(first=_UID)),
    "maximum length 0": (_NAME, user(first=item(0x51, bytes(4)) + _UID)),
    "maximum length of 4 GiB": (_NAME, user(first=item(0x51, b"\xff" * 4) + _UID)),
    "odd maximum length": (_NAME, user(first=item(0x51, struct.pack(">I", 16383)) + _UID)),
    "maximum length 100": (_NAME, user(first=item(0x51, struct.pack(">I", 100)) + _UID)),
    "maximum length 8": (_NAME, user(first=item(0x51, struct.pack(">I", 8)) + _UID)),
    "maximum length 1": (_NAME, user(first=item(0x51, struct.pack(">I", 1)) + _UID)),
    "maximum length of 2 bytes": (_NAME, user(first=item(0x51, b"\x40\0") + _UID)),
    "maximum length last": (_NAME, user(first=_UID + _MAX)),
    "unknown sub-items": (_NAME, user(item(0x77, b"x" * 70), item(0x5F, b""))),
    "sub-items in another order": (_NAME, user(first=item(0x55, b"ODD") + _UID + _MAX)),
    "window of operations": (_NAME, user(item(0x53, bytes(4)))),
    "window of 2 bytes": (_NAME, user(item(0x53, bytes(2)))),
    "role": (_NAME, user(item(0x54, struct.pack(">H", len(_ECHO)) + _ECHO + b"\1\0"))),
    "role of a length that lies": (_NAME, user(item(0x54, b"\0\x991.2\1\1"))),
    "extended negotiation": (_NAME, user(item(0x56, struct.pack(">H", len(_ECHO)) + _ECHO + b"\1\1"))),
    "common extended negotiation": (_NAME, user(item(0x57, struct.pack(">HH", 3, 3) + b"1.21.3\0\0"))),
    "no user information": (_NAME, b""),
    "empty user information": (_NAME, item(0x50, b"")),
    "two user informations": (_NAME, _USER + _USER),
    "user information longer than the PDU": (_NAME, b"\x50\0\xff\xff" + _MAX + _UID),
    "user information shorter than its last sub-item": (_NAME, item(0x50, _MAX + b"\x55\0\0\x20ABC")),
    "user information first": (_NAME + _USER, b""),
    "reserved byte of an item": (_NAME, b"\x50\xff" + _USER[2:]),
    "no application context": (b"", _USER),
    "another application context": (item(0x10, b"1.2.3"), _USER),
    "application context of letters": (item(0x10, b"\xc4BC"), _USER),
    "application context with a NUL": (item(0x10, b"1.2.840.10008.3.1.1.1\0"), _USER),
    "two application contexts": (_NAME + _NAME, _USER),
    "application context last": (b"", _USER + _NAME),
    "unknown items": (_NAME + item(0x77, b"?"), _USER + item(0x00, b"")),
    "bytes after the last item": (_NAME, _USER + bytes(3)),
    "half a header after the last item": (_NAME, _USER + b"\x50\0"),
}

#: Presentation contexts of A-ASSOCIATE-RQ, of which number 1 is for C-ECHO.
ASKED: Final[dict[str, bytes]] = {
    "even number beside": asks(1) + asks(2),
    "number 0 beside": asks(0) + asks(1),
    "number 255": asks(255) + asks(1),
    "number twice": asks(1) + asks(1),
    "number twice, with another class": asks(1) + asks(1, b"1.2.840.10008.5.1.4.1.1.2"),
    "class with a NUL": asks(1, _ECHO + b"\0"),
    "class with blanks": asks(1, _ECHO + b"  "),
    "class that is none beside": asks(3, b"not a UID") + asks(1),
    "empty class beside": asks(3, b"") + asks(1),
    "no class beside": asks(3, None) + asks(1),
    "class of 100 digits beside": asks(3, b"1" * 100) + asks(1),
    "transfer syntax with a NUL": asks(1, _ECHO, _IMPLICIT + b"\0"),
    "transfer syntax with blanks": asks(1, _ECHO, _IMPLICIT + b"  "),
    "unknown transfer syntax first": asks(1, _ECHO, b"1.2.3.4", _IMPLICIT),
    "transfer syntax that is none first": asks(1, _ECHO, b"not a UID", _IMPLICIT),
    "empty transfer syntax first": asks(1, _ECHO, b"", _IMPLICIT),
    "transfer syntax twice": asks(1, _ECHO, _IMPLICIT, _IMPLICIT),
    "no transfer syntax beside": asks(1) + item(0x20, bytes([3, 0, 0, 0]) + item(0x30, b"1.2.3")),
    "empty context beside": asks(1) + item(0x20, bytes([3, 0, 0, 0])),
    "reserved bytes": item(0x20, b"\1\xff\xff\xff" + item(0x30, _ECHO) + item(0x40, _IMPLICIT)),
    "transfer syntax first": item(0x20, b"\1\0\0\0" + item(0x40, _IMPLICIT) + item(0x30, _ECHO)),
    "unknown sub-item": item(0x20, b"\1\0\0\0" + item(0x30, _ECHO) + item(0x77, b"?") + item(0x40, _IMPLICIT)),
    "128 contexts": b"".join(asks(number) for number in range(1, 256, 2)),
}

#: AE titles of A-ASSOCIATE-RQ: the called one is what ``{}`` stands for.
TITLES: Final[dict[str, tuple[bytes, bytes]]] = {
    "NUL after the titles": (b"{}".ljust(16, b"\0"), b"ME".ljust(16, b"\0")),
    "NUL and more after the titles": (b"{}", b"ME\0garbage".ljust(16)),
    "blanks before the titles": (b"  {}", b"  ME".ljust(16)),
    "calling title that is not ASCII": (b"{}", b"R\xd6NTGEN\x80\x1b".ljust(16)),
    "calling title with a backslash": (b"{}", b"A\\B".ljust(16)),
    "calling title of blanks": (b"{}", b" " * 16),
    "calling title of zeros": (b"{}", bytes(16)),
    "calling title of control characters": (b"{}", b"\r\n\t\x1b[2J".ljust(16)),
}

#: The head of A-ASSOCIATE-RQ and A-ASSOCIATE-AC: protocol version, two reserved bytes, titles, 32 reserved bytes.
HEADS: Final[dict[str, tuple[bytes, bytes, bytes]]] = {
    "protocol version 2": (b"\0\2", bytes(2), bytes(32)),
    "protocol version 3": (b"\0\3", bytes(2), bytes(32)),
    "protocol version 0": (b"\0\0", bytes(2), bytes(32)),
    "reserved bytes of the head": (b"\0\1", b"\xff\xff", b"\xff" * 32),
}

#: Presentation contexts of A-ASSOCIATE-AC.
ANSWERED: Final[dict[str, bytes]] = {
    "number that nobody asked for": answers(99) + answers(),
    "number 0": answers(0) + answers(),
    "even number": answers(2) + answers(),
    "context twice": answers() + answers(),
    "context twice, then refused": answers() + answers(result=3),
    "context twice, first refused": answers(result=3) + answers(),
    "no transfer syntax": answers(transfer=None),
    "empty transfer syntax": answers(transfer=b""),
    "transfer syntax with a NUL": answers(transfer=_IMPLICIT + b"\0"),
    "transfer syntax with blanks": answers(transfer=_IMPLICIT + b"  "),
    "transfer syntax that was not asked for": answers(transfer=b"1.2.840.10008.1.2.4.50"),
    "transfer syntax that is none": answers(transfer=b"not a UID"),
    "two transfer syntaxes": item(0x21, b"\1\0\0\0" + item(0x40, _IMPLICIT) + item(0x40, b"1.2.3")),
    "undefined result": answers(result=99),
    "reserved bytes": item(0x21, b"\1\xff\0\xff" + item(0x40, _IMPLICIT)),
    "class in the answer": item(0x21, b"\1\0\0\0" + item(0x30, _ECHO) + item(0x40, _IMPLICIT)),
    "nothing of the context": b"",
    "another context alone": answers(99),
    "refused without a transfer syntax beside": answers(3, 3, None) + answers(),
}
_PLAIN: Final = (b"\0\1", bytes(2), bytes(32))
_TITLES: Final = (b"{}", b"ME".ljust(16))


def _body(
    contexts: bytes, beside: tuple[bytes, bytes], head: tuple[bytes, bytes, bytes], titles: bytes, kind: int
) -> bytes:
    version, reserved, more = head
    content = version + reserved + titles + more + beside[0] + contexts + beside[1]
    return PDU_HEADER.pack(kind, len(content)) + content


def requests(called: str) -> dict[str, bytes]:
    """Return odd A-ASSOCIATE-RQs that call this title, by their names."""

    def request(
        contexts: bytes = asks(),
        beside: tuple[bytes, bytes] = (_NAME, _USER),
        head: tuple[bytes, bytes, bytes] = _PLAIN,
        titles: tuple[bytes, bytes] = _TITLES,
    ) -> bytes:
        padding = titles[0][-1:] if titles[0].endswith(b"\0") else b" "
        name = titles[0].rstrip(b"\0").replace(b"{}", called.encode()).ljust(16, padding)[:16]
        return _body(contexts, beside, head, name + titles[1], ASSOCIATE_RQ)

    return {
        **{name: request(beside=one) for name, one in BESIDE.items()},
        **{name: request(contexts=one) for name, one in ASKED.items()},
        **{name: request(head=one) for name, one in HEADS.items()},
        **{name: request(titles=one) for name, one in TITLES.items()},
        "reserved byte of the PDU": b"\1\xff" + request()[2:],
        "user identity": request(beside=(_NAME, user(item(0x58, b"\1\0\0\4user\0\0")))),
        "user identity that wants an answer": request(beside=(_NAME, user(item(0x58, b"\1\1\0\4user\0\0")))),
        "user identity of a length that lies": request(beside=(_NAME, user(item(0x58, b"\1\0\0\x99user")))),
        "explicit beside implicit": request(contexts=asks(1, _ECHO, ExplicitVRLittleEndian.encode(), _IMPLICIT)),
    }


def accepts() -> dict[str, bytes]:
    """Return odd A-ASSOCIATE-ACs to a request for C-ECHO over context 1, by their names."""

    def accept(
        contexts: bytes = answers(),
        beside: tuple[bytes, bytes] = (_NAME, _USER),
        head: tuple[bytes, bytes, bytes] = _PLAIN,
        titles: bytes = b"ODD".ljust(16) + b"ME".ljust(16),
    ) -> bytes:
        return _body(contexts, beside, head, titles, ASSOCIATE_AC)

    return {
        **{name: accept(beside=one) for name, one in BESIDE.items()},
        **{name: accept(contexts=one) for name, one in ANSWERED.items()},
        **{name: accept(head=one) for name, one in HEADS.items()},
        "nothing but the head": accept(contexts=b"", beside=(b"", b"")),
        "titles of zeros": accept(titles=bytes(32)),
        "titles of 0xFF": accept(titles=b"\xff" * 32),
        "other titles": accept(titles=b"SOMEBODY".ljust(16) + b"ELSE".ljust(16)),
        "reserved byte of the PDU": b"\2\xff" + accept()[2:],
        "user identity": accept(beside=(_NAME, user(item(0x59, b"\0\0")))),
    }


def is_echoed(port: int, request: bytes, seconds: float = 5) -> bool:
    """Whether a C-ECHO over context 1 of such an association is answered with Success."""
    message = Message(1, {"AffectedSOPClassUID": VERIFICATION, "CommandField": C_ECHO_RQ, "MessageID": 7})
    with socket.create_connection((HOST, port), timeout=seconds) as sock:
        connection = RawConnection(sock, seconds)
        try:
            connection.send(request)
            if connection.read_pdu()[0] != ASSOCIATE_AC:
                return False
            connection.send(pdus.p_data(pdus.pdv(1, encode_command(message), command=True)))
            connection.read_request()  # it reads any message
        except (OSError, EOFError):
            return False
    return connection.request is not None and connection.request.number("Status") == SUCCESS
