"""What becomes of an instance: its place in the folder, its row in the index, and the Status of the answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicomove.outcome.arrivals import DAMAGED, UNREQUESTED
from dicomove.receiver.accounts import Account, Accounts, Fate
from dicomove.receiver.incoming import Incoming, Origin
from dicomove.receiver.keeper import Keeper, Kept
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.shelf import Placed, Shelf, Written
from dicomove.store.instances import KEYS, InstanceRecord

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700

_NEEDED: Final = ("SpecificCharacterSet", "SOPClassUID", *KEYS)
_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")

logger = logging.getLogger("dicomove.receiver")


@dataclass(frozen=True, slots=True)
class Finished:
    """An instance that has come, and where it went: nowhere, if the disk did not take it."""

    incoming: Incoming
    values: Mapping[str, str]
    written: Written
    placed: Placed | None

    @property
    def status(self) -> int:
        """The Status of the answer."""
        return SUCCESS if self.placed else OUT_OF_RESOURCES


class Storage:
    """Stores instances for the rows that asked for them, and puts aside the rest.

    Parameters
    ----------
    shelf
        The folder.
    template
        The paths in it.
    keeper
        Makes them durable.
    accounts
        The rows.
    accept_any
        Also what no row asked for has its place in the folder.
    """

    def __init__(
        self, shelf: Shelf, template: PathTemplate, keeper: Keeper, accounts: Accounts, *, accept_any: bool
    ) -> None:
        self._shelf, self._template, self._keeper, self._accounts = shelf, template, keeper, accounts
        self._accept_any = accept_any
        self._wanted = [tag_for_keyword(name) or 0 for name in {*_NEEDED, *template.keywords}]
        self._lock = threading.Lock()
        self._coming: set[Incoming] = set()
        self.unrequested = 0

    @property
    def folder(self) -> Path:
        """Where the instances are."""
        return self._shelf.folder

    def begin(self, origin: Origin) -> Incoming:
        """Return the instance that is about to come."""
        follow, check_free = self._keeper.follow, self._shelf.check_free
        incoming = Incoming(origin, self._shelf.temporary(), self._wanted, follow, check_free)
        incoming.open()
        with self._lock:
            self._coming.add(incoming)
        return incoming

    def abandon(self, incoming: Incoming) -> None:
        """Forget an instance whose association ended before it had come."""
        incoming.discard()
        self._gone(incoming)

    def finish(self, incoming: Incoming) -> Finished:
        """Place an instance that has come; `note` it once the peer has its answer.

        Success whenever it is safe, also in quarantine: some PACS drop the rest of a study when one is refused.
        """
        incoming.flush()
        found = incoming.values()
        values = {**found, "SOPInstanceUID": found.get("SOPInstanceUID") or incoming.origin.sop_instance_uid}
        written = incoming.written()
        placed = None
        if incoming.failure is None:
            try:
                placed = self._place(written, values, self._reason(incoming, found))
            except OSError as error:
                incoming.fail(error)
        if placed is None:
            logger.warning("an instance cannot be stored: %s", incoming.failure)
        return Finished(incoming, values, written, placed)

    def note(self, finished: Finished) -> None:
        """Write down what became of an instance: while the peer prepares the next one, which it waited for else."""
        incoming, placed = finished.incoming, finished.placed
        fate = _fate(placed)
        try:
            if placed:
                self._keep(finished, placed)
        except OSError as error:
            logger.warning("an instance cannot be recorded: %s", error)
            fate = "refused"
        finally:
            incoming.close()
        if fate == "unrequested":
            with self._lock:
                self.unrequested += 1
        reason = placed.reason if placed and placed.disposition == "quarantined" else None
        self._accounts.arrived(finished.values, fate, incoming.size, reason)
        self._gone(incoming)

    def is_coming(self, account: Account) -> bool:
        """Whether an instance is on its way that may be of this row."""
        with self._lock:
            return any(account.may_be_of(incoming.values()) for incoming in self._coming)

    def coming(self) -> list[tuple[dict[str, str], int]]:
        """Return what is known of the instances on their way, and how many bytes of them have come."""
        with self._lock:
            return [(incoming.values(), incoming.size) for incoming in self._coming]

    def _gone(self, incoming: Incoming) -> None:
        with self._lock:
            self._coming.discard(incoming)

    def _place(self, written: Written, values: Mapping[str, str], reason: str | None) -> Placed:
        relative = self._template.relative(values)
        if reason:
            return self._shelf.quarantine(written, relative.name, reason)
        return self._shelf.place(written, relative, self._keeper.recorded)

    def _keep(self, finished: Finished, placed: Placed) -> None:
        if placed.disposition == "duplicate":
            finished.incoming.close()  # the file that is there is durable, or about to be
        entry = _entry(finished, placed)
        digest = None if entry.sha256 else finished.incoming.digest
        self._keeper.give(Kept(finished.incoming.hand_over(), entry, digest))

    def _reason(self, incoming: Incoming, values: Mapping[str, str]) -> str | None:
        """Return why an instance goes to quarantine, if it does."""
        problem = incoming.problem()
        if problem:
            return DAMAGED + problem
        absent = [name for name in _UIDS if not values.get(name)]
        if absent:
            return f"{DAMAGED}no {', '.join(absent)}"
        if values["SOPInstanceUID"] != incoming.origin.sop_instance_uid:
            return f"{DAMAGED}the C-STORE names another instance than its data set"
        return None if self._accept_any else self._accounts.why_unrequested(values)


def _fate(placed: Placed | None) -> Fate:
    if placed is None:
        return "refused"
    if placed.disposition == "quarantined":
        reason = placed.reason or ""
        if reason.startswith(DAMAGED):
            return "damaged"
        return "unrequested" if reason.startswith(UNREQUESTED) else "differs"
    return placed.disposition


def _entry(finished: Finished, placed: Placed) -> InstanceRecord:
    origin, values, written = finished.incoming.origin, finished.values, finished.written
    return InstanceRecord(
        path=placed.path,
        bytes=written.size,
        # Of what came again it is known; else it is taken beside the thread that reads the network.
        sha256=written.sha256 if placed.disposition == "duplicate" else "",
        SOPClassUID=values.get("SOPClassUID") or origin.sop_class_uid,
        TransferSyntaxUID=origin.transfer_syntax_uid,
        PatientID=values.get("PatientID", ""),
        StudyInstanceUID=values.get("StudyInstanceUID", ""),
        SeriesInstanceUID=values.get("SeriesInstanceUID", ""),
        SOPInstanceUID=values.get("SOPInstanceUID", ""),
        calling_ae_title=origin.calling_ae_title,
        address=origin.address,
        move_originator_ae_title=origin.move_originator_ae_title,
        move_originator_message_id=origin.move_originator_message_id,
        received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        quarantine=placed.reason if placed.disposition == "quarantined" else None,
    )
