"""Advice that depends on the arrivals at a receiver; `dicomove.words` has all other advice."""

from __future__ import annotations

from typing import Final

from dicomove.outcome.evidence import Retrieval
from dicomove.words import ADVICE

#: Replaces the advice of the error word if the arrivals at the receiver tell more.
BETTER_ADVICE: Final = {
    "damaged": "The PACS would send the same bytes another time: show the reason to its administrator.",
    "some_damaged": "Move the row again for the missing instances. Those in quarantine would arrive in the same way.",
    "refused": "Move the row again once the receiver accepts these addresses.",
    "refused_ae_title": "Ask the PACS's administrator to correct the AE title of the receiver (upper and lower case "
    "count), or give this ae_title to the Receiver.",
    "refused_tls": "Both sides have to use TLS, or neither: compare tls= of the Receiver with the PACS's entry for it.",
    "refused_request": "The receiver could not read it. Is this peer the PACS? Then please report it with the log.",
    "refused_busy": "Move the row again later, or raise associations of the receiver's limits.",
    "strays": "Do they belong to this row, with other identifiers? The manifest of the receiver names them.",
    "nothing_came": "The PACS reports moved instances, but none arrived: ask its administrator whether it has another "
    "host or port for this AE title.",
}

#: Replaces both for C-GET, where the images come on the association of the request, and not to an AE title.
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

#: Reasons of A-ASSOCIATE-RJ that are no matter of AE titles (PS3.8 Table 9-21, source 3).
_FULL: Final = ("local limit exceeded", "temporary congestion")
_TOO_MANY: Final = (
    "The PACS has as many associations as it allows, with those of other clients. Try again later, or with a lower "
    "concurrency."
)
NOT_ATTEMPTED: Final = "The run ended before it reached this row: run it again."


def sentences(*parts: str) -> str:
    """Return the parts as sentences in a row.

    Examples
    --------
    >>> sentences("the row is empty", "", "Correct it.")
    'The row is empty. Correct it.'
    """
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".?!" else ".") for part in parts if part)


def advice_on(word: str, detail: str = "", destination: str = "", method: Retrieval = "move") -> str:
    """Return the advice for an error word, with what is known of the case.

    Parameters
    ----------
    word
        The error word.
    detail
        The text of the error that ended the association.
    destination
        The AE title of the Move Destination.
    method
        How the images were asked for.

    Examples
    --------
    >>> advice_on("destination_unknown", destination="RX").partition(".")[0]
    'The PACS does not know the destination RX'
    >>> advice_on("association_rejected", "(transient: local limit exceeded)").partition(",")[0]
    'The PACS has as many associations as it allows'
    >>> advice_on("not_authorized", method="get").rpartition(": ")[2]
    'ask its administrator to allow C-GET.'
    """
    if word == "association_rejected" and any(reason in detail.lower() for reason in _FULL):
        return _TOO_MANY
    if method == "get" and word in GET_ADVICE:
        return GET_ADVICE[word]
    advice = ADVICE.get(word, "")
    if word == "destination_unknown" and destination:
        return advice.replace("this destination", f"the destination {destination}", 1)
    return advice
