"""The meaning of a DIMSE Status (PS3.7 C): success, warning, pending, cancel or failure; and its error word."""

from __future__ import annotations

from typing import Final, Literal

from dicomove.words import ERROR_WORDS

Category = Literal["success", "warning", "pending", "cancel", "failure"]

CANCELLED: Final = 0xFE00
_FAILURES: Final = {status: name for name, word in ERROR_WORDS.items() for status in word.statuses}


def category(status: int) -> Category:
    """Return the kind of a Status; an undefined one is a failure."""
    if status == 0x0000:
        return "success"
    if status in (0xFF00, 0xFF01):
        return "pending"
    if status == CANCELLED:
        return "cancel"
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return "warning"
    return "failure"


def failure_word(status: int) -> str:
    """Return the error word for a failure status."""
    return _FAILURES.get(status, "unable_to_process")
