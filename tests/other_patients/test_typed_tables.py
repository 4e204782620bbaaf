"""Typed tables, which no search has compared with the PACS, at a PACS that has any fault: `move`, also after `plan`.

A row brings what its UIDs name, unless what stands beside them is another patient's::

    DICOMOVE_OTHER_PATIENTS_EXAMPLES=1000 pytest tests/other_patients/test_typed_tables.py
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest
from hypothesis import event, example, given, strategies as st
from pydicom import dcmread

import dicomove as dm
from dicomove.errors import DicomoveError, DicomoveWarning
from dicomove.testing import faults
from dicomove.testing.faults.base import Fault
from tests.model.world import World, shared
from tests.other_patients.archive import STUDIES, Study, archive
from tests.other_patients.arrival import Arrival, no_request_has_a_hole
from tests.other_patients.examples import TIMEOUT_S, profile, some_faults
from tests.other_patients.typed import (
    UNREADABLE,
    Row,
    Table,
    Typed,
    claim,
    instances_of,
    is_altogether_another,
    study_of,
    tables,
)

pytestmark = pytest.mark.timeout(TIMEOUT_S)


@dataclass(frozen=True)
class Way:
    """How a table is moved, and what follows."""

    method: str = "move"
    concurrency: int = 1
    verify: str = "auto"
    attempts: int = 1
    elsewhere: bool = False
    planned: bool = False
    again: str = ""

    @property
    def has_executor(self) -> bool:
        """C-GET is done by the receiver's process."""
        return self.elsewhere and self.method == "move"


ways = st.builds(
    Way,
    method=st.sampled_from(["move", "move", "get"]),
    concurrency=st.sampled_from([1, 3]),
    verify=st.sampled_from(["auto", "auto", "instances", "arrivals"]),
    attempts=st.sampled_from([1, 1, 1, 3]),
    elsewhere=st.sampled_from([False, False, False, False, True]),
    planned=st.sampled_from([False, False, True]),
    again=st.sampled_from(["", "", "same", "results", "PatientID", "PatientID", "AccessionNumber"]),
)


#: A PACS that leaves the PatientID blank is the one at which only the images tell whose they are.
met_faults = st.one_of(st.just(()), st.just(()), st.just((faults.FindWithoutPatientId(),)), some_faults())


@dataclass
class Run:
    """One move of a table, and what it left."""

    table: Table
    planned: pd.DataFrame | None = None
    moved: pd.DataFrame | None = None
    refused: DicomoveError | None = None
    said: list[str] = field(default_factory=list)
    on_disk: list[tuple[str, str, str]] = field(default_factory=list)

    def result(self, number: int, name: str) -> Any:
        """Return one cell of the result; ``None`` where it is null."""
        assert self.moved is not None
        value = self.moved[name].iloc[number]
        return None if pd.isna(value) else value


def moves(world: World, table: Table, frame: pd.DataFrame, way: Way, journal: Path | None) -> Run:
    """Move a table once."""
    run = Run(table)
    endless = any(fault.name == "pending-forever" for fault in world.faults)
    common: dict[str, Any] = {"level": table.level, "query_model": table.query_model, "progress": False}
    with ExitStack() as stack:
        caught = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always", DicomoveWarning)
        executor = stack.enter_context(ThreadPoolExecutor(2)) if way.has_executor else None
        options: dict[str, Any] = common | {"method": way.method, "concurrency": way.concurrency, "verify": way.verify}
        options |= {
            "executor": executor,
            "retry": dm.Retry(way.attempts, wait=0),
            "journal": journal or False,
            "total_timeout": 1 if endless else None,
        }
        try:
            if way.planned:
                run.planned = frame = dm.plan(
                    frame, world.pacs(), shared().receiver, journal=journal or False, **common
                )
            run.moved = dm.move(frame, world.pacs(), shared().receiver, **options)
        except DicomoveError as error:
            run.refused = error
    world.settle()
    shared().receiver.flush()
    run.said = [str(one.message) for one in caught]
    run.on_disk = [_named_in(path) for path in shared().files()]
    return run


def _named_in(path: Path) -> tuple[str, str, str]:
    """Return the UIDs of a file; what the archive knows of the instance counts, and not what was written."""
    for study in STUDIES:
        for series in range(1, study.series + 1):
            if study.instance_uid(series) == path.stem:
                return study.uid, study.series_uid(series), path.stem
    known = dcmread(path, force=True, specific_tags=["StudyInstanceUID", "SeriesInstanceUID"])
    return str(known.StudyInstanceUID), str(known.SeriesInstanceUID), path.stem


