"""Messages out of fragments, and responses to requests."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from dicomove.dimse.messages import (
    C_ECHO_RQ,
    C_FIND_RQ,
    C_MOVE_RQ,
    C_STORE_RQ,
    RESPONSE,
    Message,
    MessageAssembler,
    Sink,
    decode_command,
    encode_command,
    has_data_set,
    is_response_to,
    respond,
)
from dicomove.dimse.operation import counts_of
from dicomove.dimse.pdu import Fragment
from dicomove.errors import InvalidResponse
from dicomove.outcome import Counts

ECHO = Message(1, {"AffectedSOPClassUID": "1.2.840.10008.1.1", "CommandField": C_ECHO_RQ, "MessageID": 7})
STORE = Message(
    3,
    {"AffectedSOPClassUID": "1.2", "CommandField": C_STORE_RQ, "MessageID": 8, "AffectedSOPInstanceUID": "1.2.3"},
    b"a data set",
)


def fragments(message: Message, size: int = 1 << 16) -> list[Fragment]:
    return [
        Fragment(message.context_id, is_command, start + size >= len(data), memoryview(data[start : start + size]))
        for is_command, data in ((True, encode_command(message)), (False, message.data))
        if data is not None
        for start in range(0, max(len(data), 1), size)
    ]


def assembled(assembler: MessageAssembler, parts: Sequence[Fragment]) -> list[Message]:
    return [message for part in parts if (message := assembler.take(part))]


def plain(message: Message) -> tuple[object, ...]:
    kept = {name: value for name, value in message.command.items() if name != "CommandDataSetType"}
    return message.context_id, kept, message.data


@given(
    st.lists(
        st.one_of(st.just(ECHO), st.binary(max_size=60).map(lambda data: Message(3, STORE.command, data))), max_size=4
    ),
    st.integers(1, 70),
)
def test_messages_in_fragments_of_any_size(messages: list[Message], size: int) -> None:
    assembler = MessageAssembler({1, 3})
    parts = [part for message in messages for part in fragments(message, size)]
    assert [plain(message) for message in assembled(assembler, parts)] == [plain(message) for message in messages]
    assert not assembler.is_midway


def test_it_is_midway_until_the_last_fragment() -> None:
    assembler = MessageAssembler({3})
    parts = fragments(STORE, 8)
    for part in parts[:-1]:
        assert assembler.take(part) is None
        assert assembler.is_midway
    assert assembler.take(parts[-1]) is not None
    assert not assembler.is_midway


def test_a_data_set_goes_where_its_request_says() -> None:
    begun: list[Message] = []
    taken = bytearray()

    def begin(request: Message) -> Sink:
        begun.append(request)
        return taken.extend

    (message,) = assembled(MessageAssembler({3}, begin), fragments(STORE, 4))
    assert bytes(taken) == STORE.data
    assert message.data is None
    assert begun == [message]


def changed(part: Fragment, **values: object) -> Fragment:
    return part._replace(**values)  # type: ignore[arg-type]  # a field each


WRONG = {
    "an unknown context": [changed(fragments(ECHO)[0], context_id=5)],
    "a data set first": fragments(STORE)[1:],
    "a second command": [fragments(STORE)[0], fragments(STORE)[0]],
    "a second request inside of one": [*fragments(STORE, 8)[:-1], fragments(STORE)[0]],
    "a data set in another context": [fragments(STORE)[0], changed(fragments(STORE)[1], context_id=1)],
    "a command in two contexts": [fragments(STORE, 8)[0], changed(fragments(STORE, 8)[1], context_id=1)],
    "a command set that is none": [Fragment(1, True, True, memoryview(b"no command set"))],
    "a command set without an end": [Fragment(1, True, False, memoryview(bytes(1 << 16)))] * 2,
    "a command set of one byte": [Fragment(1, True, True, memoryview(b"\0"))],
    "another group": [Fragment(1, True, True, memoryview(struct.pack("<HHIH", 8, 0x0100, 2, C_ECHO_RQ)))],
    "a value that ends too soon": [Fragment(1, True, True, memoryview(struct.pack("<HHI", 0, 0x0100, 2) + b"\x30"))],
}


@pytest.mark.parametrize("parts", WRONG.values(), ids=WRONG)
def test_bytes_that_are_not_a_message(parts: list[Fragment]) -> None:
    assembler = MessageAssembler({1, 3})
    assert assembled(assembler, parts[:-1]) == []
    with pytest.raises(InvalidResponse):
        assembler.take(parts[-1])


def test_a_context_that_was_not_accepted_is_named() -> None:
    with pytest.raises(InvalidResponse, match="in a presentation context that was not accepted"):
        MessageAssembler({1}).take(fragments(STORE)[0])


FIND_RESPONSE = Message(
    1, {"CommandField": C_FIND_RQ | RESPONSE, "MessageIDBeingRespondedTo": 7, "Status": 0xFF00}, b"the answer"
)
LAST_RESPONSE = Message(1, {"CommandField": C_FIND_RQ | RESPONSE, "MessageIDBeingRespondedTo": 7, "Status": 0})


def flagged(message: Message, data_set_type: int | None) -> list[Fragment]:
    """Return the fragments of a message whose Command Data Set Type is another, or absent."""
    command = encode_command(message)
    element = struct.pack("<HHIH", 0, 0x0800, 2, 1 if message.data is not None else 0x0101)
    other = b"" if data_set_type is None else element[:8] + struct.pack("<H", data_set_type)
    assert element in command
    changed_command = Fragment(message.context_id, True, True, memoryview(command.replace(element, other)))
    return [changed_command, *fragments(message)[1:]]


def all_of(assembler: MessageAssembler, parts: Sequence[Fragment]) -> list[Message]:
    found = []
    for part in parts:
        message = assembler.take(part)
        while message:
            found.append(message)
            message = assembler.resume()
    return found


@pytest.mark.parametrize("kind", [None, 0x0101])
@pytest.mark.parametrize("message", [FIND_RESPONSE, STORE], ids=["an answer of C-FIND", "C-STORE"])
def test_a_data_set_comes_although_the_command_set_says_no(message: Message, kind: int | None) -> None:
    (found,) = all_of(MessageAssembler({1, 3}), flagged(message, kind))
    assert found.data == message.data


def test_a_data_set_that_was_announced_and_does_not_come() -> None:
    parts = [fragments(FIND_RESPONSE)[0], *fragments(FIND_RESPONSE), *fragments(LAST_RESPONSE)]
    found = all_of(MessageAssembler({1, 3}), parts)
    assert [message.data for message in found] == [b"", FIND_RESPONSE.data, None]
    assert [message.number("Status") for message in found] == [0xFF00, 0xFF00, 0]


def test_a_data_set_where_none_belongs_is_left_out() -> None:
    move = replace(FIND_RESPONSE, command={**FIND_RESPONSE.command, "CommandField": C_MOVE_RQ | RESPONSE})
    found = all_of(MessageAssembler({1, 3}), [*flagged(move, 0x0101), *fragments(LAST_RESPONSE)])
    assert [message.data for message in found] == [None, None]


def test_it_is_midway_until_a_data_set_where_none_belongs_has_ended() -> None:
    assembler, (command, *_) = MessageAssembler({1, 3}), fragments(LAST_RESPONSE)
    assert assembler.take(command)
    for is_last in (False, True):
        assert assembler.take(Fragment(command.context_id, False, is_last, memoryview(b"part"))) is None
        assert assembler.is_midway != is_last


def test_a_data_set_in_another_context_is_refused_where_none_belongs() -> None:
    assembler, (command, *_) = MessageAssembler({1, 3}), fragments(LAST_RESPONSE)
    assert assembler.take(command)
    assert assembler.take(Fragment(command.context_id, False, False, memoryview(b"part"))) is None
    with pytest.raises(InvalidResponse):
        assembler.take(Fragment(4 - command.context_id, False, True, memoryview(b"part")))


@pytest.mark.parametrize(("number", "belongs"), [(7, True), (None, True), (0, True), (1, False), (8, False)])
def test_some_archives_leave_out_the_number_of_the_request(number: int | None, belongs: bool) -> None:
    command: dict[str, int | str] = {} if number is None else {"MessageIDBeingRespondedTo": number}
    assert is_response_to(Message(1, command), 7) == belongs


@pytest.mark.parametrize(("field", "is_ended"), [(0x0100, True), (C_MOVE_RQ, True), (C_STORE_RQ, False)])
def test_a_request_without_the_data_set_that_it_announced_ends_at_the_next_message(field: int, is_ended: bool) -> None:
    assembler = MessageAssembler({1, 3})
    stray = replace(STORE, command={**STORE.command, "CommandField": field})
    assert assembler.take(fragments(stray)[0]) is None
    assert (assembler.doubtful is not None) == is_ended
    if not is_ended:
        with pytest.raises(InvalidResponse):
            all_of(assembler, fragments(LAST_RESPONSE))
        return
    found = all_of(assembler, fragments(LAST_RESPONSE))
    assert [message.number("CommandField") for message in found] == [field, LAST_RESPONSE.number("CommandField")]


def test_a_request_whose_data_set_has_begun_is_not_doubtful() -> None:
    assembler = MessageAssembler({1, 3})
    command, data = flagged(STORE, 0x0101)
    assembler.take(command)
    assert assembler.doubtful
    assembler.take(data._replace(is_last=False))
    assert assembler.doubtful is None


def test_a_request_that_lacks_its_data_set_can_be_given_up() -> None:
    assembler = MessageAssembler({1, 3})
    assert assembler.take(flagged(STORE, 0x0101)[0]) is None
    given_up = assembler.give_up()
    assert (given_up and given_up.number("CommandField"), assembler.give_up()) == (C_STORE_RQ, None)
    (found,) = all_of(assembler, fragments(STORE))
    assert found.data == STORE.data


def test_a_data_set_without_an_end_is_refused_where_it_is_gathered() -> None:
    part = Fragment(3, False, False, memoryview(bytes(1 << 24)))
    gathering, passing = MessageAssembler({3}), MessageAssembler({3}, lambda _: len)
    for assembler in (gathering, passing):
        assembled(assembler, [fragments(STORE)[0], *[part] * 4])
    with pytest.raises(InvalidResponse, match="does not end"):
        gathering.take(part)
    assert passing.take(part) is None


def test_a_response_names_its_request() -> None:
    response = respond(STORE, 0xA700)
    assert response == Message(
        3,
        {
            "AffectedSOPClassUID": "1.2",
            "CommandField": C_STORE_RQ | RESPONSE,
            "MessageIDBeingRespondedTo": 8,
            "Status": 0xA700,
            "AffectedSOPInstanceUID": "1.2.3",
        },
    )


def test_a_response_has_the_counts_that_are_known() -> None:
    request = Message(1, {"CommandField": C_MOVE_RQ, "MessageID": 2})
    counts = {"remaining": None, "completed": 3, "failed": 0, "warning": ""}
    response = respond(request, 0, data=b"x", comment="c" * 70, counts=counts)
    decoded = decode_command(encode_command(response))
    assert decoded["ErrorComment"] == "c" * 64
    assert response.data == b"x"
    assert decoded["NumberOfCompletedSuboperations"] == 3
    assert decoded["NumberOfFailedSuboperations"] == 0
    assert not {"NumberOfRemainingSuboperations", "NumberOfWarningSuboperations"} & {*decoded}
    assert response.command["NumberOfWarningSuboperations"] == ""
    assert response.number("NumberOfWarningSuboperations") is None
    assert "NumberOfRemainingSuboperations" not in response.command


def test_a_request_that_names_nothing_is_answered() -> None:
    assert respond(Message(1, {}), 0xC000) == Message(
        1, {"AffectedSOPClassUID": "", "CommandField": RESPONSE, "MessageIDBeingRespondedTo": 0, "Status": 0xC000}
    )


def test_all_counts_of_a_response() -> None:
    counts = {"completed": 1, "failed": 2, "warning": 3, "remaining": 4}
    response = respond(Message(1, {"CommandField": C_MOVE_RQ}), 0, counts=counts)
    assert counts_of(response) == Counts(completed=1, failed=2, warning=3, remaining=4)
    assert counts_of(respond(ECHO, 0)) == Counts()


def test_a_count_of_minus_one_is_unknown() -> None:
    """It was taken for 65,535 failed or remaining instances."""
    response = respond(ECHO, 0, counts={"completed": 3, "failed": 0xFFFF, "warning": 0xFFFF, "remaining": 0xFFFF})
    assert counts_of(response) == Counts(completed=3)


def test_command_sets_as_the_standard_has_them() -> None:
    """PS3.7 6.3.1, 9.3.1.1, 9.3.5.1 and E.1: in order, each value even, and a data set is anything but 0101."""
    number = struct.Struct("<HHIH").pack
    echo = struct.pack("<HHI18s", 0, 0x0002, 18, b"1.2.840.10008.1.1")
    echo += number(0, 0x0100, 2, 0x0030) + number(0, 0x0110, 2, 7) + number(0, 0x0800, 2, 0x0101)
    assert encode_command(ECHO) == struct.pack("<HHII", 0, 0, 4, len(echo)) + echo
    store = struct.pack("<HHI4s", 0, 0x0002, 4, b"1.2")
    store += number(0, 0x0100, 2, 0x0001) + number(0, 0x0110, 2, 8) + number(0, 0x0800, 2, 1)
    store += struct.pack("<HHI6s", 0, 0x1000, 6, b"1.2.3")
    assert encode_command(STORE) == struct.pack("<HHII", 0, 0, 4, len(store)) + store


@pytest.mark.parametrize(("kind", "follows"), [(None, False), (0x0101, False), (0, True), (1, True), (0x0102, True)])
def test_whether_a_data_set_follows(kind: int | None, *, follows: bool) -> None:
    assert has_data_set({} if kind is None else {"CommandDataSetType": kind}) is follows


@pytest.mark.parametrize(
    ("number", "content", "text"),
    [
        (0x0902, b"EXAM NOT FOUND: X", "EXAM NOT FOUND: X"),
        (0x0902, " Größe \0".encode(), "Größe"),
        (0x0902, "Größe".encode("latin-1"), "Größe"),
        (0x0902, b" \0", None),
        (0x0600, b"  ARCHIVE \0", "ARCHIVE"),
        (0x0600, "RÖNTGEN".encode("latin-1"), "R\ufffdNTGEN"),
        (0x0600, "RÖNTGEN".encode(), "R\ufffd\ufffdNTGEN"),
        (0x1000, b"1.2.3\0", "1.2.3"),
        (0x1000, b"1.2.3\0.4.5\0", "1.2.3"),
        (0x0600, b"ARCHIVE\0\xffOLD    ", "ARCHIVE"),
        (0x1000, b"", None),
        (0x0900, b"\0", None),
        (0x5555, b"who knows", None),
    ],
)
def test_odd_command_sets_of_peers(number: int, content: bytes, text: str | None) -> None:
    """Whatever it is, it is no exception in the middle of an exchange."""
    decoded = decode_command(struct.pack("<HHI", 0, number, len(content)) + content)
    assert list(decoded.values()) == ([] if text is None else [text])
    message = Message(1, decoded)
    names = ("ErrorComment", "MoveDestination", "AffectedSOPInstanceUID")
    assert [found for name in names if (found := message.text(name)) is not None] == list(decoded.values())


FOUND: dict[str, int | str] = {
    "AffectedSOPClassUID": "1.2.3",
    "CommandField": C_FIND_RQ | RESPONSE,
    "MessageIDBeingRespondedTo": 7,
    "CommandDataSetType": 1,
    "Status": 0xFF00,
}


def in_explicit_vr(command: bytes) -> bytes:
    made, at = b"", 0
    while at < len(command):
        group, number, length = struct.unpack_from("<HHI", command, at)
        vr = {0x0000: b"UL", 0x0002: b"UI"}.get(number, b"US")
        made += struct.pack("<HH2sH", group, number, vr, length) + command[at + 8 : at + 8 + length]
        at += 8 + length
    return made


@pytest.mark.parametrize(
    "change",
    [
        in_explicit_vr,
        lambda command: in_explicit_vr(command + struct.pack("<HHI", 0, 0x1031, 0)),
        lambda command: command + b"\0",
        lambda command: command + bytes(4),
        lambda command: command + struct.pack("<HHI4s", 0x0009, 0x0010, 4, b"MINE"),
        # The last element comes after one of another group.
        lambda command: command[:-10] + struct.pack("<HHI4s", 0x0009, 0x0010, 4, b"MINE") + command[-10:],
        lambda command: command[12:],
        lambda command: struct.pack("<HHII", 0, 0, 4, 9999) + command[12:],
    ],
    ids=[
        *(
            "Explicit VR",
            "Explicit VR without a value",
            "a NUL",
            "four zeros",
            "a private group",
            "a private group within",
        ),
        *("no group length", "another group length"),
    ],
)
def test_a_command_set_that_is_written_in_another_way(change: Callable[[bytes], bytes]) -> None:
    assert decode_command(change(encode_command(Message(1, FOUND, b"")))) == FOUND


def test_the_vr_of_a_text_is_read_and_not_the_letters_behind_it() -> None:
    command = struct.pack("<HH2sH", 0, 0x0600, b"AE", 4) + b"rx1 "
    assert decode_command(command) == {"MoveDestination": "rx1"}


@pytest.mark.parametrize("behind", [b"", struct.pack("<HHIH", 0, 0x0900, 2, 0)], ids=["last", "before another"])
def test_a_length_that_is_also_a_letter_is_no_vr(behind: bytes) -> None:
    command = struct.pack("<HHI", 0, 0x0902, ord("B")) + b"x" * ord("B")
    assert decode_command(command + behind)["ErrorComment"] == "x" * ord("B")


def test_a_text_without_a_letter_and_a_number_are_no_texts() -> None:
    message = Message(1, {"ErrorComment": "", "Status": 0x0110})
    assert (message.text("ErrorComment"), message.text("Status"), message.number("ErrorComment")) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Gerät gestört".encode(), "Gerät gestört"),
        ("Gerät gestört".encode("latin-1"), "Gerät gestört"),
        (b"bad \x1b[31mred\x07\r\nnext ", "bad [31mred next"),
        (b"  two  words\0garbage", "two words"),
        (b"\r\n\t ", None),
    ],
)
def test_an_error_comment_is_text_for_people(value: bytes, text: str | None) -> None:
    decoded = decode_command(struct.pack("<HHIHHHI", 0, 0x0100, 2, 0x8021, 0, 0x0902, len(value)) + value)
    assert decoded.get("ErrorComment") == text
