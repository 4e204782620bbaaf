"""Faults of A-ASSOCIATE-RQ and A-ASSOCIATE-AC: odd names, AE titles, UIDs and lengths, and odd answers to contexts."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from dicomove.dimse.associate import AssociateRequest, item
from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RQ, PDU_HEADER, pdu
from dicomove.dimse.presentation_contexts import GET, MOVE
from dicomove.testing.faults.base import Fault, SendBytes

#: The types of items (PS3.8 9.3.3) and of sub-items of the user information (PS3.7 D.3.3).
_ANSWERED, _USER, _CLASS_UID, _ROLE, _VERSION = 0x21, 0x50, 0x52, 0x54, 0x55
_ITEM_HEADER: Final = struct.Struct(">BxH")
_BEFORE_ITEMS: Final = 68
_TITLES: Final = slice(4, 36)
_TITLE_BYTES: Final = 16
_ACCEPTED, _REFUSED, _NOT_DEFINED = 0, 3, 99
_RETRIEVING: Final = frozenset((*MOVE.values(), *GET.values()))
#: A fatal alert: protocol_version (RFC 8446 6).
_TLS_ALERT: Final = bytes.fromhex("15030300020246")

Items = list[tuple[int, bytes]]


@dataclass(frozen=True)
class _ChangesItems(Fault):
    """Changes the items of the PACS's A-ASSOCIATE-AC, and of its A-ASSOCIATE-RQ to a destination."""

    kinds: ClassVar[tuple[int, ...]] = (ASSOCIATE_RQ, ASSOCIATE_AC)

    def on_associate(self, request: AssociateRequest | None, sent: bytes) -> bytes:
        kind, body = sent[0], sent[PDU_HEADER.size :]
        if kind not in self.kinds:
            return sent
        head = bytearray(body[:_BEFORE_ITEMS])
        head[_TITLES] = self._titles(kind, bytes(head[_TITLES]))
        items = self._items(request, [*_items(body[_BEFORE_ITEMS:])])
        return pdu(kind, bytes(head) + b"".join(item(*one) for one in items))

    def _titles(self, kind: int, titles: bytes) -> bytes:
        return titles

    def _items(self, request: AssociateRequest | None, items: Items) -> Items:
        return [(kind, self._user(content) if kind == _USER else content) for kind, content in items]

    def _user(self, content: bytes) -> bytes:
        return b"".join(item(*one) for one in self._user_items([*_items(content)]))

    def _user_items(self, items: Items) -> Items:
        return items


@dataclass(frozen=True)
class LongVersionName(_ChangesItems):
    """The Implementation Version Name has 300 characters; 16 are allowed (PS3.7 D.3.3.2.4).

    Names of 22 characters are common: pynetdicom and dcm4che abort such associations, or log an error.

    Parameters
    ----------
    length
        The number of characters.
    """

    length: int = 300

    def _user_items(self, items: Items) -> Items:
        return _replaced(items, _VERSION, b"VENDOR_PACS_2.15".ljust(self.length, b"x")[: self.length])


@dataclass(frozen=True)
class BinaryVersionName(_ChangesItems):
    """The Implementation Version Name is neither ASCII nor UTF-8, and has control characters."""

    def _user_items(self, items: Items) -> Items:
        return _replaced(items, _VERSION, b"P\xc4CS\0\x1b[2J\xff\xfe")


@dataclass(frozen=True)
class OddClassUid(_ChangesItems):
    """The Implementation Class UID is not a UID, but text with a NUL in it."""

    def _user_items(self, items: Items) -> Items:
        return _replaced(items, _CLASS_UID, b"not a UID\0at all")


@dataclass(frozen=True)
class NoImplementation(_ChangesItems):
    """The Implementation Class UID, which is required, and the Implementation Version Name are absent."""

    def _user_items(self, items: Items) -> Items:
        return [one for one in items if one[0] not in (_CLASS_UID, _VERSION)]


@dataclass(frozen=True)
class PadsAeTitles(_ChangesItems):
    """The PACS pads AE titles with NUL instead of blanks, like the strings of C."""

    def _titles(self, kind: int, titles: bytes) -> bytes:
        both = titles[:_TITLE_BYTES], titles[_TITLE_BYTES:]
        return b"".join(title.rstrip(b" ").ljust(_TITLE_BYTES, b"\0") for title in both)


