"""Connects to the first address of a host that answers: tries them side by side, with short delays (RFC 8305)."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

#: Seconds until the next address is tried, if the previous ones have not answered (RFC 8305, section 5).
_APART_S: Final = 0.25
_POLL_S: Final = 0.05

#: Family, kind, protocol, canonical name and address, as `socket.getaddrinfo` has them.
AddressInfo = tuple[Any, Any, int, str, Any]


def first_connected(addresses: Iterable[AddressInfo], check: Callable[[], None]) -> socket.socket:
    """Connect to the first address that answers.

    Parameters
    ----------
    addresses
        The addresses, the preferred one first.
    check
        Called at every turn; an exception ends the wait.

    Raises
    ------
    OSError
        No address can be connected to; the error is that of the last one.
    """
    untried, problem = deque(addresses), OSError("the host has no address")
    next_at = time.monotonic()
    with selectors.DefaultSelector() as trying:
        try:
            while untried or trying.get_map():
                check()
                if untried and (time.monotonic() >= next_at or not trying.get_map()):
                    next_at = time.monotonic() + _APART_S
                    try:
                        begun = _begun(untried.popleft())
                        trying.register(begun, selectors.EVENT_WRITE, begun)
                    except OSError as error:
                        problem = error
                for key, _ in trying.select(_POLL_S) if trying.get_map() else ():
                    sock: socket.socket = trying.unregister(key.fileobj).data
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        return sock
                    sock.close()
                    problem, next_at = OSError(code, os.strerror(code)), time.monotonic()
        finally:
            for key in list(trying.get_map().values()):
                key.data.close()
    raise problem


def _begun(info: AddressInfo) -> socket.socket:
    """Return a socket that is being connected."""
    family, kind, protocol, _, address = info
    sock = socket.socket(family, kind, protocol)
    sock.settimeout(0)
    try:
        sock.connect(address)
    except BlockingIOError:
        pass
    except BaseException:
        sock.close()
        raise
    return sock
