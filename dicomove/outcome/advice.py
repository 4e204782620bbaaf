"""What a person is told: one line for each word of the ``error`` column."""

from __future__ import annotations

from typing import Final

ADVICE: Final = {
    "destination_unknown": "The PACS does not know this destination: its administrator registers the AE title with "
    "host and port (Orthanc: DicomModalities).",
    "no_match": "The PACS has nothing for this identifier: look it up with find().",
    "identifier_mismatch": "The PACS refuses the identifier at this level: try another level, or "
    "query_model='PatientRoot' with PatientID.",
    "out_of_resources": "The PACS, or the destination as the PACS sees it, is short of resources: is the destination "
    "up and reachable from the PACS? Try again later, with fewer rows at a time.",
    "unable_to_process": "The PACS gave no reason that is standardised: its log knows more. Often the destination is "
    "unknown to the PACS, down, or refuses what it gets.",
    "not_authorized": "The PACS does not allow this to our AE title: its administrator grants C-MOVE.",
    "not_supported": "The PACS does not offer this service or query model: try the other query_model.",
    "connection_failed": "Check host, port and firewall, and that the PACS is up.",
    "connect_timeout": "Check host, port and firewall: nothing answered at this address.",
    "association_rejected": "Check the called AE title, and that the PACS knows ours.",
    "association_timeout": "Something listens there but does not speak DICOM, or the PACS is overloaded.",
    "association_aborted": "The PACS broke off: its log knows why. What it had sent by then is in doubt.",
    "connection_lost": "The connection ended without an answer: a PACS that restarts, a firewall, or a PACS that drops "
    "AE titles it does not know. What was sent by then is in doubt.",
    "idle_timeout": "The PACS was silent for too long: move again, or raise idle_timeout and first_response_timeout.",
    "total_timeout": "The move did not end within total_timeout.",
    "invalid_response": "The answer was no proper DICOM: is this the DICOM port of a PACS?",
    "all_failed": "The PACS could not store a single instance at the destination: is the destination up, and does it "
    "accept these SOP classes and transfer syntaxes?",
    "some_failed": "Some instances could not be stored at the destination. Move the row again once; what fails the "
    "same way then is refused for its SOP class or transfer syntax, or the PACS cannot read it: its log knows more.",
    "missing_instances": "Fewer instances were moved than the PACS holds: move the row again.",
    "other_patient": "What came has another PatientID than the row, and no attempt changes that: take the PatientID as "
    "the PACS writes it (find() shows it), or move by StudyInstanceUID, with query_model='StudyRoot'.",
    "storage_failed": "The receiver could not store what came: is the disk full, or the folder read-only? Move the row "
    "again once there is room.",
    "receiver_failed": "The receiver was gone: what came is on disk, and what it knows of the row is not. Move the row "
    "again.",
    "executor_failed": "The executor, or one of its workers, is gone: what was sent by then is in doubt. Move the row "
    "again.",
    "invalid_row": "Correct the row; nothing was sent.",
    "cancelled_by_pacs": "The PACS ended the move by itself: move the row again. If it does so once more, its log "
    "knows why.",
}

#: Where what came to the receiver tells more than the word does.
BETTER_ADVICE: Final = {
    "damaged": "The PACS would send the same bytes another time: show the reason to its administrator.",
    "some_damaged": "Move the row again for what did not come; what is in quarantine would come the same way.",
    "refused": "Move the row again once the receiver lets them in.",
    "strays": "Are they this row's, with other identifiers? The manifest of the receiver names them.",
    "nothing_came": "The PACS says that it moved them, and nothing came: does it have another host or port for this AE "
    "title? Its administrator knows.",
}

NOT_ATTEMPTED: Final = "The run ended before its turn: run it again."


def sentences(*parts: str) -> str:
    """Return the parts as sentences in a row.

    Examples
    --------
    >>> sentences("the row is empty", "", "Correct it.")
    'The row is empty. Correct it.'
    """
    return " ".join(part[0].upper() + part[1:] + ("" if part[-1] in ".?!" else ".") for part in parts if part)
