"""PDUs by hand (PS3.8 9.3), right or wrong: what a raw peer says owes nothing to the codecs that it tries."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomove.dimse.association import (
    ABORT,
    APPLICATION_CONTEXT_NAME,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
)
from dicomove.dimse.messages import Command, Message, encode_command

#: The length of a PDU that lies as much as it can: 4 GiB.
LONGEST: Final = 0xFFFFFFFF

_IMPLEMENTATION: Final = "2.25.29102943204411423874220982139117406817"
_ASSOCIATE: Final = struct.Struct(">HH16s16s32x")
_APPLICATION, _PROPOSED, _ANSWERED, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_MAX_LENGTH, _IMPLEMENTATION_UID = 0x51, 0x52


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context as it was proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


def header(kind: int, length: int) -> bytes:
    """Return the header of a PDU, whatever follows it."""
    return struct.pack(">BxI", kind, length)


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU whose length is right."""
    return header(kind, len(body)) + body


def reject(result: int, source: int, reason: int) -> bytes:
    """Return A-ASSOCIATE-RJ (PS3.8 Table 9-21)."""
    return pdu(ASSOCIATE_RJ, bytes([0, result, source, reason]))


def abort(source: int, reason: int = 0) -> bytes:
    """Return A-ABORT (PS3.8 Table 9-26): source 0 is the service-user, 2 the service-provider."""
    return pdu(ABORT, bytes([0, 0, source, reason]))


RELEASE_REQUEST: Final = pdu(RELEASE_RQ, bytes(4))
RELEASE_ANSWER: Final = pdu(RELEASE_RP, bytes(4))


def pdv(context_id: int, fragment: bytes, *, command: bool, last: bool = True) -> bytes:
    """Return a presentation data value item."""
    return struct.pack(">IBB", len(fragment) + 2, context_id, command + 2 * last) + fragment


def p_data(*pdvs: bytes) -> bytes:
    """Return a P-DATA-TF of these items."""
    return pdu(P_DATA, b"".join(pdvs))


def message_pdvs(context_id: int, command: Command, data: bytes | None, fragment: int = 16378) -> list[bytes]:
    """Return the items of a message, in pieces of at most so many bytes.

    An empty data set is announced, and no item of it follows.
    """
    encoded = encode_command(Message(context_id, command, data))
    items = [pdv(context_id, piece, command=True, last=last) for piece, last in _pieces(encoded, fragment)]
    return items + [pdv(context_id, piece, command=False, last=last) for piece, last in _pieces(data or b"", fragment)]


def element(group: int, number: int, value: bytes, length: int | None = None) -> bytes:
    """Return a data element in Implicit VR Little Endian, which says of itself that it has so many bytes."""
    return struct.pack("<HHI", group, number, len(value) if length is None else length) + value


def associate_request(
    called_ae_title: str,
    contexts: Mapping[str, Sequence[str]],
    *,
    calling_ae_title: str = "RAW",
    max_pdu_length: int = 16384,
) -> bytes:
    """Return A-ASSOCIATE-RQ; `contexts` are transfer syntaxes by abstract syntax, numbered 1, 3, 5, ..."""
    titles = (title.encode("ascii", "replace").ljust(16)[:16] for title in (called_ae_title, calling_ae_title))
    proposals = [
        _item(
            _PROPOSED,
            bytes([2 * number + 1, 0, 0, 0])
            + _item(_ABSTRACT, abstract.encode())
            + b"".join(_item(_TRANSFER, syntax.encode()) for syntax in syntaxes),
        )
        for number, (abstract, syntaxes) in enumerate(contexts.items())
    ]
    return pdu(ASSOCIATE_RQ, _associate(b"".join(titles), proposals, _user_information(max_pdu_length)))


def associate_answer(
    request: bytes,
    *,
    result: int = 0,
    transfer_syntax: str | None = None,
    max_pdu_length: int | None = 0,
) -> bytes:
    """Return A-ASSOCIATE-AC to the body of an A-ASSOCIATE-RQ.

    Parameters
    ----------
    request
        The body.
    result
        Of every presentation context (PS3.8 Table 9-18): 0 accepts, 1 to 4 refuse.
    transfer_syntax
        Of every presentation context; the first that was proposed if not given.
    max_pdu_length
        The longest PDU that the peer receives; 0 is no limit, ``None`` leaves the user information out.
    """
    answers = [
        _item(
            _ANSWERED,
            bytes([one.context_id, 0, result, 0])
            + _item(_TRANSFER, (transfer_syntax or one.transfer_syntaxes[0]).encode()),
        )
        for one in proposed(request)
    ]
    information = b"" if max_pdu_length is None else _user_information(max_pdu_length)
    return pdu(ASSOCIATE_AC, _associate(request[4:36], answers, information))


def proposed(request: bytes) -> list[Proposed]:
    """Return what the body of an A-ASSOCIATE-RQ proposes."""
    found = []
    for kind, body in _items(request[_ASSOCIATE.size :]):
        if kind == _PROPOSED:
            parts = [(part, value.decode("ascii", "replace")) for part, value in _items(body[4:])]
            abstract = next(value for part, value in parts if part == _ABSTRACT)
            found.append(Proposed(body[0], abstract, tuple(value for part, value in parts if part == _TRANSFER)))
    return found


def _associate(titles: bytes, contexts: Sequence[bytes], user_information: bytes) -> bytes:
    head = _ASSOCIATE.pack(1, 0, titles[:16], titles[16:])
    return head + _item(_APPLICATION, APPLICATION_CONTEXT_NAME.encode()) + b"".join(contexts) + user_information


def _user_information(max_pdu_length: int) -> bytes:
    length = _item(_MAX_LENGTH, struct.pack(">I", max_pdu_length))
    return _item(_USER, length + _item(_IMPLEMENTATION_UID, _IMPLEMENTATION.encode()))


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        kind, length = struct.unpack_from(">BxH", data)
        yield kind, data[4 : 4 + length]
        data = data[4 + length :]


def _pieces(data: bytes, size: int) -> Iterator[tuple[bytes, bool]]:
    for start in range(0, len(data), size):
        yield data[start : start + size], start + size >= len(data)
