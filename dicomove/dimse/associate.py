"""The PDUs of A-ASSOCIATE as bytes (PS3.8 9.3.2 to 9.3.4), read and written without I/O.

dicomove reads the fields that it uses, and skips all others, whatever they contain: names and versions of
implementations, reserved bytes, unknown items, application contexts. If it cannot read a field that it uses, it raises
`InvalidResponse`, which names the field and shows its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NoReturn

from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RQ, SHORT_PDU_BYTES, SHORTEST_PDU, pdu
from dicomove.errors import InvalidResponse

#: The maximum length if the peer's own cannot be read. Other programs accept such associations, too.
_EVERY_PEER_RECEIVES: Final = 4096

IMPLEMENTATION_CLASS_UID: Final = "2.25.170310236812409476309457911094093518265"
IMPLEMENTATION_VERSION_NAME: Final = "DICOMOVE"
_APPLICATION_CONTEXT_NAME: Final = "1.2.840.10008.3.1.1.1"

#: The results of a presentation context (PS3.8 Table 9-18).
ACCEPTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 4

# The types of items and sub-items (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3).
_APPLICATION, _PROPOSED, _ANSWERED, _ABSTRACT, _TRANSFER, _USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
_MAX_LENGTH, _CLASS_UID, _WINDOW, _ROLE, _VERSION, _IDENTITY = 0x51, 0x52, 0x53, 0x54, 0x55, 0x58
_ITEM_HEADER: Final = struct.Struct(">BxH")
_ASSOCIATE_HEAD: Final = struct.Struct(">HH32s32x")
#: Both AE titles, in the body.
_TITLES: Final = slice(4, 36)
#: The length of an item has 16 bits.
_LONGEST_NEGOTIATED: Final = 1 << 15
_SHOWN_BYTES: Final = 32
#: The number of different requests, up to this length, that dicomove decodes only once.
_REMEMBERED: Final = 4
_LONGEST_REMEMBERED: Final = 1 << 16
#: The bytes of a sub-item for a role, without the UID: the length of the UID, and both roles.
_ROLE_BYTES: Final = 4
_SYNTAX_NAMES: Final = {_ABSTRACT: "abstract syntax", _TRANSFER: "transfer syntax"}


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context of an A-ASSOCIATE-RQ."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """The result of a presentation context in an A-ASSOCIATE-AC. Its transfer syntax may be empty."""

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True, eq=False)
class AssociateRequest:
    """An A-ASSOCIATE-RQ. Python compares it by identity, because comparing a hundred contexts takes time.

    Attributes
    ----------
    calling_ae_title, called_ae_title
        The AE titles as printable text, without padding.
    titles
        The bytes of both titles, which the answer repeats.
    contexts
        The presentation contexts; of several with one number, the first.
    max_pdu_length
        The longest PDU that the peer receives; 0 is no limit.
    negotiated
        The sub-items for roles and for the window of asynchronous operations that dicomove grants unchanged.
    """

    calling_ae_title: str
    called_ae_title: str
    titles: bytes
    contexts: tuple[ProposedContext, ...]
    max_pdu_length: int
    negotiated: bytes


@dataclass(frozen=True, slots=True)
class AssociateAnswer:
    """An A-ASSOCIATE-AC.

    Attributes
    ----------
    results
        The results of the presentation contexts.
    max_pdu_length
        The longest PDU that the peer receives; 0 is no limit.
    scp_of, not_scp_of
        The SOP classes of which the requestor may be the SCP, and those of which it may not. The peer may leave a class
        out of both.
    """

    results: tuple[ContextResult, ...]
    max_pdu_length: int
    scp_of: frozenset[str] = frozenset()
    not_scp_of: frozenset[str] = frozenset()


def number_contexts(proposed: Iterable[tuple[str, Sequence[str]]]) -> list[ProposedContext]:
    """Return abstract syntaxes, each with its transfer syntaxes, as presentation contexts 1, 3, 5, ..."""
    return [
        ProposedContext(2 * index + 1, abstract, tuple(transfer)) for index, (abstract, transfer) in enumerate(proposed)
    ]


def write_request(
    called_ae_title: str,
    calling_ae_title: str,
    contexts: Iterable[ProposedContext],
    max_pdu_length: int,
    user: tuple[int, bytes, bytes] | None = None,
    scp_of: Iterable[str] = (),
) -> bytes:
    """Return A-ASSOCIATE-RQ (PS3.8 9.3.2).

    Parameters
    ----------
    called_ae_title, calling_ae_title, contexts, max_pdu_length
        The values to propose.
    user
        Type, primary and secondary field of the user identity.
    scp_of
        The SOP classes of which the requestor wants to be the SCP, as for C-GET (PS3.7 D.3.3.4).
    """
    titles = f"{called_ae_title:16.16}{calling_ae_title:16.16}".encode("latin-1")
    items = (
        item(
            _PROPOSED,
            bytes([context.context_id, 0, 0, 0])
            + item(_ABSTRACT, context.abstract_syntax.encode())
            + b"".join(item(_TRANSFER, syntax.encode()) for syntax in context.transfer_syntaxes),
        )
        for context in contexts
    )
    negotiated = b"".join(map(_scp_role, scp_of)) + (_user_identity(user) if user else b"")
    return pdu(ASSOCIATE_RQ, _associate(titles, items, max_pdu_length, negotiated))


def write_answer(request: AssociateRequest, results: Iterable[ContextResult], max_pdu_length: int | None) -> bytes:
    """Return A-ASSOCIATE-AC to a request (PS3.8 9.3.3); without a maximum length, without user information."""
    items = (
        item(_ANSWERED, bytes([one.context_id, 0, one.result, 0]) + item(_TRANSFER, one.transfer_syntax.encode()))
        for one in results
    )
    return pdu(ASSOCIATE_AC, _associate(request.titles, items, max_pdu_length, request.negotiated))


def read_request(body: bytes) -> AssociateRequest:
    """Read the body of an A-ASSOCIATE-RQ.

    A PACS may send the same request before each study, as Orthanc does, with 126 presentation contexts. So `_read_once`
    keeps the latest ones.

    Raises
    ------
    InvalidResponse
        A presentation context or the maximum length cannot be read.
    """
    return _read_once(body) if len(body) <= _LONGEST_REMEMBERED else _read_request(body)


def _read_request(body: bytes) -> AssociateRequest:
    items = _associate_items(body, _PROPOSED, "A-ASSOCIATE-RQ")
    contexts: dict[int, ProposedContext] = {}
    for context in (_proposed(content) for kind, content in items if kind == _PROPOSED):
        contexts.setdefault(context.context_id, context)
    user_items = [*_user_items(items)]
    negotiated = b"".join(item(kind, content) for kind, content in user_items if _is_grantable(kind, content))
    titles = body[_TITLES]
    return AssociateRequest(
        calling_ae_title=ae_title_text(titles[16:]),
        called_ae_title=ae_title_text(titles[:16]),
        titles=titles,
        contexts=tuple(contexts.values()),
        max_pdu_length=_max_pdu_length(user_items),
        negotiated=negotiated if len(negotiated) < _LONGEST_NEGOTIATED else b"",
    )


_read_once: Final = lru_cache(_REMEMBERED)(_read_request)


def read_answer(body: bytes) -> AssociateAnswer:
    """Read the body of an A-ASSOCIATE-AC.

    Raises
    ------
    InvalidResponse
        A presentation context or the maximum length cannot be read.
    """
    items = _associate_items(body, _ANSWERED, "A-ASSOCIATE-AC")
    results = tuple(_result(content) for kind, content in items if kind == _ANSWERED)
    user_items = [*_user_items(items)]
    roles = [content for kind, content in user_items if kind == _ROLE and len(content) > _ROLE_BYTES]
    scp_of = frozenset(_uid(content[2:-2]) for content in roles if content[-1])
    not_scp_of = frozenset(_uid(content[2:-2]) for content in roles) - scp_of
    return AssociateAnswer(results, _max_pdu_length(user_items), scp_of, not_scp_of)


def ae_title_text(title: bytes) -> str:
    r"""Return an AE title as text, without padding, and with escapes for unprintable characters.

    The title ends at the first NUL, because programs that send a NUL end it there.

    Examples
    --------
    >>> ae_title_text(b"CTSCANNER" + bytes(7)), ae_title_text(b"R\xd6NTGEN\x1b        ")
    ('CTSCANNER', 'RÖNTGEN\\x1b')
    """
    text = title.split(b"\0")[0].decode("latin-1").strip(" ")
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)


def item(kind: int, content: bytes) -> bytes:
    """Return an item or a sub-item of an association PDU."""
    return _ITEM_HEADER.pack(kind, len(content)) + content


def _associate(titles: bytes, contexts: Iterable[bytes], max_pdu_length: int | None, negotiated: bytes) -> bytes:
    head = _ASSOCIATE_HEAD.pack(1, 0, titles)
    body = head + item(_APPLICATION, _APPLICATION_CONTEXT_NAME.encode()) + b"".join(contexts)
    if max_pdu_length is None:
        return body
    return body + item(
        _USER,
        item(_MAX_LENGTH, struct.pack(">I", max_pdu_length))
        + item(_CLASS_UID, IMPLEMENTATION_CLASS_UID.encode())
        + negotiated
        + item(_VERSION, IMPLEMENTATION_VERSION_NAME.encode()),
    )


def _user_identity(user: tuple[int, bytes, bytes]) -> bytes:
    """Return the sub-item of the user identity, which does not request an answer (PS3.7 Table D.3-14)."""
    kind, *fields = user
    return item(_IDENTITY, bytes([kind, 0]) + b"".join(struct.pack(">H", len(field)) + field for field in fields))


def _scp_role(sop_class: str) -> bytes:
    """Return the sub-item by which the requestor wants to be SCP, and not SCU, of a SOP class (PS3.7 D.3.3.4)."""
    return item(_ROLE, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes([0, 1]))


def _associate_items(body: bytes, context: int, name: str) -> list[tuple[int, bytes]]:
    items = [*_items(body[_ASSOCIATE_HEAD.size :], {context: "presentation context"})]
    # One without a number or a result cannot be answered; the others beside it can.
    cut = [content for kind, content in items if kind == context and len(content) < SHORT_PDU_BYTES]
    items = [(kind, content) for kind, content in items if kind != context or len(content) >= SHORT_PDU_BYTES]
    kinds = {kind for kind, _ in items}
    if cut and context not in kinds:
        _refuse_field("presentation context without a number or a result", cut[0])
    # An answer without a context accepts none; a request without one asks for nothing.
    is_answer = context == _ANSWERED and len(body) >= _ASSOCIATE_HEAD.size
    is_readable = context in kinds or (is_answer and (not kinds or kinds & {_APPLICATION, _USER}))
    if not is_readable:
        message = f"an {name} of {len(body)} bytes, without presentation contexts"
        raise InvalidResponse(message)
    return items


def _items(data: bytes, used: dict[int, str]) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of items. Refuse a used item that is longer than the data; cut another one there."""
    start = 0
    while start + _ITEM_HEADER.size <= len(data):
        kind, length = _ITEM_HEADER.unpack_from(data, start)
        end = start + _ITEM_HEADER.size + length
        if end > len(data) and kind in used:
            _refuse_field(f"{used[kind]} of {length} bytes, longer than what it belongs to", data[start:])
        yield kind, data[start + _ITEM_HEADER.size : end]
        start = end


