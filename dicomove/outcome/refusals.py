"""Peers that the receiver turned away, and why. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dicomove.outcome.evidence import Evidence, Refusal

#: Names of the advice for a row of which nothing came, by the kind of refusal: the first one counts.
_REMEDIES: Final = {
    "defect": "internal_error",
    "ae_title": "refused_ae_title",
    "tls": "refused_tls",
    "request": "refused_request",
    "busy": "refused_busy",
    "address": "refused",
}
#: Refusals that are told.
_MOST_TOLD: Final = 3


def refusals_told(refusals: Iterable[Refusal]) -> list[str]:
    """Return which peers were turned away, and why: sentences.

    Examples
    --------
    >>> refusals_told([Refusal("10.0.0.7", "PACS", "ae_title", "it called OLD, this receiver is DICOMOVE")])
    ['the receiver turned away PACS at 10.0.0.7: it called OLD, this receiver is DICOMOVE']
    """
    every = list(refusals)
    others = [one for one in every if one.kind != "address"]
    told = [f"the receiver turned away {_peer(one)}: {one.reason}" for one in others[:_MOST_TOLD]]
    if len(others) > _MOST_TOLD:
        told.append(f"it turned away {len(others) - _MOST_TOLD} more: see refused of the receiver")
    if named := ", ".join(dict.fromkeys(one.address for one in every if one.kind == "address")):
        told.append(f"connections from {named} were refused: if the PACS sends from there, give allow to the receiver")
    return told


def refusal_remedy(evidence: Evidence) -> str | None:
    """Return the name of the advice for a row of which nothing came because the receiver refused it; else ``None``."""
    if evidence.received or evidence.arrivals or evidence.aside or not evidence.refusals:
        return None
    kinds = {one.kind for one in evidence.refusals}
    return next(remedy for kind, remedy in _REMEDIES.items() if kind in kinds)


def _peer(refusal: Refusal) -> str:
    return f"{refusal.ae_title} at {refusal.address}" if refusal.ae_title else refusal.address
