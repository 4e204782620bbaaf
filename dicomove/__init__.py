"""dicomove: a table of what you want from a PACS in, a table of what happened out."""

from dicomove.cohort import read_cohort
from dicomove.dimse import EchoResult, FindResult, FindScu, MoveResult, MoveScu
from dicomove.errors import (
    AddressError,
    AssociationError,
    CohortError,
    CohortWarning,
    DicomoveError,
    DicomoveWarning,
    FindWarning,
    IdentifierError,
    InterruptedWarning,
    JournalError,
    JournalWarning,
    ReceiverError,
    ReceiverWarning,
    StatusError,
    VerificationWarning,
)
from dicomove.events import CompletedEvent, SubOperationEvent
from dicomove.find import echo, find
from dicomove.job import MoveJob
from dicomove.move import move, start_move
from dicomove.pacs import Pacs
from dicomove.plan import plan
from dicomove.receiver import Receiver, close_receivers
from dicomove.report import plot, preview, report, summary
from dicomove.retrieve import retrieve
from dicomove.run import Distributed
from dicomove.run.pacing import Hours, Retry
from dicomove.store import (
    export,
    read_attempts,
    read_journal,
    read_manifest,
    read_results,
    read_runs,
    verify,
)
from dicomove.verdicts import verdicts

__version__ = "0.1.0"

__all__ = [
    "AddressError",
    "AssociationError",
    "CohortError",
    "CohortWarning",
    "CompletedEvent",
    "DicomoveError",
    "DicomoveWarning",
    "Distributed",
    "EchoResult",
    "FindResult",
    "FindScu",
    "FindWarning",
    "Hours",
    "IdentifierError",
    "InterruptedWarning",
    "JournalError",
    "JournalWarning",
    "MoveJob",
    "MoveResult",
    "MoveScu",
    "Pacs",
    "Receiver",
    "ReceiverError",
    "ReceiverWarning",
    "Retry",
    "StatusError",
    "SubOperationEvent",
    "VerificationWarning",
    "__version__",
    "close_receivers",
    "echo",
    "export",
    "find",
    "move",
    "plan",
    "plot",
    "preview",
    "read_attempts",
    "read_cohort",
    "read_journal",
    "read_manifest",
    "read_results",
    "read_runs",
    "report",
    "retrieve",
    "start_move",
    "summary",
    "verdicts",
    "verify",
]
