"""Whether another process has the folder or the port: refused at once, unless that process is about to end."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dicomove.errors import ReceiverError
from dicomove.processes import UNKNOWN_S, Process, patience_s, port_owner
from dicomove.receiver.settings import Settings
from dicomove.store.instances import check_folder

_LOOK_AGAIN_S: Final = 0.05
#: For which a port is waited for that no process of this user has: its process has just ended, say.
_HIDDEN_S: Final = 0.3


def check_free(settings: Settings, own: Process, open_here: Iterable[Settings] = ()) -> None:
    """Wait for a receiver that is about to end, as after a restart of the kernel: it has the folder and the port.

    Parameters
    ----------
    settings
        The folder, and the port.
    own
        This process.
    open_here
        The other receivers of this process.

    Raises
    ------
    ReceiverError
        Another receiver or process has one of them, and keeps it. The text says which one, and what to do.
    """
    for other in open_here:
        if found := _taken_by(other, settings):
            message = f"{found}: call its close() first, or dicomove.receiver.close_receivers()"
            raise ReceiverError(message)
    if settings.port is not None:
        _wait_for_port(settings.host, settings.port, own)
    check_folder(Path(settings.folder), own)


def _wait_for_port(host: str, port: int, own: Process) -> None:
    owner, since = None, time.monotonic()
    while _is_taken(host, port):
        now = port_owner(port)
        if now != owner:  # as where it has ended since, and the port is about to be free
            owner, since = now, time.monotonic()
        if time.monotonic() - since >= _patience_s(owner, own):
            named = owner or "another process, and the system does not tell which"
            message = f"port {port} is taken by {named}: end it, or choose another port and tell the PACS"
            raise ReceiverError(message)
        time.sleep(_LOOK_AGAIN_S)


def _taken_by(other: Settings, settings: Settings) -> str | None:
    """Return what another receiver of this process has taken."""
    if Path(other.folder).resolve() == Path(settings.folder).resolve():
        return f"the folder {settings.folder} is taken by another receiver of this process"
    if settings.port is not None and other.port == settings.port and _is_taken(settings.host, settings.port):
        return f"port {settings.port} is taken by another receiver of this process, for {other.folder}"
    return None


def _is_taken(host: str, port: int) -> bool:
    is_ipv6 = ":" in host
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:  # as the receiver does
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::" or not socket.has_dualstack_ipv6())
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _patience_s(owner: Process | None, own: Process) -> float:
    """Return for how many seconds to wait for the process that has a port."""
    if owner is None:
        return _HIDDEN_S if own.is_alive else UNKNOWN_S
    if owner == own:
        return UNKNOWN_S
    started_by = _started_by(owner)
    return patience_s(started_by, own) if started_by else 0


def _started_by(owner: Process) -> Process | None:
    """Return the process that started a receiver; ``None`` of a process that is not a receiver's."""
    *_, program, _root, started_by = ["", "", "", *owner.arguments]
    return Process.read(started_by) if Path(program).parts[-2:] == ("receiver", "start.py") else None
