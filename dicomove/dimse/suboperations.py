"""What a response of C-MOVE or C-GET says of its sub-operations (PS3.7 9.1.3, 9.1.4)."""

from __future__ import annotations

import logging

from dicomove.dimse.messages import Message, has_data_set, raw_elements, uids
from dicomove.errors import InvalidResponse
from dicomove.outcome import Counts

logger = logging.getLogger("dicomove.dimse")


def counts_of(response: Message) -> Counts:
    """Return the counts of a response; ``None`` for each that is absent."""
    return Counts(
        completed=response.number("NumberOfCompletedSuboperations"),
        failed=response.number("NumberOfFailedSuboperations"),
        warning=response.number("NumberOfWarningSuboperations"),
        remaining=response.number("NumberOfRemainingSuboperations"),
    )


def failed_uids(response: Message, transfer_syntax: str) -> tuple[str, ...]:
    """Return the Failed SOP Instance UID List (0008,0058) of a response."""
    if not has_data_set(response.command):
        return ()
    try:
        element = raw_elements(response.data or b"", transfer_syntax).get("FailedSOPInstanceUIDList")
    except InvalidResponse:
        # The status and the counts stand, also where the list beside them is garbage.
        logger.info("the identifier of the final response cannot be decoded")
        return ()
    return uids(element.value) if element else ()
