"""A TCP connection whose every wait has a limit and can be stopped."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Final, Self

from dicomove.errors import AssociationError, ConnectionFailed, ConnectionLost, ConnectTimeout

#: How often a wait looks up, in seconds: a cancel is noticed, and a limit holds, with this precision.
POLL: Final = 0.05

# Linux delays acknowledgements by 40 ms, and the sender's Nagle algorithm waits for them: 100 ms for a small study.
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


class Limit:
    """A point in time after which waiting ends with an error.

    Parameters
    ----------
    seconds
        From now on; ``None`` is no limit.
    error
        What to raise.
    doing
        What took too long, for its text.
    sign_of_life
        Returns when there was one, on the monotonic clock: the time begins anew with each.
    """

    def __init__(
        self,
        seconds: float | None,
        error: type[AssociationError],
        doing: str,
        sign_of_life: Callable[[], float] | None = None,
    ) -> None:
        self._start = time.monotonic()
        self._seconds, self._error, self._doing = seconds, error, doing
        self._sign_of_life = sign_of_life

    def check(self) -> None:
        """Raise the error if the time has come."""
        if self._seconds is None or time.monotonic() < self._start + self._seconds:
            return
        if self._sign_of_life:
            self._start = max(self._start, self._sign_of_life())
        if time.monotonic() >= self._start + self._seconds:
            message = f"{self._doing}: nothing within {self._seconds:g} s"
            raise self._error(message)


class Watch:
    """What may end a wait: limits, and a look that is taken at every turn (a cancel, say)."""

    def __init__(self, *limits: Limit, look: Callable[[], None] | None = None) -> None:
        self.limits = list(limits)
        self._look = look

    def tick(self) -> None:
        """Take a look, and raise when a limit has come."""
        if self._look:
            self._look()
        for limit in self.limits:
            limit.check()


class Connection:
    """A connected socket, read and written in small waits."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.bytes_received = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(POLL)
        self._acknowledge_at_once()

    @classmethod
    def open(cls, host: str, port: int, seconds: float | None, look: Callable[[], None] | None = None) -> Self:
        """Connect, to the first address of the host that answers; each has its share of the time.

        Raises
        ------
        ConnectionFailed
            Refused, no route, or an unknown host.
        ConnectTimeout
            No answer.
        """
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            message = f"{host!r} is not a known host"
            raise ConnectionFailed(message) from error
        problem: AssociationError = ConnectionFailed(f"{host!r} has no address")
        for family, kind, protocol, _, address in addresses:
            limit = Limit(seconds and seconds / len(addresses), ConnectTimeout, f"connecting to {host}:{port}")
            try:
                return cls(_connected(socket.socket(family, kind, protocol), address, Watch(limit, look=look)))
            except ConnectTimeout as error:
                problem = error
            except OSError as error:
                problem = ConnectionFailed(f"no connection to {host}:{port}: {error.strerror}")
        raise problem

    def send(self, data: bytes, watch: Watch) -> None:
        """Send everything, or raise `ConnectionLost` or what `watch` raises."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                watch.tick()
            except OSError as error:
                message = f"the connection broke while sending: {error.strerror}"
                raise ConnectionLost(message) from error

    def receive(self, size: int, watch: Watch) -> bytearray:
        """Return exactly so many bytes, or raise `ConnectionLost` or what `watch` raises."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            view = view[self.receive_some(view, watch) :]
        return buffer

    def receive_some(self, view: memoryview, watch: Watch) -> int:
        """Read at least one byte, and return how many; raise `ConnectionLost` or what `watch` raises."""
        watch.tick()  # a peer that never pauses for long never lets us wait
        while True:
            try:
                count = self._socket.recv_into(view)
            except TimeoutError:
                watch.tick()
                continue
            except OSError as error:
                message = f"the connection broke: {error.strerror}"
                raise ConnectionLost(message) from error
            if not count:
                message = "the peer closed the connection"
                raise ConnectionLost(message)
            self.bytes_received += count
            self._acknowledge_at_once()
            return count

    def is_quiet(self) -> bool:
        """Whether the connection stands and nothing has come that nobody read."""
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._socket.settimeout(POLL)
        return False

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        self._socket.close()

    def _acknowledge_at_once(self) -> None:
        # The kernel forgets this setting whenever it likes, so it is armed again after each read.
        if _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


def _connected(sock: socket.socket, address: object, watch: Watch) -> socket.socket:
    sock.settimeout(POLL)
    try:
        while not _is_connected(sock.connect_ex(address)):  # type: ignore[arg-type]  # typeshed wants the family's tuple
            watch.tick()
            time.sleep(0.01)
    except BaseException:
        sock.close()
        raise
    return sock


def _is_connected(code: int) -> bool:
    if code in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS, errno.EALREADY):
        return False
    if code not in (0, errno.EISCONN):
        raise OSError(code, os.strerror(code))
    return True
