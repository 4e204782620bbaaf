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
    ReceiverError,
    ReceiverWarning,
    StatusError,
)
from dicomove.events import CompletedEvent, SubOperationEvent
from dicomove.find import echo, find
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver, close_receivers, verify

__version__ = "0.1.0"

__all__ = [
    "AddressError",
    "AssociationError",
    "CohortError",
    "CohortWarning",
    "CompletedEvent",
    "DicomoveError",
    "DicomoveWarning",
    "EchoResult",
    "FindResult",
    "FindScu",
    "FindWarning",
    "IdentifierError",
    "InterruptedWarning",
    "MoveResult",
    "MoveScu",
    "Pacs",
    "Receiver",
    "ReceiverError",
    "ReceiverWarning",
    "StatusError",
    "SubOperationEvent",
    "__version__",
    "close_receivers",
    "echo",
    "find",
    "move",
    "read_cohort",
    "verify",
]
