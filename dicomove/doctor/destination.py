"""Evidence -> rows of the destination. Pure."""

from __future__ import annotations

from typing import Final

from dicomove.doctor.connection import ASK_FOR_LOG, NOT_IN_STUDY_ROOT, NOT_REACHED
from dicomove.doctor.evidence import KEYS_IGNORED, Answer, CheckRow, Evidence
from dicomove.words import ADVICE

_NONE: Final = "No destination was given."
#: A refused connection fails at once; a longer time means that the PACS waited for a connection that was dropped.
_LONG_S: Final = 1.0
_LEVEL: Final = "This PACS may not move single instances, as move does only for a retry: move one small study."
#: Remedies for errors with another likely cause than the PACS's entry of the destination.
_OTHER_REMEDIES: Final = {
    **dict.fromkeys(("association_aborted", "connection_lost", "invalid_response"), ASK_FOR_LOG),
    **dict.fromkeys(("identifier_mismatch", "not_supported"), _LEVEL),
}
_WAITED: Final = "The PACS waited: a firewall between the PACS and the destination, or a wrong host, is likely."
_AT_ONCE: Final = (
    "The PACS gave up at once: a wrong port, a destination that does not run, or an AE title that the PACS does not "
    "know (upper and lower case count), is likely."
)


def known(seen: Evidence) -> CheckRow:
    """Return whether the PACS knows the destination."""
    check, answer = "destination", seen.to_destination
    if seen.destination is None:
        return CheckRow(check, "skipped", _NONE)
    if seen.moved and seen.moved.error is None:
        return CheckRow(check, "ok", f"The PACS knows {seen.destination}: it sent an instance there.")
    if answer is None or seen.to_nowhere is None:
        if seen.search and seen.search.control_matches:
            return CheckRow(check, "skipped", "The PACS ignores keys of C-FIND: a move could bring its whole archive.")
        return CheckRow(check, "skipped", NOT_REACHED if seen.offered is None else NOT_IN_STUDY_ROOT)
    if answer.error == KEYS_IGNORED:
        found = (
            "The PACS moved instances for a study that cannot exist: it ignores the key. dicomove cancelled the move."
        )
        return CheckRow(check, "failed", found, "Do not move from this PACS before its administrator has mended this.")
    if "destination_unknown" in (answer.error, seen.moved.error if seen.moved else None):
        return CheckRow(
            check, "failed", f"The PACS does not know the AE title {seen.destination}.", _unknown_remedy(seen)
        )
    if answer.error and answer.status is None:
        return CheckRow(check, "failed", f"C-MOVE got no answer ({answer.error}).", _allow(seen))
    if answer.meaning == seen.to_nowhere.meaning:
        found = (
            f"A move that matches nothing does not show it: the PACS answers {answer.status or answer.error} for "
            f"{seen.destination}, and also for an AE title that cannot exist."
        )
        remedy = None if seen.asked_to_move else "Give move_one=True: it moves one instance."
        return CheckRow(check, "skipped", found, remedy)
    if answer.error not in (None, "no_match"):
        return CheckRow(
            check, "failed", f"The PACS answered {answer.status or answer.error}.", ADVICE.get(answer.error)
        )
    return CheckRow(check, "ok", f"The PACS knows the AE title {seen.destination}.")


def asked(seen: Evidence) -> CheckRow:
    """Return whether the archive at the destination answers C-FIND, by which `move` looks for what has arrived."""
    check, answer = "C-FIND at destination", seen.at_archive
    if answer is None:
        return CheckRow(check, "skipped", f"{seen.destination} is not a Destination." if seen.destination else _NONE)
    if answer.error:
        remedy = "Check ask= of the Destination: doctor(ask) examines it in the same way."
        return CheckRow(check, "failed", f"{seen.archive}: {answer.text or answer.status or answer.error}", remedy)
    if seen.archive_matches:
        found = f"{seen.archive} gave {seen.archive_matches} answers to a search for a study that cannot exist."
        remedy = "It ignores keys: its answers do not show what has arrived. Give the AE title alone as destination."
        return CheckRow(check, "failed", found, remedy)
    return CheckRow(check, "ok", f"{seen.archive} answered after {1000 * answer.duration_s:.0f} ms.")


