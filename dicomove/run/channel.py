"""One end of a connection between two processes: one thread reads it, others may write, and its end is in order."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any


class Channel:
    """Whole messages in and out.

    A socket that is closed while another thread reads it stays open until that read ends, which may be never; and its
    number is given to the next socket at once, so that the late reader takes bytes that were meant for that one. So
    only the thread that reads may close it, and others hang up.

    Parameters
    ----------
    connection
        The connection. Nothing else may read, write or close it from now on.
    """

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        # Two messages at once would be written into each other.
        self._writing = threading.Lock()
        self._ending = threading.Lock()
        self._closed = False

    def send(self, message: object, seconds: float = -1) -> None:
        """Send a message, unless the other end is gone: the thread that reads learns of that.

        Parameters
        ----------
        message
            Anything that can be pickled.
        seconds
            How long to wait for messages of other threads to be written; for ever, if it is negative.
        """
        if self._writing.acquire(timeout=seconds):
            try:
                if not self._closed:
                    with contextlib.suppress(OSError):
                        self._connection.send(message)
            finally:
                self._writing.release()

    def messages(self) -> Iterator[Any]:
        """Yield what comes, until the other end is gone or this one has hung up."""
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                return
            yield message

    def hang_up(self) -> None:
        """End the connection in both directions, which wakes the thread that reads; the socket itself stays."""
        with self._ending:
            if not self._closed:
                shared = socket.socket(fileno=self._connection.fileno())
                try:
                    with contextlib.suppress(OSError):
                        shared.shutdown(socket.SHUT_RDWR)
                finally:
                    shared.detach()

    def close(self) -> None:
        """Close it; for the thread that reads."""
        self.hang_up()  # a thread that writes would keep us waiting
        with self._writing, self._ending:
            self._closed = True
            self._connection.close()