def _user_items(items: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for kind, content in items:
        if kind == _USER:
            yield from _items(content, {})


def _max_pdu_length(user_items: Iterable[tuple[int, bytes]]) -> int:
    content = next((content for kind, content in user_items if kind == _MAX_LENGTH), None)
    if content is None:
        return 0
    if len(content) < 4:
        return _EVERY_PEER_RECEIVES
    length = int.from_bytes(content[:4])
    if 0 < length < SHORTEST_PDU:
        _refuse_field("maximum PDU length in which no fragment has room", content)
    return length


def _is_grantable(kind: int, content: bytes) -> bool:
    """Whether dicomove grants a sub-item unchanged.

    Roles: for C-GET, the client is the SCP of storage (PS3.7 D.3.3.4). The window of asynchronous operations: dicomove
    answers requests one after the other, so that any number of them may be outstanding (PS3.7 D.3.3.3).
    """
    if kind == _ROLE and len(content) > _ROLE_BYTES:
        return int.from_bytes(content[:2]) == len(content) - _ROLE_BYTES and any(content[-2:])
    return kind == _WINDOW and len(content) == 4


def _proposed(content: bytes) -> ProposedContext:
    syntaxes = _syntaxes(content)
    abstract = next((uid for kind, uid in syntaxes if kind == _ABSTRACT), "")
    return ProposedContext(content[0], abstract, tuple(uid for kind, uid in syntaxes if kind == _TRANSFER and uid))


def _result(content: bytes) -> ContextResult:
    transfer = next((uid for kind, uid in _syntaxes(content) if kind == _TRANSFER), "")
    return ContextResult(content[0], content[2], transfer)


def _syntaxes(context: bytes) -> list[tuple[int, str]]:
    """Return the abstract and transfer syntaxes of a presentation context."""
    return [(kind, _uid(content)) for kind, content in _items(context[SHORT_PDU_BYTES:], _SYNTAX_NAMES)]


def _uid(content: bytes) -> str:
    return content.split(b"\0")[0].decode("latin-1").strip()


def _refuse_field(what: str, found: bytes) -> NoReturn:
    shown = f"{found[:_SHOWN_BYTES]!r}{' ...' if len(found) > _SHOWN_BYTES else ''}"
    message = f"a {what}: {shown}"
    raise InvalidResponse(message)
