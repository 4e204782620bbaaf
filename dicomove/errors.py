"""Every exception and warning of dicomove.

::

    DicomoveError
    ├── AddressError           an address or an AE title that cannot be right       (also ValueError)
    ├── CohortError            a table that cannot be right; nothing was sent       (also ValueError)
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
        ├── IdleTimeout            silence
        ├── TotalTimeout           the answer never ended
        └── InvalidResponse        bytes that are not DICOM, or not an answer
    DicomoveWarning            (a UserWarning)
    ├── CohortWarning          cells that were damaged before they came here
    ├── FindWarning            answers that were left out, or rows asked by few keys
    ├── InterruptedWarning     a run that was stopped: the table is partial
    ├── JournalWarning         a journal that could not be written to its end
    ├── ReceiverWarning        a receiver whose process died, and was started again
    └── VerificationWarning    rows of which it is not known what to expect

Every `AssociationError` has its word for the ``error`` column in the attribute `error`. No text of an exception holds
an identifier of a patient.
"""

from __future__ import annotations

from typing import ClassVar


class DicomoveError(Exception):
    """The base of everything that dicomove raises."""


class AddressError(DicomoveError, ValueError):
    """An address or an AE title that cannot be right."""


class CohortError(DicomoveError, ValueError):
    """A table that cannot be right. Nothing was sent."""


class IdentifierError(DicomoveError, ValueError):
    """One row, or one identifier, that cannot be sent.

    Attributes
    ----------
    column
        The attribute that is to blame, as a DICOM keyword.
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
    """The receiver cannot start (the port or the folder is taken, say), or its process died and did not come back."""


class JournalError(DicomoveError):
    """The journal is of something else, of a newer version, damaged, held by another process, or cannot be written."""


class AssociationError(DicomoveError):
    """There is no answer, because the association could not be made or did not last."""

    error: ClassVar[str] = "association_failed"


class ConnectionFailed(AssociationError):  # noqa: N818 (the condition is the name)
    """No TCP connection: refused, no route, or an unknown host."""

    error = "connection_failed"


class ConnectTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """No answer to the TCP connection within ``connect_timeout``."""

    error = "connect_timeout"


class AssociationRejected(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS answered A-ASSOCIATE-RJ.

    Parameters
    ----------
    *arguments
        The text.
    for_good
        Whether it will answer so again: it does not know one of the AE titles, say (PS3.8 9.3.4).
    """

    error = "association_rejected"

    def __init__(self, *arguments: object, for_good: bool = False) -> None:
        super().__init__(*arguments)
        self.for_good = for_good


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
    """The PACS closed the connection, or it broke."""

    error = "connection_lost"


class IdleTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """The PACS was silent for longer than ``idle_timeout`` (or ``first_response_timeout``)."""

    error = "idle_timeout"


class TotalTimeout(AssociationError):  # noqa: N818 (the condition is the name)
    """The exchange lasted longer than ``total_timeout``."""

    error = "total_timeout"


class InvalidResponse(AssociationError):  # noqa: N818 (the condition is the name)
    """The peer sent bytes that are not DICOM, or a message that is no answer to what was asked."""

    error = "invalid_response"


class DicomoveWarning(UserWarning):
    """The base of everything that dicomove warns of."""


class CohortWarning(DicomoveWarning):
    """Cells that were damaged before they came here, by row and column."""


class FindWarning(DicomoveWarning):
    """Answers of C-FIND that were left out, or rows that were asked by fewer keys than their neighbours."""


class InterruptedWarning(DicomoveWarning):
    """A run that was stopped: the table is partial."""


class JournalWarning(DicomoveWarning):
    """The end of a run could not be written into its journal: the next run moves these rows again."""


class ReceiverWarning(DicomoveWarning):
    """A receiver whose process died, and was started again."""


class VerificationWarning(DicomoveWarning):
    """C-FIND was not answered for some rows: how many instances they should have is not known."""
