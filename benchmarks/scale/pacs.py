"""A PACS that costs next to nothing: C-MOVE moves one instance at once, and C-FIND finds nothing."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final

from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import MaximumLengthNotification

_HEADER: Final = struct.Struct(">BxI")
_RELEASED: Final = b"\x06\x00" + struct.pack(">II", 4, 0)
_C_MOVE_RQ: Final = 0x0021
_RESPONSE: Final = 0x8000
_NO_DATA_SET: Final = 0x0101


@contextmanager
def answers_at_once() -> Iterator[int]:
    """Run it in a process of its own, and yield its port."""
    ours, its = get_context("spawn").Pipe()
    process = get_context("spawn").Process(target=_serve, args=(its,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(parent: Connection) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        parent.send(listener.getsockname()[1])
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_associate, args=(client,), daemon=True).start()


def _associate(client: socket.socket) -> None:
    with client, client.makefile("rb") as stream, suppress(OSError):
        while header := stream.read(_HEADER.size):
            kind, length = _HEADER.unpack(header)
            body = stream.read(length)
            match kind:
                case 1:
                    client.sendall(_accepted(header + body))
                case 4:
                    client.sendall(b"".join(_answers(body)))
                case 5:
                    client.sendall(_RELEASED)
                    return
                case _:
                    return


def _accepted(request: bytes) -> bytes:
    """Accept all that is proposed (PS3.8 9.3.3)."""
    asked = A_ASSOCIATE_RQ()
    asked.decode(request)
    primitive = asked.to_primitive()
    accepted = []
    for proposed in primitive.presentation_context_definition_list:
        context = build_context(str(proposed.abstract_syntax), proposed.transfer_syntax[0])
        context.context_id, context.result = proposed.context_id, 0
        accepted.append(context)
    primitive.presentation_context_definition_results_list = accepted
    primitive.result, primitive.result_source = 0, 1
    for item in primitive.user_information:
        if isinstance(item, MaximumLengthNotification):
            item.maximum_length_received = 0
    answer = A_ASSOCIATE_AC()
    answer.from_primitive(primitive)
    encoded: bytes = answer.encode()
    return encoded


_asked = threading.local()


def _answers(body: bytes) -> Iterator[bytes]:
    """Yield the final response when an identifier is whole (PS3.7 9.3.4.2); its command set came before it."""
    at = 0
    while at < len(body):
        length, context, control = struct.unpack_from(">IBB", body, at)
        value = body[at + 6 : at + 4 + length]
        at += 4 + length
        if control & 1:
            _asked.command = _command(value)
        elif control & 2:
            yield _response(context, _asked.command)


def _command(encoded: bytes) -> dict[int, bytes]:
    """Return the elements of a command set, by element number (PS3.7 6.3.1)."""
    elements, at = {}, 0
    while at < len(encoded):
        _, element, length = struct.unpack_from("<HHI", encoded, at)
        elements[element] = encoded[at + 8 : at + 8 + length]
        at += 8 + length
    return elements


def _response(context: int, asked: dict[int, bytes]) -> bytes:
    (command_field,) = struct.unpack("<H", asked[0x0100])
    short = {0x0100: command_field | _RESPONSE, 0x0800: _NO_DATA_SET, 0x0900: 0}
    if command_field == _C_MOVE_RQ:
        short |= {0x1021: 1, 0x1022: 0, 0x1023: 0}
    elements = {0x0002: asked[0x0002], 0x0120: asked[0x0110]}
    elements |= {element: struct.pack("<H", value) for element, value in short.items()}
    parts = [struct.pack("<HHI", 0, element, len(value)) + value for element, value in sorted(elements.items())]
    body = b"".join(parts)
    command = struct.pack("<HHII", 0, 0, 4, len(body)) + body
    pdv = struct.pack(">IBB", len(command) + 2, context, 3) + command
    return struct.pack(">BxI", 4, len(pdv)) + pdv
