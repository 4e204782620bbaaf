"""Which addresses may connect: those of the PACS whose rows are in flight, and those that `allow=` names."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from dicomove.outcome.evidence import Refusal, RefusalKind
from dicomove.receiver.api import RowId

#: Different refusals that are kept until they are told, and the length of a reason.
_MOST_KINDS: Final = 200
_LONGEST_REASON: Final = 300
_MANY: Final = "it was refused for many reasons"
#: Why a peer is refused whose address no row in flight names.
NOT_ADMITTED: Final = "its address is not that of a PACS with rows in flight, and allow= does not name it"

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
    """Decides which addresses may connect, and counts the peers that are turned away.

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
        self._refused: Counter[Refusal] = Counter()
        self._undecided: set[object] = set()
        self._decided = threading.Condition()

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
        """Whether a peer may connect that comes from one address to one of ours."""
        address = plain(peer)
        with self._lock:
            is_allowed = self._anybody or any(address in allowed for allowed in self._allow)
            return is_allowed or self._expects(address, plain(own))

    def refuse(self, address: str, kind: RefusalKind, reason: str, ae_title: str = "") -> None:
        """Count a peer that is turned away: before it learns that, so that a verdict on its row knows it."""
        refusal = Refusal(str(plain(address)), ae_title, kind, reason[:_LONGEST_REASON])
        with self._lock:
            if refusal not in self._refused and len(self._refused) >= _MOST_KINDS:
                # One that says something else each time takes no memory.
                refusal = refusal._replace(ae_title="", reason=_MANY)
            self._refused[refusal] += 1

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Let verdicts wait: the peer may learn that it is turned away before that can be counted, as TLS alerts do."""
        one = object()
        with self._decided:
            self._undecided.add(one)
        try:
            yield
        finally:
            with self._decided:
                self._undecided.discard(one)
                self._decided.notify_all()

    @property
    def is_decided(self) -> bool:
        """Whether no decision has begun."""
        return not self._undecided

    def wait_until_decided(self, seconds: float) -> None:
        """Wait for the decisions that have begun: for so many seconds, as a peer may never end its handshake."""
        with self._decided:
            begun = frozenset(self._undecided)
            self._decided.wait_for(lambda: begun.isdisjoint(self._undecided), seconds)

    def refused(self) -> list[tuple[Refusal, int]]:
        """Return which peers were refused since this was asked last, and how often."""
        with self._lock:
            counts, self._refused = list(self._refused.items()), Counter()
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
