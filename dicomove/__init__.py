"""dicomove takes a table of what you want from a PACS, retrieves it, and returns a table of what happened."""

import typing

from dicomove.cohort import read_cohort
from dicomove.destination import Destination
from dicomove.dimse import FindScu, MoveScu
from dicomove.doctor import doctor
from dicomove.errors import CohortError, DicomoveError, InterruptedWarning
from dicomove.find import echo, find
from dicomove.headers import index
from dicomove.job import MoveJob
from dicomove.move import move, start_move
from dicomove.pacs import Pacs
from dicomove.plan import plan
from dicomove.query import query
from dicomove.receiver import GetScu, Receiver
from dicomove.report import plot, preview, report, summary
from dicomove.retrieve import retrieve
from dicomove.run.pacing import Retry
from dicomove.store import export, read_journal, read_manifest, read_results, verify
from dicomove.verdicts import verdicts

__version__ = "0.1.0"

__all__ = [
    "CohortError",
    "Destination",
    "DicomoveError",
    "FindScu",
    "GetScu",
    "InterruptedWarning",
    "MoveJob",
    "MoveScu",
    "Pacs",
    "Receiver",
    "Retry",
    "__version__",
    "doctor",
    "echo",
    "export",
    "find",
    "index",
    "move",
    "plan",
    "plot",
    "preview",
    "query",
    "read_cohort",
    "read_journal",
    "read_manifest",
    "read_results",
    "report",
    "retrieve",
    "start_move",
    "summary",
    "verdicts",
    "verify",
]

# For a type checker, only the names above exist.
if not typing.TYPE_CHECKING:
    from dicomove.moved_names import top_level as __getattr__  # noqa: F401  # Python asks it for names that are not here
