"""The column ``advice``: remarks on a row, and remedies that depend on the arrivals at a receiver. Pure.

The remarks are about instances in quarantine or with another PatientID, and about refused peers. `dicomove.words` has
the remedies that depend on the error word alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from dicomove.outcome.evidence import Evidence, Refusal, Retrieval, surplus
from dicomove.outcome.patients import AMONG_THEM, NONE_AT_ALL
from dicomove.words import ADVICE

#: The first words of the reason of an instance in quarantine.
DAMAGED: Final = "damaged: "
OTHER_PATIENT: Final = "of another PatientID: "
UNREQUESTED: Final = "unrequested"

#: The most reasons of one kind, or refusals, in an advice.
_MOST_TOLD: Final = 3
_MOST_ADDRESSES: Final = 10

_NAME_ONE: Final = "the row names no PatientID, and its UID may be that of two patients at the PACS"
_COMPARE: Final = "is it the same patient? discrepancies() of the receiver names the instances"

#: Error words for which an instance in quarantine may be the better explanation.
_EXPLAINED: Final = frozenset({"missing_instances", "some_failed", "all_failed", "unable_to_process"})
#: Error words for which a refusal by the receiver may be the better explanation.
_REFUSED: Final = _EXPLAINED | {"out_of_resources", "not_authorized"}
#: For a row without arrivals, the name of its advice by the kind of refusal; the first one counts.
_REMEDIES: Final = {
    "defect": "internal_error",
    "ae_title": "refused_ae_title",
    "tls": "refused_tls",
    "request": "refused_request",
    "busy": "refused_busy",
    "address": "refused",
}

#: Stands for a key of the patient if C-FIND had no answer.
NOT_COMPARED: Final = "not compared"
_UNCOMPARED: Final = (
    "The row was not compared with the PACS (its patient, its accession number, the UIDs above it), because C-FIND had "
    "no answer."
)


def remarks(evidence: Evidence) -> list[str]:
    """Return the remarks on a row with any outcome."""
    return [
        *_of_other_patients(evidence.others, "carry", "are on disk all the same, since the row names them by UID"),
        *([_NAME_ONE] if any(reason == AMONG_THEM for reason, _ in evidence.others) else []),
        *([_COMPARE] if evidence.others else []),
        *_of_other_patients(_of_kind(evidence.aside, OTHER_PATIENT), "came with", "went to quarantine"),
        *_damaged(evidence.aside),
        *_differing(evidence.aside),
        *_remarked(evidence.remarked),
    ]


def of_several_patients(patients: int) -> str:
    """Return the remark on rows that name one study and several patients."""
    if patients < 2:
        return ""
    return "the rows that ask for this name different PatientIDs, and it is of one patient only"


def of_other_person(key: str | None) -> str:
    """Return the remark on a patient's key for which the PACS has another value, or on `NOT_COMPARED`."""
    if key == NOT_COMPARED:
        return _UNCOMPARED
    return (
        f"the PACS has this study under another {key} than the row names: is it the same patient? find() with the "
        f"StudyInstanceUID alone shows the PACS's {key}"
        if key
        else ""
    )


def was_compared(advice: str | None) -> bool:
    """Return whether the advice on a row does not say that it was not compared."""
    return _UNCOMPARED not in (advice or "")


def as_compared(advice: str | None) -> str | None:
    """Return the advice on a row without the remark that it was not compared."""
    return (advice or "").replace(_UNCOMPARED, "").strip() or None


def of_surplus(evidence: Evidence) -> str:
    """Return the remark on a PACS that moved more instances than there should be, to where nothing shows which."""
    if not surplus(evidence):
        return ""
    return (
        f"the PACS moved {evidence.counts.moved} instances, and there should be {evidence.expected}: it may have moved "
        "more than the row names, also of other patients. Look into the destination"
    )


def of_short_list(evidence: Evidence) -> str:
    """Return the remark on a PACS that counts more instances than it lists."""
    if evidence.counted is None:
        return ""
    return f"the PACS counts {evidence.counted} instances and lists {evidence.expected}: dicomove relies on the list"


def of_unrequested(evidence: Evidence) -> str:
    """Return the remark on instances that came during the move, and that no row had asked for."""
    count = _total(evidence.without_row)
    if not count:
        return ""
    problems = _of_kind(evidence.without_row, DAMAGED)
    reasons = f" ({_told(problems)})" if problems else ""
    return f"{count} came meanwhile that no row had asked for, and {_are(count)} in quarantine{reasons}"


def remedy(word: str, evidence: Evidence) -> str | None:
    """Return the name of the advice that fits the arrivals better than the error word; ``None`` if there is none."""
    if word in _REFUSED and (refused := _refusal_remedy(evidence)):
        return refused
    if evidence.received is None or word not in _EXPLAINED:
        return _of_a_stop(word, evidence)
    missing = evidence.missing or 1
    others = _total(_of_kind(evidence.aside, OTHER_PATIENT))
    damaged = _total(_of_kind(evidence.aside, DAMAGED))
    if others >= missing:
        return "other_patient"
    if others + damaged >= missing:
        return "damaged"
    if others + damaged:
        return "some_damaged"
    return _of_what_never_came(evidence) if word == "missing_instances" else _of_a_stop(word, evidence)


