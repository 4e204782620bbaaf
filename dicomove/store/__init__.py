"""Stores the index of a receiver's folder and the journal of runs; reads, exports and verifies both.

::

    sqlite            opens a SQLite file of one kind: checks it, explains errors
    ownership         a lock that one process holds, with a file that names it; lets one receiver at a time own a folder
    instances         the folder's index: the files that a receiver has on disk
    find_journal      the answers of `find`, for a later `find`
    header_store      the headers of a folder's files, for a later `index`
    manifest          the index as a DataFrame, and as manifest-sha256.txt (BagIt); `verify`
    cells             turns cells and labels of a table into JSON, and back; the hash of a cohort               (pure)
    pseudonyms        keyed hashes instead of identifiers                                                       (pure)
    schema            the tables of the journal, their records, and the key that identifies a row from run to run
    journal           `Journal`: writes, and returns the results of earlier runs
    reading           the journal as DataFrames, also during a run
    exporting         a result table as CSV, Parquet or JSON, and back
    crate             a run and its files as RO-Crate
    spreadsheet_csv   reads a result table that another program saved as CSV
"""

from dicomove.store.cells import cohort_sha256
from dicomove.store.exporting import export, read_results
from dicomove.store.find_journal import FindJournal
from dicomove.store.header_store import HeaderStore, StoredHeader
from dicomove.store.instances import (
    MANIFEST_COLUMNS,
    InstanceReader,
    InstanceRecord,
    StudySize,
    is_indexed,
    read_instances,
    read_sizes,
    read_studies,
)
from dicomove.store.journal import Journal
from dicomove.store.manifest import read_manifest, verify, write_checksums
from dicomove.store.pseudonyms import Pseudonyms
from dicomove.store.reading import read_attempts, read_journal, read_request, read_runs, read_with_moves
from dicomove.store.schema import (
    JOURNAL_FILE,
    AttemptRecord,
    Key,
    PreviousResult,
    RowRecord,
    RunRecord,
    Stored,
    shown_options,
)

__all__ = [
    "JOURNAL_FILE",
    "MANIFEST_COLUMNS",
    "AttemptRecord",
    "FindJournal",
    "HeaderStore",
    "InstanceReader",
    "InstanceRecord",
    "Journal",
    "Key",
    "PreviousResult",
    "Pseudonyms",
    "RowRecord",
    "RunRecord",
    "Stored",
    "StoredHeader",
    "StudySize",
    "cohort_sha256",
    "export",
    "is_indexed",
    "read_attempts",
    "read_instances",
    "read_journal",
    "read_manifest",
    "read_request",
    "read_results",
    "read_runs",
    "read_sizes",
    "read_studies",
    "read_with_moves",
    "shown_options",
    "verify",
    "write_checksums",
]
