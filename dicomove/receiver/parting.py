"""How a connection ends whose peer may never read what is still on its way to it.

A socket that is closed is not gone: the system keeps it, with all that the peer has not read and the FIN behind it, for
minutes, and the peer does not learn that it ended. Measured on Linux: 4 MB for each such peer.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Final

#: Answers have a hundred bytes each: these are hundreds of them.
_SEND_BUFFER: Final = 1 << 16
_RESET: Final = struct.pack("ii", 1, 0)
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


def bound_answers(listening: socket.socket) -> None:
    """Limit what the system keeps for a peer of answers that it does not read: set before anybody connects."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)


def is_deaf(client: socket.socket) -> bool:
    """Whether the peer has not taken all that was sent; ``False`` where the system does not tell."""
    try:
        import fcntl
        import termios
    except ImportError:  # not on Windows
        return False
    try:
        (unread,) = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))
    except OSError:  # it is closed
        return False
    return bool(unread)


def reset(client: socket.socket) -> None:
    """Close with a RST: the peer learns it at once, and the system keeps nothing for it."""
    with suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.close()


def limit_farewell(client: socket.socket, seconds: float) -> None:
    """Let the system keep what a peer has not read for so long after the end, and no longer."""
    if _USER_TIMEOUT is not None:
        with suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, max(1, round(seconds * 1000)))