# ------------------------------------------------------------------------------------------------------------ promises


def names_another_patient(row: Row, study: Study | None) -> bool:
    """Whether a row names a PatientID that is altogether another than that of the study."""
    named = claim(row.get("PatientID"))
    return study is not None and named is not None and is_altogether_another(named, study.patient)


def names_another_request(row: Row, study: Study | None) -> bool:
    """Whether a row names an accession number that is another than that of the study."""
    named, there = claim(row.get("AccessionNumber")), study.accession if study else ""
    return bool(named and there and named.casefold().lstrip("0") != there.casefold().lstrip("0"))


def every_file_is_asked_for(run: Run, tables: Sequence[Table]) -> None:
    """A file has a final name only where a row asks for it whose PatientID is not altogether another one."""
    for study_uid, series_uid, instance_uid in run.on_disk:
        study = next(one for one in STUDIES if one.uid == study_uid)
        there = {"PatientID": study.patient, "StudyInstanceUID": study_uid}
        there |= {"SeriesInstanceUID": series_uid, "SOPInstanceUID": instance_uid}
        asking = [
            row
            for table in tables
            for row in table.rows
            if (asked := table.asked(row)) and all(there[name] == value for name, value in asked)
        ]
        assert asking, f"no row asks for {there}"
        assert not all(names_another_patient(row, study) for row in asking), f"{there} came for {asking}"


def no_row_of_another_patient_is_complete(run: Run) -> None:
    """A row that names altogether another patient is not complete, whatever the other rows of its study name."""
    for asked, numbers in run.table.groups().items():
        study, named = study_of(asked), {number: claim(run.table.rows[number].get("PatientID")) for number in numbers}
        for number in numbers:
            if named[number] not in (None, UNREADABLE) and names_another_patient(run.table.rows[number], study):
                assert run.result(number, "outcome") != "complete", run.table.rows[number]
        if len(numbers) == 1 and UNREADABLE in named.values() and study and study.patient:
            assert run.result(numbers[0], "outcome") != "complete", run.table.rows[numbers[0]]


def what_is_not_read_brings_nothing(run: Run) -> None:
    """A row that cannot be a request is not complete."""
    for number, row in enumerate(run.table.rows):
        if run.table.asked(row) is None:
            assert run.result(number, "outcome") != "complete", row


def what_belongs_together_is_moved(run: Run) -> None:
    """Without a fault, a row is complete where all rows that ask for the same have what belongs to its UIDs."""
    for asked, numbers in run.table.groups().items():
        rows = [run.table.rows[number] for number in numbers]
        if instances_of(asked) and all(_is_right(row, study_of(asked)) for row in rows):
            for number in numbers:
                told = [run.result(number, name) for name in ("outcome", "error", "advice")]
                assert told[0] == "complete", (run.table.rows[number], told)


def _is_right(row: Row, study: Study | None) -> bool:
    """Whether nothing in a row is damaged, and its PatientID and accession number are those of its study."""
    if any(cell.how == "damaged" for cell in row.values()) or names_another_patient(row, study):
        return False
    if study is None:
        return True
    return not names_another_request(row, study) and _is_clear(row, study) and len(_other_person(row, study)) < 2


def what_is_anothers_is_told(run: Run, *, is_first: bool) -> None:
    """Without a fault, what stands beside a UID and is another's keeps its row back, or is told."""
    for asked, numbers in run.table.groups().items():
        study = study_of(asked)
        if study is None or len(numbers) > 1 or not instances_of(asked) or run.table.query_model == "PatientRoot":
            continue
        (number,), row = numbers, run.table.rows[numbers[0]]
        if any(cell.how == "damaged" for cell in row.values()):
            continue
        expected = _expected(row, study)
        if expected is None:
            continue
        told = [run.result(number, name) for name in ("outcome", "error", "advice")]
        if run.planned is not None:
            is_left = expected[0] == "invalid"
            assert run.planned["action"].iloc[number] in (["invalid"] if is_left else ["move", "skip"]), (row, told)
            expected = ("not_attempted", None) if is_left else expected
        assert tuple(told[:2]) == expected, (row, told)
        if expected[0] in ("invalid", "not_attempted"):
            assert run.result(number, "attempts") == 0
        elif names := _other_person(row, study):
            assert names[0] in (told[2] or ""), (row, told)
            assert not is_first or any(names[0] in one for one in run.said), run.said