def _of_a_stop(word: str, evidence: Evidence) -> str | None:
    """Return the name of the advice where the PACS reaches the destination, and stops in the middle."""
    has_begun = bool(evidence.arrivals or evidence.counts.moved) and evidence.method != "get"
    return "stopped" if word == "unable_to_process" and has_begun else None


def _of_what_never_came(evidence: Evidence) -> str | None:
    if _differing(evidence.aside) and (evidence.arrivals or 0) >= (evidence.expected or 1):
        return "same_uid"
    if _total(evidence.without_row) and not evidence.arrivals:
        return "without_row"
    return "nothing_came" if evidence.arrivals == 0 and evidence.counts.moved else None


def _of_other_patients(found: Iterable[tuple[str, int]], verb: str, where: str) -> list[str]:
    return [
        f"{count} {verb} no PatientID, and {where}"
        if reason == NONE_AT_ALL
        else f"{count} {verb} another PatientID than the other images, and {where}"
        if reason == AMONG_THEM
        else f"{count} {verb} another PatientID than the row (it differs {reason}), and {where}"
        for reason, count in found
    ]


def _damaged(aside: Iterable[tuple[str, int]]) -> list[str]:
    found = _of_kind(aside, DAMAGED)
    count = _total(found)
    return [f"{count} came damaged and {_are(count)} in quarantine: {_told(found)}"] if found else []


def _differing(aside: Iterable[tuple[str, int]]) -> list[str]:
    found = [(reason, count) for reason, count in aside if not reason.startswith((DAMAGED, OTHER_PATIENT))]
    return [f"{count} {_are(count)} in quarantine: {reason}" for reason, count in found]


def _remarked(remarked: Iterable[tuple[str, int]]) -> list[str]:
    found = list(remarked)
    return [f"{_total(found)} of the instances on disk: {_told(found)}"] if found else []


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _of_kind(aside: Iterable[tuple[str, int]], kind: str) -> list[tuple[str, int]]:
    return [(reason.removeprefix(kind), count) for reason, count in aside if reason.startswith(kind)]


def _total(found: Iterable[tuple[str, int]]) -> int:
    return sum(count for _, count in found)


def _told(found: list[tuple[str, int]]) -> str:
    if len(found) == 1:
        return found[0][0]
    most = sorted(found, key=lambda pair: -pair[1])
    told = [f"{reason} ({count})" for reason, count in most[:_MOST_TOLD]]
    more = [f"{_total(most[_MOST_TOLD:])} for other reasons"] if most[_MOST_TOLD:] else []
    return ", ".join([*told, *more])


def remarks_on_refusals(refusals: Iterable[Refusal]) -> list[str]:
    """Return sentences about refused peers, with the reasons.

    Examples
    --------
    >>> remarks_on_refusals([Refusal("10.0.0.7", "PACS", "ae_title", "it called OLD, this receiver is DICOMOVE")])
    ['the receiver turned away PACS at 10.0.0.7: it called OLD, this receiver is DICOMOVE']
    """
    every = list(refusals)
    others = [one for one in every if one.kind != "address"]
    told = [f"the receiver turned away {_peer(one)}: {one.reason}" for one in others[:_MOST_TOLD]]
    if len(others) > _MOST_TOLD:
        told.append(f"it turned away {len(others) - _MOST_TOLD} more: see refused of the receiver")
    if named := list(dict.fromkeys(one.address for one in every if one.kind == "address")):
        more = [f"{len(named) - _MOST_ADDRESSES} more addresses"] if named[_MOST_ADDRESSES:] else []
        where = ", ".join([*named[:_MOST_ADDRESSES], *more])
        told.append(f"connections from {where} were refused: if the PACS sends from there, give allow to the receiver")
    return told


def _refusal_remedy(evidence: Evidence) -> str | None:
    """Return the name of the advice for a row without arrivals because of a refusal; ``None`` if there was none."""
    if evidence.received or evidence.arrivals or evidence.aside or not evidence.refusals or evidence.method == "get":
        return None
    kinds = {one.kind for one in evidence.refusals}
    return next(remedy for kind, remedy in _REMEDIES.items() if kind in kinds)


def _peer(refusal: Refusal) -> str:
    return f"{refusal.ae_title} at {refusal.address}" if refusal.ae_title else refusal.address


