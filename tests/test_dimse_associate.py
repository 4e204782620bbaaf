"""Association PDUs: what is read whatever a peer says beside it, and what cannot be read and is named."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given, strategies as st
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

import dicomove as dm
from dicomove.dimse.associate import (
    IMPLEMENTATION_CLASS_UID,
    AssociateAnswer,
    AssociateRequest,
    ContextResult,
    ProposedContext,
    ae_title_text,
    item,
    number_contexts,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from dicomove.dimse.association import Context, accepted_contexts
from dicomove.dimse.opening import Peer, _result
from dicomove.dimse.pdu import ASSOCIATE_AC, ASSOCIATE_RQ, pdu, rejection
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.errors import AssociationError, InvalidResponse
from dicomove.testing.raw import AwaitRelease, RawConnection, ReadRequest, Respond, ScriptedPeer, Send, Step
from dicomove.testing.raw.pdus import RELEASE_ANSWER

CT: Final = ProposedContext(1, CTImageStorage, (ExplicitVRLittleEndian, ImplicitVRLittleEndian))
MAX_LENGTH: Final = item(0x51, struct.pack(">I", 16384))
CLASS_UID: Final = item(0x52, b"1.2.3")
USER: Final = item(0x50, MAX_LENGTH + CLASS_UID)


def proposed(number: int = 1, abstract: bytes = CTImageStorage.encode(), *transfer: bytes) -> bytes:
    syntaxes = transfer or (ExplicitVRLittleEndian.encode(),)
    return item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract) + b"".join(item(0x40, one) for one in syntaxes))


def answered(number: int = 1, result: int = 0, transfer: bytes | None = ExplicitVRLittleEndian.encode()) -> bytes:
    syntax = b"" if transfer is None else item(0x40, transfer)
    return item(0x21, bytes([number, 0, result, 0]) + syntax)


def body(*contexts: bytes, user: bytes = USER, titles: bytes = b"CALLED          ME              ") -> bytes:
    """Return the body of an A-ASSOCIATE-RQ or A-ASSOCIATE-AC."""
    return struct.pack(">HH32s32x", 1, 0, titles) + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + user


def version(name: bytes) -> bytes:
    return item(0x50, MAX_LENGTH + CLASS_UID + item(0x55, name))


# ------------------------------------------------------------------------------------------------- what is skipped

NOT_USED: Final = {
    "version name of 22 characters": version(b"VENDOR_PACS_2.15.100.7"),
    "empty version name": version(b""),
    "version name that is not ASCII": version("PÄCS".encode("latin-1")),
    "version name of binary zeros": version(bytes(300)),
    "two version names": item(0x50, MAX_LENGTH + item(0x55, b"A") + item(0x55, b"B")),
    "class UID with letters": item(0x50, MAX_LENGTH + item(0x52, b"no UID at all")),
    "empty class UID": item(0x50, MAX_LENGTH + item(0x52, b"")),
    "class UID of 300 digits": item(0x50, MAX_LENGTH + item(0x52, b"1" * 300)),
    "no class UID": item(0x50, MAX_LENGTH),
    "unknown sub-items": item(0x50, item(0x77, b"x" * 70) + MAX_LENGTH + item(0x5F, b"")),
    "unknown items": item(0x99, b"private") + item(0x50, MAX_LENGTH) + item(0x00, b""),
    "user information longer than the PDU": b"\x50\0\xff\xff" + MAX_LENGTH + CLASS_UID,
    "user information shorter than its last sub-item": item(0x50, MAX_LENGTH + b"\x55\0\0\x20ABC"),
    "half a header behind it": item(0x50, MAX_LENGTH) + b"\x50\0",
    "a longer maximum length": item(0x50, item(0x51, struct.pack(">I", 16384) + b"more")),
    "role of a length that lies": item(0x50, MAX_LENGTH + item(0x54, b"\0\x991.2\1\1")),
    "user identity": item(0x50, MAX_LENGTH + item(0x58, b"\1\0\0\4user\0\0")),
    "application context that is not DICOM's": item(0x10, "Ä".encode("latin-1")) + item(0x50, MAX_LENGTH),
}


@pytest.mark.parametrize("user", NOT_USED.values(), ids=NOT_USED)
def test_unused_fields_are_skipped(user: bytes) -> None:
    request, answer = read_request(body(proposed(), user=user)), read_answer(body(answered(), user=user))
    assert request.contexts == (ProposedContext(1, CTImageStorage, (ExplicitVRLittleEndian,)),)
    assert answer.results == (ContextResult(1, 0, ExplicitVRLittleEndian),)
    assert (request.max_pdu_length, answer.max_pdu_length, request.negotiated) == (16384, 16384, b"")


def test_a_request_that_comes_again_is_read_once() -> None:
    first, other = (body(proposed(1), titles=f"CALLED          {name:16}".encode()) for name in ("ME", "OTHER"))
    assert read_request(bytes(bytearray(first))) is read_request(first)
    assert [read_request(one).calling_ae_title for one in (first, other, first)] == ["ME", "OTHER", "ME"]


def test_a_long_request_is_not_kept() -> None:
    content = body(proposed(1), item(0x10, bytes(65000)), item(0x10, bytes(1000)))
    again = read_request(content)
    assert read_request(content) is not again
    assert read_request(content).contexts == again.contexts


def test_without_user_information_there_is_no_limit() -> None:
    assert read_request(body(proposed(), user=b"")).max_pdu_length == 0
    assert read_answer(body(answered(), user=b"")).max_pdu_length == 0


HEAD: Final = struct.pack(">HH32s32x", 1, 0, b"CALLED          ME              ")
NAME: Final = item(0x10, b"1.2.840.10008.3.1.1.1")
#: PS3.8 9.3.2 and 9.3.3, field by field: head, application context and the order of items. ``{}`` is the context.
LAYOUTS: Final = {
    "protocol version 2": (struct.pack(">HH32s32x", 2, 0, HEAD[4:36]) + NAME, USER),
    "protocol version 0": (struct.pack(">HH32s32x", 0, 0, HEAD[4:36]) + NAME, USER),
    "reserved bytes": (struct.pack(">HH32s", 1, 0xFFFF, HEAD[4:36]) + b"\xff" * 32 + NAME, USER),
    "no application context": (HEAD, USER),
    "another application context": (HEAD + item(0x10, b"1.2.3"), USER),
    "two application contexts": (HEAD + NAME + NAME, USER),
    "user information first": (HEAD + NAME + USER, b""),
    "application context last": (HEAD, USER + NAME),
    "an item that is not known": (HEAD + NAME + item(0x77, b"?"), USER),
    "reserved byte of an item": (HEAD + NAME, b"\x50\xff" + USER[2:]),
    "bytes after the last item": (HEAD + NAME, USER + bytes(3)),
}


@pytest.mark.parametrize(("before", "after"), LAYOUTS.values(), ids=LAYOUTS)
def test_the_layout_decides_nothing(before: bytes, after: bytes) -> None:
    request, answer = read_request(before + proposed() + after), read_answer(before + answered() + after)
    assert [context.abstract_syntax for context in request.contexts] == [CTImageStorage]
    assert [result.transfer_syntax for result in answer.results] == [ExplicitVRLittleEndian]
    assert (request.max_pdu_length, answer.max_pdu_length) == (16384, 16384)


def test_user_information_of_no_bytes_has_no_limit() -> None:
    empty = item(0x50, b"")
    assert read_request(body(proposed(), user=empty)).max_pdu_length == 0
    assert read_answer(body(answered(), user=empty)).max_pdu_length == 0


@pytest.mark.parametrize("content", [b"", b"\0\1", b"\0\0\x40"])
def test_a_maximum_length_that_cannot_be_read_is_a_short_one(content: bytes) -> None:
    odd = item(0x50, item(0x51, content) + CLASS_UID)
    assert read_request(body(proposed(), user=odd)).max_pdu_length == 4096
    assert read_answer(body(answered(), user=odd)).max_pdu_length == 4096


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.50", "none"])
def test_c_echo_needs_no_transfer_syntax(syntax: str) -> None:
    echo = ProposedContext(1, VERIFICATION, (ImplicitVRLittleEndian,))
    results = read_answer(body(answered(transfer=syntax.encode()))).results
    assert accepted_contexts([echo], results) == {1: Context(1, VERIFICATION, syntax)}
    assert accepted_contexts([CT], results) == {}


@pytest.mark.parametrize("titles", [bytes(32), b"\xff" * 32, b"a\\b\r\n".ljust(32)])
def test_the_titles_of_an_answer_are_reserved(titles: bytes) -> None:
    assert read_answer(body(answered(), titles=titles)).results


# ------------------------------------------------------------------------------------------------- what is used


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (b"DICOMOVE        ", "DICOMOVE"),
        (b"DICOMOVE" + bytes(8), "DICOMOVE"),
        (b"DICOMOVE \0 \0\0\0\0\0", "DICOMOVE"),
        (b"DICOMOVE\0garbage", "DICOMOVE"),
        (b"  DICOMOVE      ", "DICOMOVE"),
        (b"SIXTEENLETTERS16", "SIXTEENLETTERS16"),
        (b"TWO WORDS       ", "TWO WORDS"),
        ("RÖNTGEN".encode("latin-1").ljust(16), "RÖNTGEN"),
        (b"\x80\xff".ljust(16), "\\x80ÿ"),
        (b"A\x1b[2J\n".ljust(16), "A\\x1b[2J\\x0a"),
        (bytes(16), ""),
        (b" " * 16, ""),
    ],
)
def test_the_text_of_an_ae_title(title: bytes, text: str) -> None:
    assert ae_title_text(title) == text
    request = read_request(body(proposed(), titles=b"X".ljust(16) + title))
    assert Peer(request.calling_ae_title, request.called_ae_title) == Peer(text, "X")
    assert ae_title_text(text.encode("latin-1")) == text


@pytest.mark.parametrize(
    ("content", "contexts"),
    [
        ([proposed(3, b"1.2\0", b"1.3 ", b"1.4\0\0")], [ProposedContext(3, "1.2", ("1.3", "1.4"))]),
        ([proposed(2), proposed(255)], [ProposedContext(2, CTImageStorage, (ExplicitVRLittleEndian,)),
                                        ProposedContext(255, CTImageStorage, (ExplicitVRLittleEndian,))]),
        ([proposed(1, b"1.2"), proposed(1, b"1.9")], [ProposedContext(1, "1.2", (ExplicitVRLittleEndian,))]),
        ([proposed(1, b"no UID", b"")], [ProposedContext(1, "no UID", ())]),
        ([item(0x20, b"\1\0\0\0")], [ProposedContext(1, "", ())]),
        ([item(0x20, b"\1\0\0\0" + item(0x99, b"?") + item(0x40, b"1.3") + item(0x30, b"1.2"))],
         [ProposedContext(1, "1.2", ("1.3",))]),
    ],
)  # fmt: skip
def test_the_contexts_of_a_request(content: list[bytes], contexts: list[ProposedContext]) -> None:
    assert [*read_request(body(*content)).contexts] == contexts


@pytest.mark.parametrize(
    ("content", "accepted"),
    [
        ([answered()], ExplicitVRLittleEndian),
        ([answered(transfer=ExplicitVRLittleEndian.encode() + b"\0")], ExplicitVRLittleEndian),
        ([answered(transfer=ImplicitVRLittleEndian.encode() + b"  ")], ImplicitVRLittleEndian),
        ([answered(transfer=None)], ExplicitVRLittleEndian),
        ([answered(transfer=b"")], ExplicitVRLittleEndian),
        ([answered(transfer=b"1.2.840.10008.1.2.4.50")], None),
        ([answered(result=3)], None),
        ([answered(result=3, transfer=None)], None),
        ([answered(result=99)], None),
        ([answered(7)], None),
        ([answered(7), answered(0, transfer=None), answered()], ExplicitVRLittleEndian),
        ([answered(), answered()], ExplicitVRLittleEndian),
        ([answered(result=4), answered()], ExplicitVRLittleEndian),
        ([answered(), answered(transfer=ImplicitVRLittleEndian.encode())], ExplicitVRLittleEndian),
        ([answered() + item(0x21, b"\1\0\1\0" + item(0x77, b"?"))], ExplicitVRLittleEndian),
    ],
)
def test_the_contexts_that_an_answer_accepts(content: list[bytes], accepted: str | None) -> None:
    contexts = accepted_contexts([CT], read_answer(body(*content)).results)
    assert contexts == ({1: Context(1, CTImageStorage, accepted)} if accepted else {})


@pytest.mark.parametrize(
    ("abstract", "transfer", "accepted"),
    [
        (CTImageStorage, ("1.2.840.10008.1.2.4.50", ImplicitVRLittleEndian), "1.2.840.10008.1.2.4.50"),
        ("1.2.840.113619.4.26", ("9.9.9",), "9.9.9"),
        ("not a UID", (ImplicitVRLittleEndian,), ImplicitVRLittleEndian),
        (CTImageStorage, ("1.2 or so", "1" * 65, "é", ImplicitVRLittleEndian), ImplicitVRLittleEndian),
        ("1.2.840.10008.1.1", ("1.2.840.10008.1.2.4.50", ImplicitVRLittleEndian), ImplicitVRLittleEndian),
        ("1.2.840.10008.1.1", ("1.2.840.10008.1.2.4.50",), None),
        ("", (ImplicitVRLittleEndian,), None),
        (CTImageStorage, (), None),
        (CTImageStorage, ("é",), None),
    ],
)
def test_what_is_accepted(abstract: str, transfer: tuple[str, ...], accepted: str | None) -> None:
    result = _result(ProposedContext(5, abstract, transfer))
    assert result == ContextResult(5, 0 if accepted else 4, accepted or ImplicitVRLittleEndian)


# ------------------------------------------------------------------------------------------------- what is granted

ROLE: Final = item(0x54, struct.pack(">H", 3) + b"1.2\0\1")
WINDOW: Final = item(0x53, bytes(4))


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (ROLE + WINDOW, ROLE + WINDOW),
        (item(0x54, struct.pack(">H", 3) + b"1.2\0\0"), b""),
        (item(0x54, b""), b""),
        (item(0x54, bytes(4)), b""),
        (item(0x54, b"\0\0\0\1"), b""),
        (item(0x77, ROLE[4:]), b""),
        (item(0x53, b"\0"), b""),
        (ROLE * 5000, b""),  # more than an item has room for
    ],
)
def test_proposals_that_are_granted_unchanged(asked: bytes, granted: bytes) -> None:
    request = read_request(body(proposed(), user=item(0x50, asked + MAX_LENGTH)))
    assert request.negotiated == granted
    assert granted in write_answer(request, [ContextResult(1, 0, "1.2")], 0)


def test_the_roles_that_an_answer_grants() -> None:
    """PS3.7 D.3.3.4: the length of the UID, the UID, and whether the requestor is SCU and SCP."""
    roles = [b"\0\x031.2\0\1", b"\0\x031.3\1\1", b"\0\x041.4\0\0\1", b"\0\x031.5\1\0", b"\0\x031.6\0\0", b"\0\0\1\1"]
    user = item(0x50, MAX_LENGTH + b"".join(item(0x54, role) for role in roles) + item(0x77, roles[0]))
    answer, without = read_answer(body(answered(), user=user)), read_answer(body(answered()))
    assert answer.scp_of == {"1.2", "1.3", "1.4"}
    assert answer.not_scp_of == {"1.5", "1.6"}
    assert without.scp_of == without.not_scp_of == frozenset()


# ------------------------------------------------------------------------------------------------- what is refused


def both(content: bytes) -> bytes:
    """Return a body with this context as one that is proposed and as one that is answered: each is read by one."""
    return body(item(0x20, content), item(0x21, content))


UNREADABLE: Final = {
    b"": "of 0 bytes, without presentation contexts",
    bytes(67): "of 67 bytes, without presentation contexts",
    both(b"\1\0"): r"a presentation context without a number or a result: b'\x01\x00'",
    body(item(0x20, b""), item(0x21, b""), user=b""): "a presentation context without a number or a result: b''",
    both(bytes(4) + b"\x40\0\0\x09ab"): "a transfer syntax of 9 bytes",
    body(proposed(), answered(), user=item(0x50, item(0x51, b"\0\0\0\7"))): r"has room: b'\x00\x00\x00\x07'",
}


@pytest.mark.parametrize("size", range(4))
def test_a_context_without_a_number_or_a_result_leaves_the_others(size: int) -> None:
    request = read_request(body(item(0x20, bytes(size)), proposed(), item(0x20, bytes(size))))
    assert request.contexts == read_request(body(proposed())).contexts
    answer = read_answer(body(item(0x21, bytes(size)), answered(), item(0x21, bytes(size))))
    assert answer.results == read_answer(body(answered())).results


def test_a_request_without_a_context_asks_for_nothing_and_an_answer_without_one_accepts_nothing() -> None:
    with pytest.raises(InvalidResponse, match="an A-ASSOCIATE-RQ of 114 bytes, without presentation contexts"):
        read_request(body())
    with pytest.raises(InvalidResponse, match="an A-ASSOCIATE-AC of 67 bytes, without presentation contexts"):
        read_answer(bytes(67))
    assert read_answer(body()).results == read_answer(bytes(68)).results == ()


@pytest.mark.parametrize("read", [read_request, read_answer])
@pytest.mark.parametrize(("content", "words"), UNREADABLE.items())
def test_unreadable_used_fields_are_named(
    read: Callable[[bytes], AssociateRequest | AssociateAnswer], content: bytes, words: str
) -> None:
    with pytest.raises(InvalidResponse) as raised:
        read(content)
    assert words in str(raised.value)


def test_a_field_is_shown_in_part() -> None:
    for length, end in ((28, "x'"), (29, "x' ..."), (5000, "x' ...")):
        with pytest.raises(InvalidResponse) as raised:
            read_request(body(b"\x20\0\xff\xff" + b"x" * length, user=b""))
        assert str(raised.value).startswith(
            "a presentation context of 65535 bytes, longer than what it belongs to: b' "
        )
        assert str(raised.value).endswith(end)
        assert len(str(raised.value)) < 200


@pytest.mark.parametrize(("length", "is_taken"), [(0, True), (1, False), (7, False), (8, True), (0xFFFFFFFF, True)])
def test_the_shortest_pdu_has_room_for_two_bytes(length: int, *, is_taken: bool) -> None:
    content = body(answered(), user=item(0x50, item(0x51, struct.pack(">I", length))))
    if is_taken:
        assert read_answer(content).max_pdu_length == length
    else:
        with pytest.raises(InvalidResponse, match="maximum PDU length in which no fragment has room"):
            read_answer(content)


@pytest.mark.parametrize(
    ("content", "lasts", "words"),
    [
        (b"\0\1\1\7", True, "Rejected Permanent, Service User: Called AE title not recognised"),
        (b"\0\2\1\7", False, "Rejected Transient"),
        (b"\0\1\1\1", False, "No reason given"),
        (b"\0\1\2\2", False, "Service Provider (ACSE): Protocol version not supported"),
        (b"\0\2\3\2", False, "Service Provider (Presentation): Local limit exceeded"),
        (b"\0\1\1\4", False, "result 1, source 1, reason 4"),
        (b"\0\1\1", False, "gave no reason"),
        (b"", False, "gave no reason"),
    ],
)
def test_the_meaning_of_a_rejection(content: bytes, words: str, *, lasts: bool) -> None:
    assert words in str(rejection(content))
    assert rejection(content).permanent is lasts


# ------------------------------------------------------------------------------------------------- what is written


def head(protocol: bytes, titles: bytes) -> bytes:
    return protocol + bytes(2) + titles + bytes(32) + item(0x10, b"1.2.840.10008.3.1.1.1")


def test_a_request_as_the_standard_has_it() -> None:
    """PS3.8 9.3.2, PS3.7 D.3.3: reserved bytes are zero, contexts have odd numbers, titles are padded with spaces."""
    contexts = number_contexts([("1.2", ["1.3", "1.4"]), ("1.5", ["1.3"]), ("1.6", ["1.3"])])
    syntax = item(0x40, b"1.3")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    roles = item(0x54, b"\0\x031.7\0\1") + item(0x54, b"\0\x041.10\0\1")
    identity, name = item(0x58, b"\2\0\0\3doe\0\4pass"), item(0x55, b"DICOMOVE")
    expected = (
        head(b"\0\1", b"ARCHIVE         SIXTEENLETTERS16")
        + item(0x20, b"\1\0\0\0" + item(0x30, b"1.2") + syntax + item(0x40, b"1.4"))
        + item(0x20, b"\3\0\0\0" + item(0x30, b"1.5") + syntax)
        + item(0x20, b"\5\0\0\0" + item(0x30, b"1.6") + syntax)
    )
    titles = ("ARCHIVE", "SIXTEENLETTERS16")
    sent = write_request(*titles, contexts, 16384, (2, b"doe", b"pass"), ["1.7", "1.10"])
    assert sent == pdu(ASSOCIATE_RQ, expected + item(0x50, user + roles + identity + name))
    assert write_request(*titles, contexts, 16384) == pdu(ASSOCIATE_RQ, expected + item(0x50, user + name))


def test_an_answer_as_the_standard_has_it() -> None:
    titles = b"NOT READ \0      AND NOT CHANGED\xff"
    request = read_request(body(proposed(), user=item(0x50, ROLE + MAX_LENGTH + WINDOW), titles=titles))
    expected = (
        head(b"\0\1", titles)
        + item(0x21, b"\1\0\0\0" + item(0x40, b"1.3"))
        + item(0x21, b"\3\0\4\0" + item(0x40, b"1.2"))
    )
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, IMPLEMENTATION_CLASS_UID.encode())
    user += ROLE + WINDOW + item(0x55, b"DICOMOVE")
    results = [ContextResult(1, 0, "1.3"), ContextResult(3, 4, "1.2")]
    assert write_answer(request, results, 16384) == pdu(ASSOCIATE_AC, expected + item(0x50, user))
    assert write_answer(request, results, None) == pdu(ASSOCIATE_AC, expected)


# ------------------------------------------------------------------------------------------------- both ways

UIDS: Final = st.text("0123456789.", min_size=1, max_size=64)
TITLES: Final = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=16)
LENGTHS: Final = st.just(0) | st.integers(8, 0xFFFFFFFF)


@given(TITLES, TITLES, st.lists(st.tuples(UIDS, st.lists(UIDS, max_size=5)), min_size=1, max_size=128), LENGTHS)
def test_a_request_is_read_as_it_was_written(
    called: str, calling: str, syntaxes: list[tuple[str, list[str]]], length: int
) -> None:
    contexts = number_contexts(syntaxes)
    sent = write_request(called, calling, contexts, length)
    assert struct.unpack_from(">BxI", sent) == (ASSOCIATE_RQ, len(sent) - 6)
    read = read_request(sent[6:])
    assert (read.called_ae_title, read.calling_ae_title, read.max_pdu_length) == (called, calling, length)
    assert [*read.contexts] == contexts


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), UIDS), min_size=1, max_size=128), LENGTHS)
def test_an_answer_is_read_as_it_was_written(results: list[tuple[int, int, str]], length: int) -> None:
    written = tuple(ContextResult(*result) for result in results)
    request = read_request(body(proposed()))
    sent = write_answer(request, written, length)
    assert struct.unpack_from(">BxI", sent) == (ASSOCIATE_AC, len(sent) - 6)
    assert read_answer(sent[6:]) == AssociateAnswer(written, length)
    assert sent[10:42] == request.titles


def test_damaged_requests_and_answers_raise_what_is_ours() -> None:
    request = write_request(
        "CALLED", "CALLING", number_contexts([(CTImageStorage, ["1.2"]), (MRImageStorage, ["1.3"])]), 1 << 14
    )
    answer = write_answer(read_request(request[6:]), [ContextResult(1, 0, "1.2"), ContextResult(3, 3, "1.3")], 1 << 14)
    refused = 0
    for seed in range(4000):
        chance = random.Random(seed)
        damaged = bytearray(chance.choice([request, answer])[6:])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
        for read in (read_request, read_answer):
            try:
                read(bytes(damaged))
            except AssociationError:
                refused += 1
    assert 4000 < refused < 8000  # each is one of the two, and some damage is damage to what is used


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for read in (read_request, read_answer):
        with suppress(AssociationError):
            read(bytes(68) + content)


# ------------------------------------------------------------------------------------------------- over a connection


def test_a_move_over_an_association_whose_answer_says_odd_things() -> None:
    def answer(connection: RawConnection) -> None:
        connection.read_pdu()
        request = read_request(connection.associate)
        contexts = [answered(one.context_id, 0, one.transfer_syntaxes[0].encode() + b"\0") for one in request.contexts]
        odd = item(0x50, MAX_LENGTH + item(0x52, b"none") + item(0x55, "PÄCS 2.15 (build 4711)".encode("latin-1")))
        connection.send(pdu(ASSOCIATE_AC, body(answered(200), *contexts, user=odd, titles=b"\xff" * 32)))

    steps: list[Step] = [answer, ReadRequest(), Respond(completed=3), AwaitRelease(), Send(RELEASE_ANSWER)]
    with ScriptedPeer(steps) as peer, dm.MoveScu(dm.Pacs(peer.address)) as scu:
        result = scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE")
    assert (result.outcome, result.completed) == ("complete", 3)
