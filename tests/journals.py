"""What the tests of the journal share: runs, rows, readings, and processes that use a journal."""

from __future__ import annotations

import subprocess
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dicomove as dm
from dicomove.results import Row
from dicomove.store import AttemptRecord, InstanceRecord, Key, RowRecord, RunRecord
from tests import forks

FACTS = RunRecord(
    pacs="PACS@127.0.0.1:104",
    destination="HERE",
    calling_ae_title="DICOMOVE",
    options={"concurrency": 2, "hours": None},
    cohort_sha256="0" * 64,
    columns=["StudyInstanceUID", "group"],
    dtypes=["str", "int64"],
    index_names=[None],
    index_dtypes=["int64"],
)
AT = datetime(2026, 11, 24, 3, 15, 21, 42, tzinfo=UTC)
COMPLETE = Row(
    outcome="complete", status="0x0000", total=2, completed=2, received=2, bytes=10, attempts=1, started_at=AT
)
PARTIAL = COMPLETE._replace(outcome="partial", error="missing_instances", received=1, missing=1)


def key(number: int, *, pacs: str = FACTS.pacs) -> Key:
    return Key(pacs, "HERE", "STUDY", "StudyRoot", (("StudyInstanceUID", f"1.2.{number}"),))


def rows(*numbers: int | None, settled: Row | None = None) -> list[RowRecord]:
    return [
        RowRecord(
            position=position,
            label=position,
            key=None if number is None else key(number),
            cells=(f"1.2.{number}", 7),
            row=settled,
        )
        for position, number in enumerate(numbers)
    ]


def reading(
    number: int, row: Row = COMPLETE, instances: Sequence[InstanceRecord] = (), *, final: bool = True
) -> AttemptRecord:
    made = key(number)
    return AttemptRecord(key=made, row=row, level="STUDY", identifier=made.keys, final=final, instances=instances)


def entry(number: int, instance: int, sha256: str = "a", *, path: str | None = None) -> InstanceRecord:
    return InstanceRecord(
        path=path or f"1.2.{number}/1/{instance}.dcm",
        bytes=5,
        sha256=sha256 * 64,
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2",
        TransferSyntaxUID="1.2.840.10008.1.2.1",
        PatientID="P-SECRET",
        StudyInstanceUID=f"1.2.{number}",
        SeriesInstanceUID=f"1.2.{number}.1",
        SOPInstanceUID=f"1.2.{number}.1.{instance}",
        calling_ae_title="PACS",
        address="127.0.0.1",
        move_originator_ae_title="DICOMOVE",
        move_originator_message_id=1,
        received_at=AT.isoformat(),
    )


def outcomes(path: Path, run: int | None = None) -> list[str]:
    found: list[str] = dm.read_journal(path, run=run)["outcome"].tolist()
    return found


@contextmanager
def python(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = forks.python("-c", textwrap.dedent(script), *map(str, arguments))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


_OPENS = """
    import sys
    from dicomove.errors import JournalError
    from dicomove.store import Journal, ownership
    ownership._PATIENCE_S = 0.1
    try:
        Journal.open(sys.argv[1])
    except JournalError as error:
        print(error)
"""


def opened_elsewhere(path: Path) -> str:
    """Return what another process is told that opens a journal; nothing if it can."""
    command = forks.python("-c", textwrap.dedent(_OPENS), str(path))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
