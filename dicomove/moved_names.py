"""Names that moved in version 0.2: the old ones still work, with a warning that gives the new one."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any, Final

#: The names of `dicomove` itself, and the modules that have them now.
TOP_LEVEL: Final = {
    "AddressError": "errors",
    "AssociationError": "errors",
    "CohortWarning": "errors",
    "CompletedEvent": "events",
    "DicomoveWarning": "errors",
    "Distributed": "run",
    "EchoResult": "dimse",
    "FindResult": "dimse",
    "FindWarning": "errors",
    "Hours": "run",
    "IdentifierError": "errors",
    "JournalError": "errors",
    "JournalWarning": "errors",
    "MoveResult": "dimse",
    "ReceiverError": "errors",
    "ReceiverWarning": "errors",
    "StatusError": "errors",
    "SubOperationEvent": "events",
    "VerificationWarning": "errors",
    "close_receivers": "receiver",
    "read_attempts": "store",
    "read_runs": "store",
}


def top_level(name: str) -> Any:
    """Return the object of a former name of `dicomove`.

    Raises
    ------
    AttributeError
        There was no such name.
    """
    if name not in TOP_LEVEL:
        message = f"module 'dicomove' has no attribute {name!r}"
        raise AttributeError(message)
    return moved("dicomove", f"dicomove.{TOP_LEVEL[name]}", name)


def moved(before: str, now: str, name: str) -> Any:
    """Return the object under its new name, with a warning at the line that uses the old name."""
    message = f"{before}.{name} is now {now}.{name}: from {now} import {name}"
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    return getattr(import_module(now), name)
