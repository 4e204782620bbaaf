"""The journal: one SQLite file with runs, rows, attempts and instances. An attempt is never rewritten.

::

    values      what is written down, and by what a row is known
    cells       cells and labels of the caller's table as JSON, and back
    hashing     the cohort's hash
    schema      the tables
    opening     the file: looked at, opened, and what is said where that fails
    store       `Journal`: writes, and says what earlier runs did
    ownership   one process at a time has it
    reading     the journal as DataFrames, also while a run writes
    exporting   a result table as CSV, Parquet or JSON, and back
"""

from dicomove.journal.exporting import export, read_results
from dicomove.journal.hashing import cohort_sha256
from dicomove.journal.reading import read_attempts, read_journal, read_manifest, read_runs
from dicomove.journal.schema import JOURNAL_FILE
from dicomove.journal.store import Journal
from dicomove.journal.values import Earlier, Key, Reading, RowFacts, RunFacts, Stored

__all__ = [
    "JOURNAL_FILE",
    "Earlier",
    "Journal",
    "Key",
    "Reading",
    "RowFacts",
    "RunFacts",
    "Stored",
    "cohort_sha256",
    "export",
    "read_attempts",
    "read_journal",
    "read_manifest",
    "read_results",
    "read_runs",
]
