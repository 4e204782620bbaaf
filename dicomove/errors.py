"""Every exception and warning of dicomove.

::

    DicomoveError
    ├── AddressError           an invalid address or AE title                       (also ValueError)
    ├── CohortError            an invalid table; nothing was sent                   (also ValueError)
    │   └── LimitError             more than max_studies, max_instances or max_bytes
    ├── IdentifierError        one row that cannot be sent                          (also ValueError)
    ├── StatusError            the PACS answered with a failure
    ├── ReceiverError          the receiver cannot start, or its process died
    ├── JournalError           the journal cannot be used
    └── AssociationError       no answer, because the association failed
        ├── ConnectionFailed       TCP: refused, no route, unknown host
        ├── ConnectTimeout         TCP: no answer
        ├── AssociationRejected    A-ASSOCIATE-RJ
        ├── AssociationTimeout     no answer to A-ASSOCIATE-RQ
        ├── NotSupported           the PACS does not offer the service (no presentation context)
        ├── AssociationAborted     A-ABORT
        ├── ConnectionLost         the PACS closed or lost the connection
        │   └── TlsFailed              TLS could not be agreed upon, or failed later
        ├── IdleTimeout            silence
        ├── TotalTimeout           the exchange took too long
        └── InvalidResponse        bytes that are not DICOM, or do not answer the request
    DicomoveWarning            (a UserWarning)
    ├── CohortWarning          damaged cells, guesses, renamed columns, or rows that bring more than others
    ├── FindWarning            answers that were left out, rows with fewer keys, or matches of several patients
    ├── InterruptedWarning     the run was stopped: the table is partial
    ├── JournalWarning         the end of a run, or answers of find, are not in the journal
    ├── ReceiverWarning        the receiver was started again, has images of another PatientID, or may not be reached
    └── VerificationWarning    rows with an unknown number of expected instances, or with more than that

The attribute `error` of every `AssociationError` is its word for the column ``error``. Texts of exceptions never
contain an identifier of a patient.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

_OURS: Final = f"{Path(__file__).parent}{os.sep}"


class DicomoveError(Exception):
    """The base class of all exceptions of dicomove."""


class AddressError(DicomoveError, ValueError):
    """An address or an AE title is invalid."""


class CohortError(DicomoveError, ValueError):
    """A table is invalid. Nothing was sent."""


class LimitError(CohortError):
    """A run would bring more than a limit of `move` allows. Nothing was sent."""


class IdentifierError(DicomoveError, ValueError):
    """One row, or one identifier, cannot be sent.

    Attributes
    ----------
    column
        The DICOM keyword of the attribute that causes the problem.
    """

    def __init__(self, message: str, *, column: str | None = None) -> None:
        super().__init__(message)
        self.column = column


class StatusError(DicomoveError):
    """The PACS answered with a failure.

    Attributes
    ----------
    status
        The DIMSE Status, ``"0xA801"``.
    error
        The word of the ``error`` column.
    """

    def __init__(self, message: str, *, status: str, error: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class ReceiverError(DicomoveError):
    """The receiver cannot start (for example, its port is taken), or its process died and could not start again."""


class JournalError(DicomoveError):
    """The journal is damaged, has a newer version or other content, is in use, or cannot be written."""


class AssociationError(DicomoveError):
    """There is no answer, because the association was not established or did not last.

    Parameters
    ----------
    *arguments
        The text.
    permanent
        Whether another attempt would end in the same way: the PACS does not know one of the AE titles (PS3.8 9.3.4), or
        a certificate is not accepted, say.
    """

    error: ClassVar[str] = "association_failed"

    def __init__(self, *arguments: object, permanent: bool = False) -> None:
        super().__init__(*arguments)
        self.permanent = permanent


class ConnectionFailed(AssociationError):  # noqa: N818 (the condition is the name)
    """No TCP connection: refused, no route, or an unknown host."""

    error = "connection_failed"


class ConnectTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """No answer to the TCP connection within ``connect_timeout``."""

    error = "connect_timeout"


class AssociationRejected(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS answered A-ASSOCIATE-RJ."""

    error = "association_rejected"


class AssociationTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """No answer to A-ASSOCIATE-RQ within ``association_timeout``."""

    error = "association_timeout"


class NotSupported(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS accepted the association, but not the service."""

    error = "not_supported"


class AssociationAborted(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS answered A-ABORT."""

    error = "association_aborted"


class ConnectionLost(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS closed the connection, or the connection broke."""

    error = "connection_lost"


class TlsFailed(ConnectionLost):
    """TLS could not be agreed upon, or failed later."""

    error = "tls_failed"


class IdleTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS was silent for longer than ``idle_timeout`` (or ``first_response_timeout``)."""

    error = "idle_timeout"


class TotalTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """The exchange lasted longer than ``total_timeout``."""

    error = "total_timeout"


class InvalidResponse(AssociationError):  # noqa: N818 (the condition is the name)
    """The peer sent bytes that are not DICOM, or a message that does not answer the request."""

    error = "invalid_response"


class DicomoveWarning(UserWarning):
    """The base class of all warnings of dicomove."""


class CohortWarning(DicomoveWarning):
    """The table has damaged cells, named by row and column, or dicomove had to guess while it read the table.

    Or a column got another name; or rows lack a UID that others have, and so bring more; or the PACS has a study under
    another name or date of birth.
    """


class FindWarning(DicomoveWarning):
    """Answers of C-FIND were left out, some rows have fewer keys than others, or matches have several patients."""


class InterruptedWarning(DicomoveWarning):
    """The run was stopped: the table is partial."""


class JournalWarning(DicomoveWarning):
    """The end of a run could not be written into its journal: the next run moves these rows again."""


class ReceiverWarning(DicomoveWarning):
    """The receiver was started again, has images with another PatientID than their row, or may not be reached."""


class VerificationWarning(DicomoveWarning):
    """The expected number of some rows is unknown, since C-FIND was not answered; or the PACS moved more than that."""


def check_word(name: str, value: object, words: Sequence[str], error: type[ValueError] = ValueError) -> None:
    """Raise an error if the value of an argument is not one of its words.

    Examples
    --------
    >>> check_word("verify", "all", ("auto", "hash"))
    Traceback (most recent call last):
    ValueError: verify='all' is not one of auto, hash
    """
    if value not in words:
        message = f"{name}={value!r} is not one of {', '.join(words)}"
        raise error(message)


def warn(message: str, kind: type[DicomoveWarning]) -> None:
    """Warn at the line that called dicomove, however deep within it the reason was found.

    Python shows a warning once for each line: at a line of ours, only the first cell of a notebook would show it.
    """
    frame, level = sys._getframe(), 1  # noqa: SLF001 (`warnings` itself counts frames, and 3.11 cannot leave out ours)
    while frame.f_back and frame.f_code.co_filename.startswith(_OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level)
