"""The steps of a script, each a small frozen value."""

# ruff: noqa: D102 (the docstring of a step's class describes its call)
from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from dicomove.dimse.messages import C_MOVE_RQ, Message, respond
from dicomove.dimse.pdu import ASSOCIATE_RQ, RELEASE_RQ
from dicomove.testing.raw import pdus
from dicomove.testing.raw.peer import RawConnection, Step

PENDING: Final = 0xFF00


@dataclass(frozen=True, slots=True)
class ReadPdu:
    """Read one PDU of any type."""

    def __call__(self, connection: RawConnection) -> None:
        connection.read_pdu()


@dataclass(frozen=True, slots=True)
class ReadBytes:
    """Read `count` bytes."""

    count: int

    def __call__(self, connection: RawConnection) -> None:
        connection.read(self.count)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Read a whole request, which later steps answer. If the client releases instead, answer and end the script."""

    def __call__(self, connection: RawConnection) -> None:
        connection.read_request()


@dataclass(frozen=True, slots=True)
class Silence:
    """Send nothing, and read on until the other side leaves. Every script ends with this step."""

    def __call__(self, connection: RawConnection) -> None:
        connection.read_to_end()


@dataclass(frozen=True, slots=True)
class StopReading:
    """Send and read nothing for some time.

    Parameters
    ----------
    seconds
        The time.
    """

    seconds: float = 3600

    def __call__(self, connection: RawConnection) -> None:
        connection.pause(self.seconds)


@dataclass(frozen=True, slots=True)
class Send:
    """Send these bytes."""

    data: bytes

    def __call__(self, connection: RawConnection) -> None:
        connection.send(self.data)


@dataclass(frozen=True, slots=True)
class Drip:
    """Send these bytes slowly.

    Parameters
    ----------
    data
        The bytes.
    size
        The number of bytes at a time.
    interval_s
        Seconds between two sends.
    """

    data: bytes
    size: int = 1
    interval_s: float = 0.05

    def __call__(self, connection: RawConnection) -> None:
        for start in range(0, len(self.data), self.size):
            connection.send(self.data[start : start + self.size])
            connection.pause(self.interval_s)


@dataclass(frozen=True, slots=True)
class Repeat:
    """Do a step again and again.

    Parameters
    ----------
    step
        The step.
    times
        The number of times; ``None`` repeats it until the other side leaves, or the time is over.
    """

    step: Step
    times: int | None = None

    def __call__(self, connection: RawConnection) -> None:
        done = 0
        while self.times is None or done < self.times:
            self.step(connection)
            done += 1


@dataclass(frozen=True, slots=True)
class FinishSending:
    """Send FIN, and go on reading: the other side gets all earlier bytes."""

    def __call__(self, connection: RawConnection) -> None:
        connection.finish_sending()


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection, as a process that ends does, or Orthanc for a request that it does not allow."""

    def __call__(self, connection: RawConnection) -> None:
        connection.leave()


@dataclass(frozen=True, slots=True)
class Reset:
    """End the connection with a RST, as after a crash or a firewall's timeout."""

    def __call__(self, connection: RawConnection) -> None:
        connection.leave(with_reset=True)


