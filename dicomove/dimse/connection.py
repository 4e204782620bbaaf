"""A TCP connection. Each of its waits has a deadline and can be stopped.

To open it, all addresses of the host are tried side by side, with short delays (RFC 8305).

The system keeps a closed socket for minutes if the peer has not read all bytes, and the peer does not get the FIN. On
Linux, this takes 4 MB for each such peer. Hence `reset`, `bound_close` and `has_unread_output`.

The socket may be an `ssl.SSLSocket`, on either side: `secure` adds TLS to an open connection.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Self

from dicomove.dimse.deadlines import Check, Deadline, Deadlines
from dicomove.errors import ConnectionFailed, ConnectionLost, ConnectTimeout, TlsFailed
from dicomove.tls import Wrap, ended_without_reason, explained

#: The length of one wait, in seconds, which is the precision of cancels and deadlines.
_POLL: Final = 0.05
#: Seconds until the next address is tried, if the previous ones have not answered (RFC 8305, section 5).
_APART_S: Final = 0.25

# Linux delays acknowledgements by 40 ms, and the sender's Nagle algorithm waits for them: 100 ms for a small study.
_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
#: SO_LINGER with no time.
_NO_LINGER: Final = struct.pack("ii", 1, 0)

#: Family, kind, protocol, canonical name and address, as `socket.getaddrinfo` has them.
AddressInfo = tuple[Any, Any, int, str, Any]


class Connection:
    """A connected socket, read and written in small waits.

    Parameters
    ----------
    sock
        The socket, which the connection now owns.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._broke: OSError | None = None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(_POLL)
        self._acknowledge_at_once()

    @classmethod
    def open(cls, host: str, port: int, seconds: float | None, check: Check | None = None) -> Self:
        """Connect to the first address of the host that answers.

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
        """Add TLS with `wrap`, on either side; raise `TlsFailed`, or the error of a deadline of the handshake."""
        try:
            secured = wrap(self._socket)
            self._socket = secured
            secured.settimeout(_POLL)
            while True:
                try:
                    secured.do_handshake()
                except TimeoutError:
                    deadlines.check()
                else:
                    return
        except OSError as error:
            raise self._tls_failed(error) from error

    def send(self, data: bytes, deadlines: Deadlines) -> None:
        """Send everything; raise `ConnectionLost`, or the error of a deadline."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                deadlines.check()
            except OSError as error:
                raise self._why_sending_failed(error) from error

    def receive(self, view: memoryview, deadlines: Deadlines) -> int:
        """Read at least one byte, and return the number; raise `ConnectionLost`, or the error of a deadline."""
        deadlines.check()  # check also here, because there is no wait if the peer never pauses
        while True:
            try:
                count = self._read(view)
            except TimeoutError:
                deadlines.check()
                continue
            except ssl.SSLError as error:
                raise self._tls_failed(error) from error
            except OSError as error:
                message = f"the connection broke: {error.strerror}"
                raise ConnectionLost(message) from error
            if not count:
                message = "the peer closed the connection"
                raise ConnectionLost(message)
            self._acknowledge_at_once()
            return count

    def receive_now(self, view: memoryview) -> int | None:
        """Read the bytes that have come, and return their number; ``None`` if none have come, 0 at the end.

        With TLS, bytes on the wire may not be data of the peer; only reading shows it.
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
                self._socket.settimeout(_POLL)

    def _has_nothing(self) -> bool:
        """Whether certainly no bytes have come: one system call instead of three."""
        is_unknown = isinstance(self._socket, ssl.SSLSocket) or not hasattr(select, "poll")  # not on Windows
        if is_unknown or self._socket.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def has_unread_output(self) -> bool:
        """Whether the peer has not received all sent bytes; ``False`` if the system does not tell."""
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
        """Limit how long the system keeps unread bytes after the end."""
        if _USER_TIMEOUT is not None:
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, max(1, round(seconds * 1000)))

    def cut(self) -> None:
        """End the connection from another thread; waits for it end, too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close with a RST: the peer notices it at once, and the system keeps no bytes."""
        reset(self._socket)

    def close(self) -> None:
        """Close the socket, in any state."""
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
        """Read further records that have come.

        Each read returns one record, of at most 16 KiB. Our work between two reads of a message takes several times as
        long as the deciphering of a record, so several records are read at once. The next read reports the end of the
        connection: OpenSSL sends nothing after it.
        """
        count, more = 0, 1
        secured.settimeout(0)
        try:
            while more and count < len(view) and socket.socket.recv(secured, 1, socket.MSG_PEEK):
                more = secured.recv_into(view[count:])
                count += more
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError as error:  # the system reports it only once, but the bytes before it count
            self._broke = error
        finally:
            with contextlib.suppress(OSError):
                secured.settimeout(_POLL)
        return count

    def _why_sending_failed(self, error: OSError) -> ConnectionLost:
        if isinstance(self._socket, ssl.SSLSocket):
            # With TLS 1.3, the peer checks our certificate after the handshake, so its alert may still be unread.
            try:
                self._socket.recv(1)
            except ssl.SSLError as alert:
                return self._tls_failed(alert)
            except OSError:
                pass
        return ConnectionLost(f"the connection broke while sending: {error.strerror}")

    def _tls_failed(self, error: OSError) -> TlsFailed:
        is_receiver = isinstance(self._socket, ssl.SSLSocket) and self._socket.server_side
        return TlsFailed(explained(error, to_receiver=is_receiver), permanent=not ended_without_reason(error))

    def _acknowledge_at_once(self) -> None:
        # The kernel resets this setting at any time, so set it again after each read.
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


def first_connected(addresses: Iterable[AddressInfo], check: Callable[[], None]) -> socket.socket:
    """Connect to the first address that answers; raise the error of the last one, or that of `check` at any turn."""
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
                for key, _ in trying.select(_POLL) if trying.get_map() else ():
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
