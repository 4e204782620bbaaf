"""Advice that depends on the arrivals at a receiver; `dicomove.words` has all other advice."""

from __future__ import annotations

from typing import Final

#: Replaces the advice of the error word if the arrivals at the receiver tell more.
BETTER_ADVICE: Final = {
    "damaged": "The PACS would send the same bytes another time: show the reason to its administrator.",
    "some_damaged": "Move the row again for the missing instances. Those in quarantine would arrive in the same way.",
    "refused": "Move the row again once the receiver accepts these addresses.",
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
