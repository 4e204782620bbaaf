"""The ceiling: a process that answers every C-STORE with Success, and keeps nothing, or writes a file and renames it.

It neither hashes nor records anything, and a file need not be durable. It speaks bytes, and shares no code with what it
is compared with. Run as a program it prints its port; when its standard input ends, it prints how many instances have
come, and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

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
    threading.Thread(target=_listen, args=(server, options, taken), daemon=True).start()
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
    print(json.dumps({"instances": next(taken)}), flush=True)


def _listen(server: socket.socket, options: argparse.Namespace, taken: Iterator[int]) -> None:
    while True:
        client, _ = server.accept()
        threading.Thread(target=_serve, args=(Stream(client), options, taken), daemon=True).start()


def _serve(stream: Stream, options: argparse.Namespace, taken: Iterator[int]) -> None:
    try:
        _converse(stream, options.max_pdu, options.keep, taken)
    except OSError:
        pass  # that is how the peer says ending
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

    def hand_on(self, size: int, write: Callable[[memoryview], object]) -> None:
        """Read so many bytes, and write them as they come."""
        while size > 0:
            if self._start == self._end:
                self._fill(0)
                self._start = 0
            part = self._view[self._start : min(self._end, self._start + size)]
            write(part)
            self._start += len(part)
            size -= len(part)

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


class File:
    """A file that gets its name when it is whole."""

    def __init__(self, path: Path) -> None:
        self._path, self._part = path, path.with_suffix(".part")
        self._descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def write(self, data: memoryview) -> None:
        """Write at the end."""
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Give it its name."""
        os.close(self._descriptor)
        self._part.rename(self._path)


def _converse(stream: Stream, max_pdu: int, folder: Path | None, taken: Iterator[int]) -> None:
    kind, length = _pdu(stream)
    stream.send(_accept(stream.take(length), max_pdu))
    command, file = b"", None
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
            if folder is None:
                stream.skip(size - 2)
            else:
                file = file or File(folder / _name(command))
                stream.hand_on(size - 2, file.write)
            if flags & 2:
                if file:
                    file.close()
                stream.send(_success(context, command))
                next(taken)
                command, file = b"", None


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


def _name(request: bytes) -> str:
    """Return the name of the file of a C-STORE-RQ."""
    return dict(_elements(request))[_SOP_INSTANCE].decode().rstrip("\0 ") + ".dcm"


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
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the data sets into this folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