@dataclass(frozen=True)
class OddAeTitles(_ChangesItems):
    """AE titles are not ASCII: both in A-ASSOCIATE-AC, and the PACS's own in A-ASSOCIATE-RQ to a destination."""

    def _titles(self, kind: int, titles: bytes) -> bytes:
        own = b"R\xd6NTGEN\x80\x1b".ljust(_TITLE_BYTES)
        return titles[:_TITLE_BYTES] + own if kind == ASSOCIATE_RQ else b"\xff" * _TITLE_BYTES + own


@dataclass(frozen=True)
class _ChangesAnswer(_ChangesItems):
    kinds: ClassVar[tuple[int, ...]] = (ASSOCIATE_AC,)


@dataclass(frozen=True)
class AnswersUnknownContexts(_ChangesAnswer):
    """A-ASSOCIATE-AC also accepts presentation contexts that the client did not propose, such as 0 and 254."""

    def _items(self, request: AssociateRequest | None, items: Items) -> Items:
        unknown = [(_ANSWERED, bytes([number, 0, _ACCEPTED, 0])) for number in (0, 254)]
        return [*unknown, *items]


@dataclass(frozen=True)
class AnswersContextsTwice(_ChangesAnswer):
    """A-ASSOCIATE-AC first accepts each presentation context, and then refuses it."""

    def _items(self, request: AssociateRequest | None, items: Items) -> Items:
        return [*items, *((kind, _with_result(content, _REFUSED)) for kind, content in items if kind == _ANSWERED)]


@dataclass(frozen=True)
class _AnswersRetrieval(_ChangesAnswer):
    """Changes the answers to the presentation contexts of C-MOVE and C-GET."""

    def _items(self, request: AssociateRequest | None, items: Items) -> Items:
        contexts = request.contexts if request else ()
        numbers = {one.context_id for one in contexts if one.abstract_syntax in _RETRIEVING}
        meant = [kind == _ANSWERED and content[0] in numbers for kind, content in items]
        changed = (self._instead(*one) if found else [one] for found, one in zip(meant, items, strict=True))
        return [one for some in changed for one in some]

    def _instead(self, kind: int, content: bytes) -> Items:
        raise NotImplementedError


@dataclass(frozen=True)
class OmitsContexts(_AnswersRetrieval):
    """A-ASSOCIATE-AC leaves out the presentation contexts of C-MOVE and C-GET."""

    def _instead(self, kind: int, content: bytes) -> Items:
        return []


@dataclass(frozen=True)
class UndefinedContextResult(_AnswersRetrieval):
    """A-ASSOCIATE-AC answers the presentation contexts of C-MOVE and C-GET with the result 99, which is undefined."""

    def _instead(self, kind: int, content: bytes) -> Items:
        return [(kind, _with_result(content, _NOT_DEFINED))]


@dataclass(frozen=True)
class RefusesRoles(_ChangesAnswer):
    """A-ASSOCIATE-AC refuses each role: the PACS accepts C-GET, but cannot send anything back (PS3.7 D.3.3.4)."""

    commands: ClassVar[tuple[str, ...]] = ("C-GET",)

    def _user_items(self, items: Items) -> Items:
        return [(kind, content[:-1] + b"\0" if kind == _ROLE else content) for kind, content in items]


@dataclass(frozen=True)
class SmallPdus(Fault):
    """The PACS receives PDUs of at most 4 KiB, like some old archives.

    Parameters
    ----------
    length
        The largest PDU in bytes.
    """

    length: int = 4096

    def max_pdu_length(self) -> int | None:
        return self.length


@dataclass(frozen=True)
class SpeaksTls(Fault):
    """The port needs TLS: the PACS answers an unencrypted A-ASSOCIATE-RQ with a TLS alert, and closes."""

    def on_association(self, open_associations: int) -> None:
        raise SendBytes(_TLS_ALERT)


@dataclass(frozen=True)
class SpeaksNoTls(Fault):
    """The PACS does not speak TLS, although it has a certificate."""

    speaks_tls: ClassVar[bool] = False


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while start + _ITEM_HEADER.size <= len(data):
        kind, length = _ITEM_HEADER.unpack_from(data, start)
        start += _ITEM_HEADER.size + length
        yield kind, data[start - length : start]


def _replaced(items: Items, kind: int, content: bytes) -> Items:
    return [(one, content if one == kind else old) for one, old in items]


def _with_result(content: bytes, result: int) -> bytes:
    return content[:2] + bytes([result]) + content[3:]
