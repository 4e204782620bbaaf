"""DIMSE Statuses: what kind each one is, and the word for a failure (PS3.4 C.4.2.1.5, PS3.7 C)."""

from __future__ import annotations

from typing import Final, Literal

from dicomove.words import ERROR_WORDS

Category = Literal["success", "warning", "pending", "cancel", "failure"]

CANCELLED: Final = 0xFE00

_FAILURES: Final = {status: name for name, word in ERROR_WORDS.items() for status in word.statuses}


def category(status: int) -> Category:
    """Return what kind of DIMSE Status this is (PS3.7 C); one that is not defined is a failure."""
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
    """Return the word of the ``error`` column for a status that is a failure."""
    return _FAILURES.get(status, "unable_to_process")
