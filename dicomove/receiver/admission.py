"""Which addresses may connect: those of the PACS whose rows are in flight, and those that `allow=` names."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Iterable

from dicomove.receiver.api import RowId

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(value: str) -> Network:
    """Return what ``allow=`` names: an address, or a network (``"10.1.0.0/16"``).

    Raises
    ------
    ValueError
        It is neither.
    """
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        message = f"allow: {value!r} is neither an IP address nor a network such as '10.1.0.0/16'"
        raise ValueError(message) from None


class Admission:
    """Decides which addresses may connect, and counts the others.

    Parameters
    ----------
    allow
        Networks from which every peer may connect.
    anybody
        Whether every peer may connect.
    """

    def __init__(self, allow: Iterable[Network], *, anybody: bool = False) -> None:
        self._allow, self._anybody = tuple(allow), anybody
        self._lock = threading.Lock()
        self._in_flight: dict[RowId, set[Address]] = {}
        self._until: dict[Address, float] = {}
        self._refused: Counter[str] = Counter()

    def open(self, row: RowId, addresses: Iterable[str]) -> None:
        """Admit the addresses of a PACS: one of its rows is in flight."""
        with self._lock:
            self._in_flight[row] = set(map(plain, addresses))

    def close(self, row: RowId, linger: float) -> None:
        """Admit them for so many seconds more, or until another row that is in flight is closed."""
        with self._lock:
            for address in self._in_flight.pop(row, ()):
                self._until[address] = time.monotonic() + linger

    def end(self, run: int) -> None:
        """Close the rows of a run that were never settled."""
        with self._lock:
            for row in [row for row in self._in_flight if row.run == run]:
                del self._in_flight[row]

    def admits(self, peer: str, own: str) -> bool:
        """Whether a peer may connect that comes from one address to one of ours; else it is counted."""
        address = plain(peer)
        with self._lock:
            is_allowed = self._anybody or any(address in allowed for allowed in self._allow)
            if is_allowed or self._expects(address, plain(own)):
                return True
            self._refused[str(address)] += 1
            return False

    def refused(self) -> dict[str, int]:
        """Return how many connections were refused since this was asked last, by address."""
        with self._lock:
            counts, self._refused = dict(self._refused), Counter()
        return counts

    def _expects(self, address: Address, own: Address) -> bool:
        if self._is_awaited(address):
            return True
        # A PACS on this machine may come from any of the machine's own addresses.
        is_local = address.is_loopback or address == own
        return is_local and any(awaited.is_loopback and self._is_awaited(awaited) for awaited in self._known())

    def _known(self) -> set[Address]:
        return {*self._until}.union(*self._in_flight.values())

    def _is_awaited(self, address: Address) -> bool:
        is_in_flight = any(address in addresses for addresses in self._in_flight.values())
        return is_in_flight or time.monotonic() < self._until.get(address, 0)


def plain(address: str) -> Address:
    """Return an address without its zone, and an IPv4 address that came over IPv6 as what it is."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found
