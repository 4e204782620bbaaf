"""DIMSE Statuses: what kind each one is, and the word for a failure (PS3.4 C.4.2.1.5, PS3.7 C)."""

from __future__ import annotations

from typing import Final, Literal

Category = Literal["success", "warning", "pending", "cancel", "failure"]

CANCELLED: Final = 0xFE00

_FAILURES: Final = {
    0x0105: "identifier_mismatch",
    0x0106: "identifier_mismatch",
    0x0112: "no_match",
    0x0115: "identifier_mismatch",
    0x0118: "not_supported",
    0x0119: "identifier_mismatch",
    0x0120: "identifier_mismatch",
    0x0121: "identifier_mismatch",
    0x0122: "not_supported",
    0x0124: "not_authorized",
    0x0211: "not_supported",
    0x0212: "identifier_mismatch",
    0x0213: "out_of_resources",
    0xA801: "destination_unknown",
    0xA900: "identifier_mismatch",
}


def category(status: int) -> Category:
    """Return what kind of DIMSE Status this is (PS3.7 C); one that nobody defined is a failure."""
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
    if status in _FAILURES:
        return _FAILURES[status]
    return "out_of_resources" if 0xA700 <= status <= 0xA7FF else "unable_to_process"
