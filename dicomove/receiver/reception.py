"""One row while it is received: from before its C-MOVE is sent until what is on disk is known."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dicomove.receiver.receiver import Receiver


@dataclass(frozen=True, slots=True)
class OtherPatient:
    """An instance that has another PatientID than the row.

    Attributes
    ----------
    study_instance_uid, series_instance_uid, sop_instance_uid
        Its UIDs.
    difference
        In what the PatientID differs; neither of the two is told.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    difference: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What there is of a row.

    Attributes
    ----------
    arrivals
        Instances that came for it, also twice.
    fates
        How many of each fate: ``stored``, ``duplicate``, ``replaced``, ``kept_both``, ``differs``, ``damaged``,
        ``refused``, ``unrequested``.
    aside, strays
        Why what came for it, or meanwhile for no row, is in quarantine: how many for each reason.
    held
        The instances on disk, by SOP Instance UID, with their sizes.
    others
        The instances that have another PatientID than the row, on disk or in quarantine.
    refused
        Addresses that were not let in since the row began, with the number of their connections.
    restarted
        Whether the receiver's process died since the row began: for a moment, the PACS found nobody.
    """

    arrivals: int = 0
    fates: Mapping[str, int] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    strays: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    others: tuple[OtherPatient, ...] = ()
    refused: Mapping[str, int] = field(default_factory=dict)
    restarted: bool = False

    @property
    def bytes(self) -> int:
        """The size of what is on disk."""
        return sum(self.held.values())


class Reception:
    """What a receiver does for one row.

    Parameters
    ----------
    receiver
        The receiver.
    row
        A name that no other row has.
    keys
        The unique keys that the row names.
    host
        Where the PACS is.
    patients
        The PatientIDs that the row names beside its unique keys: what comes with another one is named.
    """

    def __init__(
        self, receiver: Receiver, row: str, keys: Mapping[str, str], host: str, patients: Collection[str] = ()
    ) -> None:
        self.row, self.keys, self._patients = row, dict(keys), list(patients)
        self.addresses = addresses(host)
        self._receiver = receiver
        self._refused = dict(receiver.refused)
        self._seen = (0, 0)
        self._heard_at = time.monotonic()
        self._pid = receiver.pid

    def open(self) -> None:
        """Let the PACS in, and count from now on."""
        self._receiver.ask("expect", row=self.row, keys=self.keys, addresses=self.addresses)

    def progress(self) -> tuple[int, int]:
        """Return instances and bytes that have come so far."""
        now = self._receiver.progress(self.row)
        if now != self._seen:
            self._seen, self._heard_at = now, time.monotonic()
        return now

    def heard_at(self) -> float:
        """Return when something came last, in seconds of the monotonic clock."""
        self.progress()
        return self._heard_at

    def held(self, *, read: bool = False) -> Mapping[str, int]:
        """Return what is on disk of it: SOP Instance UIDs and sizes; `read` compares the bytes with the record, too.

        Raises
        ------
        ReceiverError
            The receiver is gone for good.
        """
        return dict(self._receiver.ask("held", keys=self.keys, read=read))

    def settle(self, enough: int | None, quiet: float | None = None) -> Settled:
        """Wait until so many came, or for a quiet period, and return what there is.

        Raises
        ------
        ReceiverError
            The receiver is gone for good.
        """
        period = self._receiver.quiet_period
        found = self._receiver.ask(
            "settle",
            row=self.row,
            addresses=self.addresses,
            patients=self._patients,
            enough=enough,
            quiet=period if quiet is None else quiet,
            linger=period,
        )
        before = self._refused
        refused = {address: count - before.get(address, 0) for address, count in self._receiver.refused.items()}
        return Settled(
            arrivals=found["arrivals"],
            fates=found["fates"],
            aside=found["aside"],
            strays=found["strays"],
            held=dict(found["held"]),
            others=tuple(OtherPatient(*one) for one in found["others"]),
            refused={address: count for address, count in refused.items() if count},
            restarted=self._receiver.pid != self._pid,
        )


def addresses(host: str) -> list[str]:
    """Return the IP addresses of a host; none of one that is not known, to which no C-MOVE can be sent either."""
    try:
        return _addresses(host)
    except (OSError, UnicodeError):
        return []


@lru_cache(maxsize=64)
def _addresses(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})
