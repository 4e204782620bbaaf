"""The words of the standard and of dicomove that promises speak of, and what the faults of a PACS do to them."""

from __future__ import annotations

from typing import Final

from dicomove.testing.faults.base import Fault
from dicomove.words import ADVICE

#: Where rows may be moved to: a third AE, and a `Receiver`.
STORE: Final = "STORE"
RECEIVER: Final = "RECEIVER"
LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE")
KEYS: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
FIELDS: Final = ("patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
FIRST_KEY: Final = {"PatientRoot": 0, "StudyRoot": 1}
MODELS: Final = {"1.2.840.10008.5.1.4.1.2.1": "PatientRoot", "1.2.840.10008.5.1.4.1.2.2": "StudyRoot"}
NUMBER_KEYS: Final = {
    "PATIENT": "NumberOfPatientRelatedInstances",
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
}
COUNTS: Final = ("completed", "failed", "warning", "remaining")

OUTCOMES: Final = {
    *("complete", "partial", "empty", "unconfirmed", "failed", "unreachable", "interrupted", "cancelled", "invalid"),
    "not_attempted",
}
#: "internal_error" is not among them: no PACS and no table may bring out a defect of ours.
ERRORS: Final = {*ADVICE, "cancelled"}
NOT_SENT: Final = {"unreachable", "invalid", "not_attempted"}

# ---------------------------------------------------------------------------------------------------------- faults

#: The counts say that something was moved, and it was not sent, or it was sent under another name.
LIES: Final = {"false-success", "wrong-counts", "other-instance-uids", "final-before-stores"}
#: Together with another fault, one of these hides a loss: it counts what failed as stored, or something else instead.
LIES_TOGETHER: Final = {"stored-with-warnings", "stores-another-study"}
#: What is lost is not counted either: only an inventory can tell.
LOSES_SILENTLY: Final = {"loses-instances", "success-with-nothing-moved"}
#: C-FIND gives other numbers, or fewer instances, than there are.
MISCOUNTS: Final = {"caps-find", "counts-overflow", "find-echoes-keys"}
#: After so many C-FINDs without an answer in a row, the PACS is asked for no more for a while.
MOST_UNANSWERED: Final = 3
#: These make counts of their own, from whatever counts there are.
FORGES_COUNTS: Final = {"wrong-counts", "zero-counts-on-failure", "pending-forever"}
#: The row reads as if they were not there.
HARMLESS: Final = {
    *("no-pendings", "stale-response", "latency", "small-pdus", "association-per-instance", "stores-twice"),
    *("bandwidth", "private-sop-classes", "corrupts-instances", "truncates-instances", "empty-instances"),
    *("garbage-instances", "final-before-stores", "false-success", "ignores-cancel", "late-cancel", "refuses-lists"),
}
#: What is sent is not what the PACS holds, or is not sent at all: to another AE it reads as if it were.
SPOILS: Final = {
    *("corrupts-instances", "truncates-instances", "empty-instances", "garbage-instances", "false-success"),
    *("implicit-in-explicit", "explicit-in-implicit", "big-endian-in-little", "encapsulated-in-native"),
    *("native-in-encapsulated", "other-compression", "meta-in-data-set", "sends-whole-files"),
}
#: They end every association, whoever's it is.
ENDS_EVERYTHING: Final = {"dies"}
#: They take C-MOVE out of every association.
REFUSES_CONTEXTS: Final = {"omits-contexts", "undefined-context-result"}
#: They leave us waiting, so that the timeouts are short where one of them is.
SILENT: Final = {
    *("hangs", "hangs-at-find", "vanishes-at-response", "silent-association", "pending-forever", "dies"),
}

#: They announce a data set that never comes; the result of the row does not depend on it.
ANNOUNCE_TOO_MUCH: Final = {"promises-data-set", "find-promises-data-set"}


def reaches_everyone(fault: Fault) -> bool:
    """Whether a fault is one of the association, which knows of no row."""
    return fault.name in ENDS_EVERYTHING | REFUSES_CONTEXTS or type(fault).on_association is not Fault.on_association