@dataclass(frozen=True, slots=True)
class Accept:
    """Read A-ASSOCIATE-RQ, and accept its presentation contexts.

    Parameters
    ----------
    result, transfer_syntax, max_pdu_length
        As in `pdus.associate_answer`.
    part
        The share of the answer to send, from 0 to 1.
    """

    result: int = 0
    transfer_syntax: str | None = None
    max_pdu_length: int | None = 0
    part: float = 1.0

    def __call__(self, connection: RawConnection) -> None:
        while connection.read_pdu()[0] != ASSOCIATE_RQ:
            pass
        answer = pdus.associate_answer(
            connection.associate,
            result=self.result,
            transfer_syntax=self.transfer_syntax,
            max_pdu_length=self.max_pdu_length,
        )
        connection.send(answer[: round(len(answer) * self.part)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """Answer the last request, correctly by default.

    Parameters
    ----------
    status
        The DIMSE Status; ``None`` leaves it out.
    completed, remaining
        Counts, for C-MOVE only.
    data
        The identifier as bytes; empty bytes announce an identifier without sending it.
    command_field
        The Command Field of another kind of response.
    message_id_shift
        A number to add to the Message ID of the response.
    context_id
        The number of another presentation context than the request's.
    fragment
        The most bytes in one PDU.
    """

    status: int | None = 0x0000
    completed: int | None = None
    remaining: int | None = None
    data: bytes | None = None
    command_field: int | None = None
    message_id_shift: int = 0
    context_id: int | None = None
    fragment: int = 16378

    def __call__(self, connection: RawConnection) -> None:
        connection.send(b"".join(map(pdus.p_data, self.pdvs(connection))))

    def pdvs(self, connection: RawConnection) -> list[bytes]:
        """Return the items of the response."""
        request = connection.request or Message(1, {"CommandField": C_MOVE_RQ, "MessageID": 1})
        counts = {"remaining": self.remaining, "completed": self.completed}
        is_move = request.number("CommandField") == C_MOVE_RQ
        response = respond(request, self.status or 0, counts=counts if is_move else {})
        command = {
            **response.command,
            "AffectedSOPClassUID": connection.abstract_syntax,
            "CommandField": self.command_field or response.command["CommandField"],
            "MessageIDBeingRespondedTo": (request.number("MessageID") or 0) + self.message_id_shift & 0xFFFF or 0xFFFF,
        }
        if self.status is None:
            del command["Status"]
        context_id = request.context_id if self.context_id is None else self.context_id
        return pdus.message_pdvs(context_id, command, self.data, self.fragment)


@dataclass(frozen=True, slots=True)
class InOnePdu:
    """Send several responses in one P-DATA-TF, which PS3.8 9.3.5 permits, but few peers expect."""

    responses: tuple[Respond, ...]

    def __call__(self, connection: RawConnection) -> None:
        connection.send(pdus.p_data(*(item for response in self.responses for item in response.pdvs(connection))))


@dataclass(frozen=True, slots=True)
class AwaitRelease:
    """Read until A-RELEASE-RQ, and leave the answer to the next step."""

    def __call__(self, connection: RawConnection) -> None:
        while connection.read_pdu()[0] != RELEASE_RQ:
            pass


@dataclass(frozen=True, slots=True)
class Associate:
    """Ask for an association, and read the answer.

    Parameters
    ----------
    abstract_syntax, transfer_syntax
        The abstract and the transfer syntax of presentation context 1.
    max_pdu_length
        The longest PDU that this side receives.
    """

    abstract_syntax: str
    transfer_syntax: str
    max_pdu_length: int = 16384

    def __call__(self, connection: RawConnection) -> None:
        contexts = {self.abstract_syntax: [self.transfer_syntax]}
        request = pdus.associate_request(connection.called_ae_title, contexts, max_pdu_length=self.max_pdu_length)
        connection.send(request)
        connection.read_pdu()


def garbage(count: int = 4096, seed: int = 0) -> Send:
    """Return a step that sends random bytes, the same for the same seed."""
    return Send(random.Random(seed).randbytes(count))


def damaged(data: bytes, seed: int = 0) -> Send:
    """Return a step that sends these bytes with up to four damaged places, the same for the same seed."""
    chance = random.Random(seed)
    made = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made) + 1)
        piece = made[at : at + chance.randint(1, 40)]
        other = bytes(byte ^ 1 << chance.randrange(8) for byte in piece[:1])
        made[at : at + len(piece)] = chance.choice([b"", piece * 2, other + piece[1:], chance.randbytes(len(piece))])
    return Send(bytes(made))
