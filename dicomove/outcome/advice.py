"""Advice that depends on the arrivals at a receiver; `dicomove.words` has all other advice."""

from __future__ import annotations

from typing import Final

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

NOT_ATTEMPTED: Final = "The run ended before it reached this row: run it again."


def sentences(*parts: str) -> str:
    """Return the parts as sentences in a row.

    Examples
    --------
    >>> sentences("the row is empty", "", "Correct it.")
    'The row is empty. Correct it.'
    """
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".?!" else ".") for part in parts if part)
