"""PS3.7: encodes and decodes command sets, and assembles messages from fragments.

dicomove decodes command sets without pydicom: peers send empty counts and values that are too short. Such a value
counts as absent, and must not cause a warning or an exception in the middle of an exchange.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from dicomove.dimse.charset import printable
from dicomove.dimse.pdu import Fragment
from dicomove.errors import InvalidResponse

C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_MOVE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0010, 0x0020, 0x0021, 0x0030, 0x0FFF
RESPONSE: Final = 0x8000
NO_DATA_SET: Final = 0x0101
MEDIUM: Final = 0
_PENDING: Final = (0xFF00, 0xFF01)

# PS3.7 E.1: the elements that dicomove reads or writes; an encoded command set is in this order.
_ELEMENTS: Final = {
    "AffectedSOPClassUID": (0x0002, "UI"),
    "CommandField": (0x0100, "US"),
    "MessageID": (0x0110, "US"),
    "MessageIDBeingRespondedTo": (0x0120, "US"),
    "MoveDestination": (0x0600, "AE"),
    "Priority": (0x0700, "US"),
    "CommandDataSetType": (0x0800, "US"),
    "Status": (0x0900, "US"),
    "ErrorComment": (0x0902, "LO"),
    "AffectedSOPInstanceUID": (0x1000, "UI"),
    "NumberOfRemainingSuboperations": (0x1020, "US"),
    "NumberOfCompletedSuboperations": (0x1021, "US"),
    "NumberOfFailedSuboperations": (0x1022, "US"),
    "NumberOfWarningSuboperations": (0x1023, "US"),
    "MoveOriginatorApplicationEntityTitle": (0x1030, "AE"),
    "MoveOriginatorMessageID": (0x1031, "US"),
}
_BY_NUMBER: Final = {number: (keyword, vr) for keyword, (number, vr) in _ELEMENTS.items()}
_UNKNOWN: Final = ("", "")
_ELEMENT_HEADER: Final = struct.Struct("<HHI")
_NUMBER_ELEMENT: Final = struct.Struct("<HHIH")
_NUMBER_BYTES: Final = 2
#: Replaces a header that is cut off. Its group is not that of command sets.
_CUT_OFF: Final = (1, 0, 0)

_LONGEST_COMMAND: Final = 1 << 16
#: The longest data set in memory. A list of as many failed instances as a count can name has 4 MiB.
LONGEST_DATA: Final = 1 << 26
_SUCCESS, _UNRECOGNIZED_OPERATION = 0x0000, 0x0211
#: Characters of a value of VR LO (PS3.5 6.2).
_LONGEST_COMMENT: Final = 64

Command = Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Message:
    """One DIMSE message: its command set, and its encoded data set."""

    context_id: int
    command: Command
    data: bytes | None = None

    def number(self, keyword: str) -> int | None:
        """Return a number of the command set; ``None`` if it is absent or empty."""
        value = self.command.get(keyword)
        return value if isinstance(value, int) else None

    def text(self, keyword: str) -> str | None:
        """Return a text of the command set; ``None`` if it is absent or empty."""
        value = self.command.get(keyword)
        return value if isinstance(value, str) and value else None


#: Takes a part of a data set; the view is valid until the call returns, or until the buffer behind it is written to.
Sink = Callable[[memoryview], object]


class MessageAssembler:
    """Puts the messages of one association together.

    Parameters
    ----------
    contexts
        The numbers of the accepted presentation contexts.
    begin
        Called when the command set of a message has come and a data set follows; returns a function that takes the
        parts of the data set as they come. By default, the assembler gathers them, up to 64 MiB.
    """

    def __init__(self, contexts: Container[int], begin: Callable[[Message], Sink] | None = None) -> None:
        self._contexts, self._begin = contexts, begin
        self._command, self._data = bytearray(), bytearray()
        self._message: Message | None = None
        self._sink: Sink | None = None
        self._context_id: int | None = None
        self._has_begun = self._has_data = False
        self._kept: Fragment | None = None

    @property
    def is_midway(self) -> bool:
        """Whether a part of a message has come, and `take` and `resume` have not returned the message."""
        return self._context_id is not None or self._kept is not None

    @property
    def announced(self) -> Message | None:
        """The message whose command set has come, and whose data set has not ended yet."""
        return self._message

    @property
    def doubtful(self) -> Message | None:
        """A message whose data set was not announced, or is of no use to us, as long as no part of it has come."""
        if (begun := self._message) is None or self._has_data:
            return None
        field = begun.number("CommandField") or 0
        is_used = field == C_STORE_RQ or field & RESPONSE
        return None if is_used and _announces_data_set(begun.command) else begun

    def give_up(self) -> Message | None:
        """Return the message whose data set is doubtful, if there is one, without a data set."""
        begun = self.doubtful
        return self._end(begun) if begun else None

    def resume(self) -> Message | None:
        """Take the fragment at which `take` ended the previous message; return the message that ends there, if any."""
        kept, self._kept = self._kept, None
        return self.take(kept) if kept else None

    def take(self, fragment: Fragment) -> Message | None:
        """Return the message that ends with this fragment, if one does.

        Raises
        ------
        InvalidResponse
            A fragment that cannot be the next one, a command set that cannot be decoded, or one without an end.
        """
        begun = self._message
        if begun and fragment.is_command and (self.doubtful or (begun.number("CommandField") or 0) & RESPONSE):
            # The announced data set does not come: the next message has begun.
            self._kept = fragment._replace(data=memoryview(bytes(fragment.data)))
            return self._end(begun)
        if self._context_id is None:
            self._context_id = fragment.context_id
        if self._is_unannounced(fragment):
            self._context_id = None if fragment.is_last else fragment.context_id
            return None
        if fragment.context_id not in self._contexts:
            message = "a message came in a presentation context that was not accepted"
            raise InvalidResponse(message)
        if fragment.is_command == (begun is not None):
            message = "the fragments of a message came in a wrong order"
            raise InvalidResponse(message)
        if fragment.context_id != self._context_id:
            message = "the fragments of a message came in different presentation contexts"
            raise InvalidResponse(message)
        if begun is None:
            return self._take_command(fragment)
        self._has_data = True
        if self._sink:
            self._sink(fragment.data)
        else:
            self._gather(fragment.data)
        return self._end(begun) if fragment.is_last else None

    def _is_unannounced(self, fragment: Fragment) -> bool:
        """Whether a fragment belongs to a data set after a message that announced none. The assembler ignores it."""
        if fragment.is_command or fragment.context_id != self._context_id or fragment.context_id not in self._contexts:
            return False
        return self._has_begun and self._message is None and not self._command

    def _take_command(self, fragment: Fragment) -> Message | None:
        self._command += fragment.data
        if len(self._command) > _LONGEST_COMMAND:
            message = "a command set that does not end"
            raise InvalidResponse(message)
        if not fragment.is_last:
            return None
        begun = Message(fragment.context_id, decode_command(self._command))
        self._command.clear()
        self._has_begun, self._has_data = True, False
        if not has_data_set(begun.command):
            self._context_id = None
            return begun
        self._message = begun
        self._sink = self._begin(begun) if self._begin else None
        return None

    def _gather(self, data: memoryview) -> None:
        self._data += data
        if len(self._data) > LONGEST_DATA:
            message = "a data set that does not end"
            raise InvalidResponse(message)

    def _end(self, begun: Message) -> Message:
        data, self._data = self._data, bytearray()
        self._message = self._sink = self._context_id = None
        return begun if self._begin else replace(begun, data=bytes(data))


def has_data_set(command: Command) -> bool:
    """Whether a data set follows this command set (PS3.7 E.1, Command Data Set Type).

    One follows a C-STORE-RQ and a pending C-FIND-RSP, even if the command set does not announce it.
    """
    if _announces_data_set(command) or command.get("CommandField") == C_STORE_RQ:
        return True
    return command.get("CommandField") == C_FIND_RQ | RESPONSE and command.get("Status") in _PENDING


def _announces_data_set(command: Command) -> bool:
    return command.get("CommandDataSetType", NO_DATA_SET) != NO_DATA_SET


def is_response_to(response: Message, message_id: int) -> bool:
    """Whether a response belongs to the request with this number.

    Some archives leave out the Message ID Being Responded To, or write 0. The numbers of our requests begin at 1.
    """
    return response.number("MessageIDBeingRespondedTo") in (message_id, None, 0)


def respond(
    request: Message,
    status: int,
    *,
    data: bytes | None = None,
    comment: str = "",
    counts: Mapping[str, int | str | None] = MappingProxyType({}),
) -> Message:
    """Return the response to a request (PS3.7 9.1, 9.3).

    Parameters
    ----------
    request
        The request.
    status
        The DIMSE Status.
    data
        The encoded data set.
    comment
        The Error Comment.
    counts
        ``remaining``, ``completed``, ``failed`` and ``warning`` sub-operations; ``None`` leaves a count out, and ``""``
        sends it without a value.

    Examples
    --------
    >>> asked = Message(1, {"AffectedSOPClassUID": "1.2.840.10008.1.1", "CommandField": C_ECHO_RQ, "MessageID": 7})
    >>> hex(respond(asked, 0).number("CommandField")), respond(asked, 0).number("MessageIDBeingRespondedTo")
    ('0x8030', 7)
    """
    instance = request.text("AffectedSOPInstanceUID")
    command: Command = {
        "AffectedSOPClassUID": request.text("AffectedSOPClassUID") or "",
        "CommandField": (request.number("CommandField") or 0) | RESPONSE,
        "MessageIDBeingRespondedTo": request.number("MessageID") or 0,
        "Status": status,
        **({"ErrorComment": comment[:_LONGEST_COMMENT]} if comment else {}),
        **({"AffectedSOPInstanceUID": instance} if instance else {}),
        **{f"NumberOf{name.title()}Suboperations": count for name, count in counts.items() if count is not None},
    }
    return Message(request.context_id, command, data)


def status_without_service(field: int) -> int:
    """Return the Status of the answer to a request that asks for no service of ours (PS3.7 9.3.5, C.5.23)."""
    return _SUCCESS if field == C_ECHO_RQ else _UNRECOGNIZED_OPERATION


def encode_command(message: Message) -> bytes:
    """Return the command set of a message, with its group length, in Implicit VR Little Endian (PS3.7 6.3.1)."""
    command = {**message.command, "CommandDataSetType": NO_DATA_SET if message.data is None else 1}
    elements = b"".join([_element(keyword, command[keyword]) for keyword in _ELEMENTS if keyword in command])
    return _ELEMENT_HEADER.pack(0, 0, 4) + struct.pack("<I", len(elements)) + elements


def decode_command(data: bytes | bytearray) -> dict[str, int | str]:
    """Return the known elements of a command set; those without a value are left out.

    It accepts Explicit VR, elements of other groups after the Command Field, and zeros at the end.

    Raises
    ------
    InvalidResponse
        The bytes are not a command set.
    """
    command: dict[str, int | str] = {}
    content, start, size = bytes(data), 0, len(data)
    while start < size:
        begin, end = start, start + _ELEMENT_HEADER.size
        group, number, length = _ELEMENT_HEADER.unpack_from(content, start) if end <= size else _CUT_OFF
        if end + length > size and content[end - 4 : end - 2].isupper():
            length >>= 16  # Explicit VR: the VR stands before a length of 16 bits
        start = end + length
        if start > size or (group != 0 and "CommandField" not in command):
            if command and not any(content[begin:]):
                break  # padding
            message = "a command set that cannot be decoded"
            raise InvalidResponse(message)
        if group != 0:
            continue
        keyword, vr = _BY_NUMBER.get(number, _UNKNOWN)
        if vr == "US":
            if length >= _NUMBER_BYTES:
                command[keyword] = int.from_bytes(content[end : end + _NUMBER_BYTES], "little")
        elif vr and (text := _text(vr, content[end:start])):
            command[keyword] = text
    return command


# Consecutive messages have the same elements, except for the Message ID.
@lru_cache(maxsize=1024)
def _element(keyword: str, value: int | str) -> bytes:
    number, vr = _ELEMENTS[keyword]
    if vr == "US":
        if value != "":
            return _NUMBER_ELEMENT.pack(0, number, _NUMBER_BYTES, value)
        content = b""
    else:
        content = str(value).encode("ascii", "replace")
        content += (b"\0" if vr == "UI" else b" ") * (len(content) % 2)
    return _ELEMENT_HEADER.pack(0, number, len(content)) + content


def _text(vr: str, content: bytes) -> str:
    # It ends at the first NUL, as an AE title of an association does: programs that pad with NUL may leave other bytes.
    value = content.split(b"\0")[0]
    return printable(value) if vr == "LO" else value.decode("ascii", "replace").strip(" ")