#: The remedies that replace the advice of the error word, because of the arrivals at the receiver.
BETTER_ADVICE: Final = {
    "damaged": "The PACS would send the same bytes another time: show the reason to its administrator.",
    "some_damaged": "Move the row again for the missing instances. Those in quarantine would arrive in the same way.",
    "same_uid": "Several images of the PACS have one SOP Instance UID, and would arrive so another time: show this to "
    "its administrator. existing='keep_both' of the Receiver keeps all of them.",
    "refused": "Move the row again once the receiver accepts these addresses.",
    "refused_ae_title": "Ask the PACS's administrator to correct the AE title of the receiver (upper and lower case "
    "count), or give this ae_title to the Receiver.",
    "refused_tls": "Compare tls= of the Receiver, and its certificates, with the PACS's entry for it: both sides "
    "have to use TLS, or neither.",
    "refused_request": "The receiver could not read it. Is this peer the PACS? Then please report it with the log.",
    "refused_busy": "Move the row again later, or raise associations of the receiver's limits.",
    "stopped": "The PACS gave no standardised reason, and stopped in the middle: look into its log. Move the row again "
    "for the rest. Orthanc 1.12 stops at an image that it cannot decompress, unless its entry of the destination has "
    "AllowTranscoding: false.",
    "without_row": "Do they belong to this row, with other identifiers? The manifest of the receiver names them.",
    "nothing_came": "The PACS reports moved instances, but none arrived: ask its administrator whether it has another "
    "host or port for this AE title.",
}

#: The remedies for C-GET, where the images come on the association of the request, and not to an AE title.
GET_ADVICE: Final = {
    "destination_unknown": "The PACS answered a C-GET with a status of C-MOVE (0xA801): look into its log, or use "
    "method='move'.",
    "out_of_resources": "The PACS is overloaded, or it cannot send the images back on the association of the C-GET. "
    "Try again later with fewer rows at a time, or use method='move'.",
    "unable_to_process": "The PACS gave no standardised reason: look into its log. Often the PACS does not allow C-GET "
    "for our AE title, or cannot send these SOP classes and transfer syntaxes back on the same association.",
    "not_authorized": "The PACS does not allow this for our AE title: ask its administrator to allow C-GET.",
    "tls_failed": "Check tls= of Pacs, and the certificates of both sides.",
    "all_failed": "The PACS could not send a single instance back on the association of the C-GET. Its log says why; "
    "method='move' is the other way.",
    "some_failed": "The PACS could not send some instances back on the association of the C-GET. Move the row again "
    "once. If the same instances fail again, the PACS cannot send their SOP class or transfer syntax, or cannot read "
    "them: look into its log, or use method='move'.",
    "nothing_came": "The PACS reports sent instances, but none came on the association of the C-GET: look into its "
    "log, or use method='move'.",
}

#: The remedies for C-FIND and C-ECHO, which move no images.
FIND_ADVICE: Final = {
    "destination_unknown": "The PACS answered with a status of C-MOVE (0xA801): look into its log.",
    "out_of_resources": "The PACS is overloaded, or the search matches too much. Try again later, or with more keys.",
    "unable_to_process": "The PACS gave no standardised reason: look into its log.",
    "not_authorized": "The PACS does not allow this for our AE title: ask its administrator.",
    "association_aborted": "The PACS aborted the association: look into its log.",
    "connection_lost": "The connection ended without an answer: the PACS restarted, a firewall closed it, or the PACS "
    "does not know our AE title.",
    "idle_timeout": "The PACS was silent for too long: ask again, or raise idle_timeout and first_response_timeout.",
}

_ADVICE_BY_METHOD: Final = {"get": GET_ADVICE, "find": FIND_ADVICE}

#: Reasons of A-ASSOCIATE-RJ that do not concern AE titles (PS3.8 Table 9-21, source 3).
_FULL: Final = ("local limit exceeded", "temporary congestion")
_TOO_MANY: Final = (
    "The PACS has as many associations as it allows, with those of other clients. Try again later, or with a lower "
    "concurrency."
)
NOT_ATTEMPTED: Final = "The run ended before it reached this row: run it again."


def sentences(*parts: str) -> str:
    """Join parts as sentences.

    Examples
    --------
    >>> sentences("the row names RX", "", "Correct it.")
    'The row names RX. Correct it.'
    """
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".?!" else ".") for part in parts if part)


def advice_on(word: str, detail: str = "", destination: str = "", method: Retrieval | Literal["find"] = "move") -> str:
    """Return the advice for an error word, with the details of the case.

    Parameters
    ----------
    word
        The error word.
    detail
        The text of the error that ended the association.
    destination
        The AE title of the Move Destination.
    method
        ``"move"``, ``"get"`` or ``"find"``.

    Examples
    --------
    >>> advice_on("destination_unknown", destination="RX").partition(".")[0]
    'The PACS does not know the destination RX'
    >>> advice_on("destination_unknown").partition(".")[0]
    'The PACS does not know this destination'
    >>> advice_on("association_rejected", "(transient: local limit exceeded)").partition(",")[0]
    'The PACS has as many associations as it allows'
    >>> advice_on("not_authorized", method="get").rpartition(": ")[2]
    'ask its administrator to allow C-GET.'
    """
    if word == "association_rejected" and any(reason in detail.lower() for reason in _FULL):
        return _TOO_MANY
    if of_method := _ADVICE_BY_METHOD.get(method, {}).get(word):
        return of_method
    advice = ADVICE.get(word, "")
    if word == "destination_unknown" and destination:
        return advice.replace("this destination", f"the destination {destination}")
    return advice