def _expected(row: Row, study: Study) -> tuple[str, str | None] | None:
    """Return what becomes of a row; ``None`` where a person could not say it either."""
    if names_another_patient(row, study):
        return "invalid", "other_patient"
    if names_another_request(row, study):
        return "invalid", "invalid_row"
    if not _is_clear(row, study):
        return None
    both = len(_other_person(row, study)) == 2
    return ("invalid", "other_patient") if both else ("complete", None)


def _other_person(row: Row, study: Study) -> list[str]:
    """Return by what a row names another person than its study has, where nothing tells it better."""
    own = study.values()
    if any(claim(row.get(name)) and own[name] for name in ("PatientID", "AccessionNumber")):
        return []
    name, born = claim(row.get("PatientName")), claim(row.get("PatientBirthDate"))
    found = []
    if name and not _parts(name) & _parts(study.name):
        found.append("PatientName")
    if born and own["PatientBirthDate"] and born[:4] != own["PatientBirthDate"][:4]:
        found.append("PatientBirthDate")
    return found


def _is_clear(row: Row, study: Study) -> bool:
    """Whether a name is either that of the study or altogether another one."""
    name = claim(row.get("PatientName"))
    return not name or _parts(name) == _parts(study.name) or not _parts(name) & _parts(study.name)


def _parts(name: str) -> set[str]:
    return {part for part in re.split(r"[\^, ]+", name) if part}


# ---------------------------------------------------------------------------------------------------------------- runs


def holds(run: Run, tables: Sequence[Table], met: Sequence[Fault], *, is_first: bool) -> None:
    """All of it."""
    every_file_is_asked_for(run, tables)
    if run.moved is None:
        return
    no_row_of_another_patient_is_complete(run)
    what_is_not_read_brings_nothing(run)
    if not met:
        what_belongs_together_is_moved(run)
        what_is_anothers_is_told(run, is_first=is_first)


_UNTOLD: Final = (faults.FindWithoutPatientId(),)
_RIGHT: Final = Table(
    tuple(
        {"StudyInstanceUID": Typed(study.uid, study.uid), "PatientID": Typed(study.patient, study.patient)}
        for study in (STUDIES[0], STUDIES[2])
    ),
    {"StudyInstanceUID": "StudyInstanceUID", "PatientID": "PatientID"},
    level=None,
    query_model="StudyRoot",
)
#: One study, and two patients of whom it cannot be both.
_RIVALS: Final = replace(
    _RIGHT,
    rows=tuple(
        {"StudyInstanceUID": Typed(STUDIES[0].uid, STUDIES[0].uid), "PatientID": Typed(one.patient, one.patient)}
        for one in (STUDIES[2], STUDIES[0])
    ),
)


@profile(60)
@example(table=_RIGHT, way=Way(again="PatientID"), met=())
@example(table=_RIGHT, way=Way(again="PatientID"), met=_UNTOLD)
@example(table=_RIGHT, way=Way(again="PatientID", verify="arrivals"), met=())
@example(table=_RIGHT.shuffled("PatientID"), way=Way(planned=True), met=_UNTOLD)
@example(table=_RIVALS, way=Way(), met=())
@example(table=_RIVALS, way=Way(again="same", concurrency=3), met=())
@example(table=_RIVALS, way=Way(again="same"), met=_UNTOLD)
@example(table=_RIVALS, way=Way(planned=True), met=())
@example(table=_RIVALS, way=Way(verify="arrivals", method="get"), met=())
@example(table=_RIGHT, way=Way(method="get", attempts=1, again="same"), met=(faults.Dies(back_after_s=1.0),))
@given(table=tables(), way=ways, met=met_faults)
def test_a_typed_table(
    tmp_path_factory: pytest.TempPathFactory, table: Table, way: Way, met: tuple[Fault, ...]
) -> None:
    journal = tmp_path_factory.mktemp("typed") / "journal.sqlite" if way.again else None
    with World(archive()) as world:
        world.forget_arrivals()
        world.meets(met)
        first = moves(world, table, table.frame(), way, journal)
        holds(first, [table], met, is_first=True)
        if way.again and first.moved is not None:
            other = table.shuffled(way.again) if way.again in table.headers else table
            frame = first.moved if way.again == "results" else other.frame()
            holds(moves(world, other, frame, way, journal), [table, other], met, is_first=False)
        no_request_has_a_hole(Arrival(heard=world.heard))
    for fault in met:
        event(f"fault {fault.name}")
    event(f"{len(first.on_disk)} files, refused: {first.refused is not None}, again: {way.again}")
