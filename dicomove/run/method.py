"""Whether a row that was moved in vain had better be retrieved with C-GET. Pure."""

from __future__ import annotations

from typing import Final

from dicomove.dimse import MoveResult

#: The PACS does not offer C-MOVE, or does not know where to move to: so it is, whatever comes.
_NEVER: Final = frozenset({"destination_unknown", "not_supported"})
#: So it looks where the PACS cannot reach the receiver, as long as nothing came.
_NOTHING_COMES: Final = frozenset(
    {"all_failed", "idle_timeout", "missing_instances", "out_of_resources", "unable_to_process"}
)


def cannot_move(result: MoveResult) -> bool:
    """Return whether the PACS cannot move to the receiver, as far as one C-MOVE tells."""
    evidence = result.evidence
    if evidence.cancelled or result.error is None:
        return False
    return result.error in _NEVER or (evidence.sent and evidence.arrivals == 0 and result.error in _NOTHING_COMES)
