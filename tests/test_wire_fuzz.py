"""Mutated PDUs in memory: whatever a peer sends, the reader gives events or raises an error of ours.

``DICOMOVE_FUZZ=100000 pytest tests/test_wire_fuzz.py`` tries as many; 20,000 are tried by default.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomove.dimse.associate import (
    ACCEPTED,
    ContextResult,
    number_contexts,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from dicomove.dimse.messages import C_FIND_RQ, C_STORE_RQ, Message, MessageAssembler, encode_command, respond
from dicomove.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    RELEASE_RQ,
    Fragment,
    PDataReader,
    Pdu,
    pdu,
    reject_pdu,
    rejection,
    write_p_data,
)
from dicomove.errors import AssociationError, InvalidResponse

TRIES = int(os.environ.get("DICOMOVE_FUZZ", "20000"))
DATA = b"\x08\0\x16\0UI\x04\x001.2\0"
CONTEXTS = number_contexts([(CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])])


def messages() -> Iterator[bytes]:
    for field in (C_STORE_RQ, C_FIND_RQ):
        command: dict[str, int | str] = {
            "CommandField": field,
            "MessageID": 7,
            "Priority": 0,
            "AffectedSOPClassUID": CTImageStorage,
            "AffectedSOPInstanceUID": "1.2.3",
        }
        request = Message(1, command, DATA)
        yield from map(encode_command, (request, respond(request, 0xFF00, data=DATA, comment="wait")))


def seeds() -> list[bytes]:
    """One valid PDU of each kind, and whole messages."""
    request = write_request("PACS", "DICOMOVE", CONTEXTS, 16384, (2, b"user", b"passcode"))
    answer = write_answer(read_request(request[6:]), [ContextResult(1, ACCEPTED, ExplicitVRLittleEndian)], 16384)
    data = [
        b"".join(write_p_data(1, command, is_command=True, longest=longest))
        + b"".join(write_p_data(1, DATA, is_command=False, longest=longest))
        for command in messages()
        for longest in (64, 16384)
    ]
    return [request, answer, reject_pdu(1, 1, 7), pdu(RELEASE_RQ), pdu(ABORT), *data]


def mutated(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 3:
                data[at : at + 2] = chance.choice([b"\0\0", b"\xff\xff", b"\0\1", b"\x7f\xff"])
            case _:
                data += data[at : at + chance.randint(1, 64)]
    return bytes(data)


def read(data: bytes, chance: random.Random) -> int:
    """Read bytes in random pieces as both sides do; return how many events they made."""
    reader, assembler, events, start = PDataReader(1 << 12), MessageAssembler({1}), 0, 0
    while start < len(data):
        space = reader.space()
        assert len(space), "the reader has no room, and gives no event"
        size = min(chance.choice([1, 3, 64, 4096]), len(space), len(data) - start)
        space[:size] = data[start : start + size]
        reader.received(size)
        start += size
        while (event := reader.next_event()) is not None:
            events += 1
            if isinstance(event, Fragment):
                assembler.take(event)
            else:
                interpret(event)
    return events


def interpret(event: Pdu) -> None:
    if event.kind == ASSOCIATE_RQ:
        read_request(event.body)
    elif event.kind == ASSOCIATE_AC:
        read_answer(event.body)
    elif event.kind == ASSOCIATE_RJ:
        assert isinstance(rejection(event.body), AssociationError)


@pytest.mark.timeout(3600)
def test_mutated_pdus_raise_nothing_but_errors_of_ours() -> None:
    chance, whole, outcomes = random.Random(20261125), seeds(), {"read": 0, "refused": 0}
    for seed in whole:
        assert read(seed, chance)
    for _ in range(TRIES):
        data = mutated(b"".join(chance.choices(whole, k=chance.randint(1, 3))), chance)
        try:
            read(data, chance)
        except InvalidResponse:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert min(outcomes.values()) > TRIES // 20, outcomes
