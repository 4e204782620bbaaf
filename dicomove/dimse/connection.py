"""A TCP connection whose every wait has a deadline and can be stopped, and how it ends.

A socket that is closed is not gone: the system keeps it, with all that the peer has not read and the FIN behind it, for
minutes, and the peer does not learn that it ended. Measured on Linux: 4 MB for each such peer. Hence `reset`,
`bound_close` and `has_unread_output`.

The socket may be an `ssl.SSLSocket`, on either side: `secure` puts TLS over a connection that stands.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Final, Self

from dicomove.dimse.connecting import first_connected
from dicomove.errors import AssociationError, ConnectionFailed, ConnectionLost, ConnectTimeout, TlsFailed
from dicomove.tls import ENDED, Wrap, explained

#: The length of one wait, in seconds: a cancel is noticed, and a deadline holds, with this precision.
POLL: Final = 0.05

# Linux delays acknowledgements by 40 ms, and the sender's Nagle algorithm waits for them: 100 ms for a small study.
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
#: SO_LINGER with no time.
_NO_LINGER: Final = struct.pack("ii", 1, 0)

Check = Callable[[], None]


class Deadline:
    """A point in time after which waiting ends with an error.

    Parameters
    ----------
    seconds
        From now on; ``None`` is no limit.
    error
        The error to raise.
    doing
        Names the wait, for the text of the error.
    last_activity
        Returns when there was activity, on the monotonic clock: the time begins anew with each.
    """

    def __init__(
        self,
        seconds: float | None,
        error: type[AssociationError],
        doing: str,
        last_activity: Callable[[], float] | None = None,
    ) -> None:
        self._start = time.monotonic()
        self._seconds, self._error, self._doing = seconds, error, doing
        self._last_activity = last_activity

    def restart(self) -> None:
        """Let the time begin anew."""
        self._start = time.monotonic()

    def check(self) -> None:
        """Raise the error if the time has come."""
        if self._seconds is None or time.monotonic() < self._start + self._seconds:
            return
        if self._last_activity:
            self._start = max(self._start, self._last_activity())
        if time.monotonic() >= self._start + self._seconds:
            message = f"{self._doing}: nothing within {self._seconds:g} s"
            raise self._error(message)


class Deadlines:
    """All that may end a wait: deadlines, and a check that is made at every turn (for a cancel, say)."""

    def __init__(self, *deadlines: Deadline, check: Check | None = None) -> None:
        self._deadlines = deadlines
        self._check = check

    def check(self) -> None:
        """Make the check, and raise when a deadline has come."""
        if self._check:
            self._check()
        for deadline in self._deadlines:
            deadline.check()


class Connection:
    """A connected socket, read and written in small waits.

    Parameters
    ----------
    sock
        The socket. It is the connection's from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._broke: OSError | None = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(POLL)
        self._acknowledge_at_once()

    @classmethod
    def open(cls, host: str, port: int, seconds: float | None, check: Check | None = None) -> Self:
        """Connect to the first address of the host that answers; several are tried side by side (RFC 8305).

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
        deadline = Deadline(seconds, ConnectTimeout, f"connecting to {host}:{port}")
        try:
            return cls(first_connected(addresses, Deadlines(deadline, check=check).check))
        except OSError as error:
            message = f"no connection to {host}:{port}: {error.strerror or error}"
            raise ConnectionFailed(message) from error

    def secure(self, wrap: Wrap, deadlines: Deadlines) -> None:
        """Put TLS over the connection.

        Parameters
        ----------
        wrap
            Returns the TLS socket of a socket, on either side, without a handshake.
        deadlines
            Hold for the handshake.

        Raises
        ------
        TlsFailed
            The handshake failed.
        """
        try:
            secured = wrap(self._socket)
            self._socket = secured
            secured.settimeout(POLL)
            while not _has_shaken_hands(secured):
                deadlines.check()
        except OSError as error:
            raise _tls_failed(error) from error

    def send(self, data: bytes, deadlines: Deadlines) -> None:
        """Send everything, or raise `ConnectionLost` or what `deadlines` raises."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                deadlines.check()
            except OSError as error:
                raise self._why_sending_failed(error) from error

    def receive(self, view: memoryview, deadlines: Deadlines) -> int:
        """Read at least one byte, and return how many; raise `ConnectionLost` or what `deadlines` raises."""
        deadlines.check()  # a peer that never pauses for long never lets us wait
        while True:
            try:
                count = self._read(view)
            except TimeoutError:
                deadlines.check()
                continue
            except ssl.SSLError as error:
                raise _tls_failed(error) from error
            except OSError as error:
                message = f"the connection broke: {error.strerror}"
                raise ConnectionLost(message) from error
            if not count:
                message = "the peer closed the connection"
                raise ConnectionLost(message)
            self._acknowledge_at_once()
            return count

    def receive_now(self, view: memoryview) -> int | None:
        """Read what has come already and return how many bytes, ``None`` for nothing; 0 where the connection ended.

        With TLS, bytes on the wire need not be bytes of the peer: only reading tells.
        """
        if self._has_nothing():
            return None
        self._socket.settimeout(0)
        try:
            return self._socket.recv_into(view)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return 0
        finally:
            with contextlib.suppress(OSError):
                self._socket.settimeout(POLL)

    def _has_nothing(self) -> bool:
        """Whether it is certain that nothing has come: one system call instead of three."""
        is_unknown = isinstance(self._socket, ssl.SSLSocket) or not hasattr(select, "poll")  # not on Windows
        if is_unknown or self._socket.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def has_unread_output(self) -> bool:
        """Whether the peer has not taken all that was sent; ``False`` where the system does not tell."""
        try:
            import fcntl
            import termios
        except ImportError:  # not on Windows
            return False
        try:
            (unread,) = struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))
        except (OSError, ValueError):  # it is closed
            return False
        return bool(unread)

    def bound_close(self, seconds: float) -> None:
        """Let the system keep what a peer has not read for so long after the end, and no longer."""
        if _USER_TIMEOUT is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, max(1, round(seconds * 1000)))

    def cut(self) -> None:
        """End the connection from another thread: a wait for it ends too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close with a RST: the peer learns it at once, and the system keeps nothing for it."""
        reset(self._socket)

    def close(self) -> None:
        """Close the socket, whatever state it is in."""
        self._socket.close()

    def _read(self, view: memoryview) -> int:
        """Wait for the next bytes; with TLS, read all that have come."""
        if self._broke:
            raise self._broke
        count = self._socket.recv_into(view)
        if count and isinstance(self._socket, ssl.SSLSocket):
            count += self._read_records(self._socket, view[count:])
        return count

    def _read_records(self, secured: ssl.SSLSocket, view: memoryview) -> int:
        """Read what has come in further records.

        Each read returns one record, of 16 KiB at the most. With all that happens between two reads of a message, a
        record would take several times as long as its deciphering does. The end of the connection is left to the next
        read: OpenSSL sends nothing after it.
        """
        count, more = 0, 1
        secured.settimeout(0)
        try:
            while more and count < len(view) and socket.socket.recv(secured, 1, socket.MSG_PEEK):
                more = secured.recv_into(view[count:])
                count += more
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:  # the system tells it only once, and what came before it counts
            self._broke = error
        finally:
            with contextlib.suppress(OSError):
                secured.settimeout(POLL)
        return count

    def _why_sending_failed(self, error: OSError) -> ConnectionLost:
        if isinstance(self._socket, ssl.SSLSocket):
            # With TLS 1.3, the peer looks at our certificate after the handshake: its alert is still to be read.
            try:
                self._socket.recv(1)
            except ssl.SSLError as alert:
                return _tls_failed(alert)
            except OSError:
                pass
        return ConnectionLost(f"the connection broke while sending: {error.strerror}")

    def _acknowledge_at_once(self) -> None:
        # The kernel forgets this setting whenever it likes, so it is armed again after each read.
        if _QUICKACK is not None:
            try:  # noqa: SIM105 (suppress() takes as long as the call, and there are thousands per second)
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError:
                pass


def reset(sock: socket.socket) -> None:
    """Close a socket with a RST."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    sock.close()


def _has_shaken_hands(secured: ssl.SSLSocket) -> bool:
    try:
        secured.do_handshake()
    except TimeoutError:
        return False
    return True


def _tls_failed(error: OSError) -> TlsFailed:
    said = explained(error)
    return TlsFailed(said, permanent=said != ENDED)
