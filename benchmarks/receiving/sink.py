"""The ceiling: a process that answers every C-STORE with Success, and neither writes nor hashes a byte.

It speaks bytes, and shares no code with what it is compared with. Run as a program it prints its port; when its
standard input ends, it prints how many instances have come, and ends.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from itertools import count

_BUFFER = 1 << 20
_APPLICATION = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION = b"1.2.826.0.1.3680043.9.3811.0.0"
_C_STORE_RSP, _NO_DATA_SET = 0x8001, 0x0101
_SOP_CLASS, _MESSAGE_ID, _SOP_INSTANCE = (0, 0x0002), (0, 0x0110), (0, 0x1000)


def main() -> None:
    """Serve until standard input ends."""
    options = _options()
    taken = count()
    server = socket.create_server((options.host, 0), backlog=64)
    threading.Thread(target=_listen, args=(server, options.max_pdu, taken), daemon=True).start()
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
    print(json.dumps({"instances": next(taken)}), flush=True)


def _listen(server: socket.socket, max_pdu: int, taken: Iterator[int]) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_serve, args=(Stream(client), max_pdu, taken), daemon=True).start()


def _serve(stream: Stream, max_pdu: int, taken: Iterator[int]) -> None:
    try:
        _converse(stream, max_pdu, taken)
    except OSError:
        pass  # that is how the peer says goodbye
    finally:
        stream.close()


class Stream:
    """A socket that is read in large pieces, and acknowledges them at once."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._memory = bytearray(_BUFFER)
        self._view = memoryview(self._memory)
        self._start = self._end = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def take(self, size: int) -> bytes:
        """Read so many bytes, which are few."""
        while self._end - self._start < size:
            rest = self._end - self._start
            self._view[:rest] = bytes(self._view[self._start : self._end])
            self._start, self._end = 0, rest
            self._fill(rest)
        self._start += size
        return bytes(self._view[self._start - size : self._start])

    def skip(self, size: int) -> None:
        """Read so many bytes and forget them."""
        size -= self._end - self._start
        while size > 0:
            self._fill(0)
            size -= self._end
        self._start = self._end + min(size, 0)

    def send(self, data: bytes) -> None:
        """Send a short message."""
        self._socket.sendall(data)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _fill(self, at: int) -> None:
        received = self._socket.recv_into(self._view[at:])
        if not received:
            message = "the peer closed the connection"
            raise ConnectionError(message)
        self._end = at + received
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _converse(stream: Stream, max_pdu: int, taken: Iterator[int]) -> None:
    kind, length = _pdu(stream)
    stream.send(_accept(stream.take(length), max_pdu))
    command = b""
    while True:
        kind, length = _pdu(stream)
        if kind == 5:  # A-RELEASE-RQ
            stream.skip(length)
            stream.send(struct.pack(">BxIxxxx", 6, 4))
        if kind != 4:  # P-DATA-TF
            return
        while length:
            size, context, flags = struct.unpack(">IBB", stream.take(6))
            length -= size + 4
            if flags & 1:
                command += stream.take(size - 2)
                continue
            stream.skip(size - 2)
            if flags & 2:
                stream.send(_success(context, command))
                next(taken)
                command = b""


def _pdu(stream: Stream) -> tuple[int, int]:
    kind, length = struct.unpack(">BxI", stream.take(6))
    return kind, length


def _accept(request: bytes, max_pdu: int) -> bytes:
    """Encode A-ASSOCIATE-AC: every context is accepted, with the transfer syntax that comes first."""
    items = [_item(0x10, _APPLICATION)]
    for kind, value in _items(request, 68):
        if kind == 0x20:
            syntax = next(name for part, name in _items(value, 4) if part == 0x40)
            items.append(_item(0x21, value[:1] + bytes(3) + _item(0x40, syntax)))
    items.append(_item(0x50, _item(0x51, struct.pack(">I", max_pdu)) + _item(0x52, _IMPLEMENTATION)))
    body = request[:68] + b"".join(items)
    return struct.pack(">BxI", 2, len(body)) + body


def _items(data: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    while start < len(data):
        kind, length = struct.unpack_from(">BxH", data, start)
        yield kind, data[start + 4 : start + 4 + length]
        start += 4 + length


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _success(context: int, request: bytes) -> bytes:
    """Encode C-STORE-RSP."""
    asked = dict(_elements(request))
    command = b"".join(
        [
            _element(0x0002, asked[_SOP_CLASS]),
            _element(0x0100, struct.pack("<H", _C_STORE_RSP)),
            _element(0x0120, asked[_MESSAGE_ID]),
            _element(0x0800, struct.pack("<H", _NO_DATA_SET)),
            _element(0x0900, struct.pack("<H", 0)),
            _element(0x1000, asked[_SOP_INSTANCE]),
        ]
    )
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    return struct.pack(">BxIIBB", 4, len(command) + 6, len(command) + 2, context, 3) + command


def _elements(data: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    start = 0
    while start < len(data):
        group, element, length = struct.unpack_from("<HHI", data, start)
        yield (group, element), data[start + 8 : start + 8 + length]
        start += 8 + length


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, element, len(value)) + value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--max-pdu", type=int, default=1 << 17)
    return parser.parse_args()


if __name__ == "__main__":
    main()
