"""Messages out of fragments, and responses to requests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomove.dimse.fragments import Fragment
from dicomove.dimse.messages import (
    C_ECHO_RQ,
    C_MOVE_RQ,
    C_STORE_RQ,
    RESPONSE,
    Message,
    MessageAssembler,
    Sink,
    decode_command,
    encode_command,
    respond,
)
from dicomove.errors import InvalidResponse

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
    "a data set in another context": [fragments(STORE)[0], changed(fragments(STORE)[1], context_id=1)],
    "a command in two contexts": [fragments(STORE, 8)[0], changed(fragments(STORE, 8)[1], context_id=1)],
    "a command set that is none": [Fragment(1, True, True, memoryview(b"no command set"))],
    "a command set without an end": [Fragment(1, True, False, memoryview(bytes(40_000)))] * 2,
}


@pytest.mark.parametrize("parts", WRONG.values(), ids=WRONG)
def test_what_cannot_be_a_message(parts: list[Fragment]) -> None:
    assembler = MessageAssembler({1, 3})
    with pytest.raises(InvalidResponse):
        assembled(assembler, parts)


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
    assert "NumberOfRemainingSuboperations" not in response.command