def one_instance(seen: Evidence) -> CheckRow:
    """Return whether the PACS moved one instance."""
    check, moved = "one instance", seen.moved
    if seen.destination is None:
        return CheckRow(check, "skipped", _NONE)
    if not seen.asked_to_move:
        return CheckRow(
            check, "skipped", "Nothing was moved.", "Give move_one=True: it moves one instance to the destination."
        )
    if moved is None:
        found = (
            NOT_REACHED if seen.has_instance or seen.search is None else "No instance was found that could be moved."
        )
        return CheckRow(check, "skipped", found)
    after = f"after {moved.duration_s:.1f} s"
    if moved.error is None:
        where = "It is on disk" if seen.receiver_port else "The PACS says that it was moved"
        return CheckRow(check, "ok", f"{where} {after}.")
    found = f"The move failed {after} ({', '.join(filter(None, (moved.status, moved.error)))}). {moved.text}".strip()
    if moved.error == "destination_unknown":
        return CheckRow(check, "failed", found, _unknown_remedy(seen))
    if moved.error == "unconfirmed":
        return CheckRow(check, "warning", found, "Look into the destination, or move to a Receiver, which counts.")
    remedy = _allow(seen) if moved.error == "not_authorized" else _OTHER_REMEDIES.get(moved.error)
    return CheckRow(check, "failed", found, remedy or _entry_remedy(seen, moved))


def connection_back(seen: Evidence) -> CheckRow:
    """Return whether the PACS connected to the receiver."""
    check, arrival = "connection back", seen.arrival
    if seen.receiver_port is None:
        return CheckRow(check, "skipped", "The destination is not a Receiver." if seen.destination else _NONE)
    if arrival and arrival.was_there:
        found = (
            f"The PACS connected, and sent an instance that was there already. It first came from {arrival.address} as "
            f"{arrival.calling_ae_title}, in {arrival.transfer_syntax}."
        )
        return CheckRow(check, "ok", found)
    if arrival:
        found = (
            f"The PACS connected from {arrival.address} as {arrival.calling_ae_title}, and sent "
            f"{arrival.transfer_syntax}."
        )
        return CheckRow(check, "ok", found)
    if seen.moved is None and seen.reach_problem:
        problem = f"{seen.reach_problem[0].upper()}{seen.reach_problem[1:]}".partition(": ")
        return CheckRow(check, "warning", f"{problem[0]}.", f"{problem[2][0].upper()}{problem[2][1:]}.")
    if seen.moved is None:
        return CheckRow(
            check, "skipped", "Nothing was moved.", "Give move_one=True." if not seen.asked_to_move else None
        )
    if seen.refused:
        addresses = ", ".join(seen.refused)
        found = f"The receiver refused connections from {addresses}, which is not the address of the PACS."
        remedy = f"If these are nodes of the PACS, give Receiver(..., allow={list(seen.refused)!r})."
        return CheckRow(check, "failed", found, remedy)
    found = f"No instance came to the receiver at port {seen.receiver_port}."
    if seen.moved.error == "destination_unknown":
        return CheckRow(check, "failed", found, _unknown_remedy(seen))
    remedy = (
        f"The PACS's entry has to be: {_entry(seen)}. A firewall has to let the PACS connect to this port. In a "
        "container, behind NAT or in a VPN, the PACS may need another address of this machine."
    )
    return CheckRow(check, "failed", found, remedy)


def _allow(seen: Evidence) -> str:
    ours = f"{seen.pacs.calling_ae_title}, address {seen.own_address}"
    return f"Ask the administrator to allow C-MOVE for our AE title {ours}."


def _unknown_remedy(seen: Evidence) -> str:
    if seen.destination_accepted:
        return f"Upper and lower case count here. The PACS knows {seen.destination_accepted}: write it so."
    return f"{_register(seen)} Upper and lower case count."


def _register(seen: Evidence) -> str:
    if seen.receiver_port is None:
        return f"Ask the administrator to register {seen.destination} as a destination, with its host and port."
    return f"Ask the administrator to register the receiver: {_entry(seen)}."


def _entry(seen: Evidence) -> str:
    return f"AE title {seen.destination}, host {seen.receiver_host}, port {seen.receiver_port}"


def _entry_remedy(seen: Evidence, moved: Answer) -> str:
    entry = _entry(seen) if seen.receiver_port else f"the host and the port at which {seen.destination} listens"
    why = _WAITED if moved.duration_s >= _LONG_S else _AT_ONCE
    return f"Ask the administrator to compare the PACS's entry with this: {entry}. {why}"
