"""Writes PDUs (PS3.8 9.3), valid and invalid ones."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from dicomove.dimse.associate import ACCEPTED, ContextResult, number_contexts, read_request, write_answer, write_request
from dicomove.dimse.messages import Command, Message, encode_command
from dicomove.dimse.pdu import (
    ABORT,
    P_DATA,
    PDU_HEADER,
    PDV_HEADER,
    RELEASE_RP,
    RELEASE_RQ,
    pdu as pdu,
    reject_pdu as reject_pdu,
)

#: The largest length that a PDU can claim: 4 GiB.
LONGEST: Final = 0xFFFFFFFF


def header(kind: int, length: int) -> bytes:
    """Return the header of a PDU, with any length."""
    return PDU_HEADER.pack(kind, length)


def abort(source: int, reason: int = 0) -> bytes:
    """Return A-ABORT (PS3.8 Table 9-26): source 0 is the service-user, 2 the service-provider."""
    return pdu(ABORT, bytes([0, 0, source, reason]))


RELEASE_REQUEST: Final = pdu(RELEASE_RQ)
RELEASE_ANSWER: Final = pdu(RELEASE_RP)


def pdv(context_id: int, fragment: bytes, *, command: bool, last: bool = True) -> bytes:
    """Return a presentation data value item."""
    return PDV_HEADER.pack(len(fragment) + 2, context_id, command + 2 * last) + fragment


def p_data(*pdvs: bytes) -> bytes:
    """Return a P-DATA-TF of these items."""
    return pdu(P_DATA, b"".join(pdvs))


def message_pdvs(context_id: int, command: Command, data: bytes | None, fragment: int = 16378) -> list[bytes]:
    """Return the items of a message, in pieces of at most `fragment` bytes.

    For an empty data set, the command announces it, but no item follows.
    """
    encoded = encode_command(Message(context_id, command, data))
    items = [pdv(context_id, piece, command=True, last=last) for piece, last in _pieces(encoded, fragment)]
    return items + [pdv(context_id, piece, command=False, last=last) for piece, last in _pieces(data or b"", fragment)]


def element(group: int, number: int, value: bytes, length: int | None = None) -> bytes:
    """Return a data element in Implicit VR Little Endian; `length` is the length that it claims."""
    return struct.pack("<HHI", group, number, len(value) if length is None else length) + value


def associate_request(
    called_ae_title: str,
    contexts: Mapping[str, Sequence[str]],
    *,
    calling_ae_title: str = "RAW",
    max_pdu_length: int = 16384,
) -> bytes:
    """Return A-ASSOCIATE-RQ; `contexts` are transfer syntaxes by abstract syntax, numbered 1, 3, 5, ..."""
    return write_request(called_ae_title, calling_ae_title, number_contexts(contexts.items()), max_pdu_length)


def associate_answer(
    request: bytes,
    *,
    result: int = ACCEPTED,
    transfer_syntax: str | None = None,
    max_pdu_length: int | None = 0,
) -> bytes:
    """Return A-ASSOCIATE-AC to the body of an A-ASSOCIATE-RQ.

    Parameters
    ----------
    request
        The body.
    result
        The result of every presentation context (PS3.8 Table 9-18): 0 accepts, 1 to 4 refuse.
    transfer_syntax
        The transfer syntax of every presentation context; by default the first proposed one.
    max_pdu_length
        The longest PDU that the peer receives; 0 is no limit, ``None`` leaves the user information out.
    """
    asked = read_request(request)
    results = [
        ContextResult(one.context_id, result, transfer_syntax or one.transfer_syntaxes[0]) for one in asked.contexts
    ]
    return write_answer(asked, results, max_pdu_length)


def _pieces(data: bytes, size: int) -> Iterator[tuple[bytes, bool]]:
    for start in range(0, len(data), size):
        yield data[start : start + size], start + size >= len(data)
