"""`find`, `move` and `retrieve` into a `Receiver`, and whose images are on disk then."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pydicom import dcmread

import dicomove as dm
from dicomove.dimse.messages import C_FIND_RQ
from dicomove.errors import DicomoveError, DicomoveWarning
from tests.model.words import FIRST_KEY, KEYS, LEVELS
from tests.model.world import Heard, World, holds_soon, shared
from tests.other_patients.archive import STUDIES, owner
from tests.other_patients.meaning import patients

MATCHED: Final = ("matched", "partial")


@dataclass
class Arrival:
    """What became of a cohort.

    Attributes
    ----------
    table
        What `read_cohort` made of it.
    found, moved
        What `find` and `move` returned.
    refused
        The error of dicomove's own that ended it.
    said
        All warnings, and that error.
    on_disk
        The Study Instance UIDs of what has a final name.
    heard
        What the PACS was asked.
    """

    table: pd.DataFrame | None = None
    found: pd.DataFrame | None = None
    moved: pd.DataFrame | None = None
    refused: DicomoveError | None = None
    said: list[str] = field(default_factory=list)
    on_disk: set[str] = field(default_factory=set)
    heard: Sequence[Heard] = ()

    @property
    def patients_on_disk(self) -> set[str]:
        return patients(self.on_disk)


def arrive(
    world: World,
    read: Callable[[], pd.DataFrame],
    *,
    level: str = "STUDY",
    query_model: str = "StudyRoot",
    at_once: bool = False,
    total_timeout: float | None = None,
) -> Arrival:
    """Read a cohort, find and move it, in one or in two."""
    world.forget_arrivals()
    since, arrival = len(world.heard), Arrival()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DicomoveWarning)
        try:
            arrival.table = read()
            options: dict[str, Any] = {"query_model": query_model, "progress": False}
            moving = options | {"level": level, "journal": False, "total_timeout": total_timeout}
            if at_once:
                arrival.moved = dm.retrieve(arrival.table, world.pacs(), shared().receiver, **moving)
            else:
                arrival.found = dm.find(arrival.table, world.pacs(), level=level, **options)
                arrival.moved = dm.move(arrival.found, world.pacs(), shared().receiver, **moving)
        except DicomoveError as error:
            arrival.refused = error
    world.settle()
    shared().receiver.flush()
    arrival.said = [str(one.message) for one in caught] + ([str(arrival.refused)] if arrival.refused else [])
    arrival.on_disk = {_study(path) for path in shared().files()}
    arrival.heard = world.heard[since:]
    return arrival


def _study(path: Path) -> str:
    """Return the study that a file belongs to, by what the archive knows of the instance, not by what was written."""
    uid = path.stem
    known = [study for study in STUDIES for series in range(1, study.series + 1) if study.instance_uid(series) == uid]
    return (
        known[0].uid if known else str(dcmread(path, force=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)
    )


def no_other_patient_is_on_disk(arrival: Arrival, named: Sequence[set[str]]) -> None:
    """No instance of a patient whom no row names has a final name."""
    welcome = patients(set().union(*named))
    others = arrival.patients_on_disk - welcome
    assert not others, f"{others} came; named: {welcome}; asked: {asked(arrival)}; said: {arrival.said}"


def no_row_of_find_is_of_another_patient(arrival: Arrival, named: Sequence[set[str]]) -> None:
    """A row of `find` is of a patient whom its row of the cohort names."""
    for row in matched_rows(arrival.found if arrival.found is not None else arrival.moved):
        # A search for patients leaves the UIDs of the cohort as they are.
        study = owner(str(row.get("StudyInstanceUID"))) if "NumberOfStudyRelatedInstances" in row else None
        patient = study.patient if study else str(row.get("PatientID"))
        welcome = patients(_named_by(row, named))
        assert patient in welcome, f"{row.get('line')} brings {patient}, and names {welcome}; asked: {asked(arrival)}"


def every_matched_row_tells_by_what_it_was_asked(arrival: Arrival) -> None:
    """`asked_by` names the keys that were sent."""
    if arrival.found is None:
        return
    assert "asked_by" in arrival.found
    for row in matched_rows(arrival.found):
        assert isinstance(row["asked_by"], str), row
        assert row["asked_by"], row


def no_request_has_a_hole(arrival: Arrival) -> None:
    """No unique key above the level of a request is blank, a wildcard or a list; of a C-MOVE, none at all is."""
    for one in arrival.heard:
        level, first = one.asked.level, FIRST_KEY[one.query_model]
        keys = KEYS[first : LEVELS.index(level) + 1]
        for name in keys[:-1] if one.command == C_FIND_RQ else keys:
            value = str(one.identifier.get(name, "") or "")
            assert value.strip("\0 "), f"{one.identifier} has no {name}"
            assert not set(value) & set("*?\\"), f"{one.identifier} has wildcards in {name}"


def asked(arrival: Arrival) -> list[dict[str, str]]:
    """Return the keys with a value that the PACS heard."""
    return [
        {name: str(value) for name, value in one.identifier.items() if value not in (None, "")} for one in arrival.heard
    ]


def matched_rows(table: pd.DataFrame | None) -> Iterator[dict[str, Any]]:
    """Yield the rows that brought something."""
    if table is None:
        return
    # A file without a header may have the same cell twice in the line that is taken for one.
    for row in table.loc[:, ~table.columns.duplicated()].to_dict("records"):
        is_of_patient = "NumberOfStudyRelatedInstances" not in row
        uid = row.get("PatientID") if is_of_patient else row.get("StudyInstanceUID", row.get("PatientID"))
        if row["outcome"] in (*MATCHED, "complete") and isinstance(uid, str):
            yield {str(name): value for name, value in row.items()}


def _named_by(row: dict[str, Any], named: Sequence[set[str]]) -> set[str]:
    """Return what the row of the cohort names; a row whose first cell is lost may be any of them."""
    word, _, number = str(row.get("line")).partition(" ")
    known = word == "line" and number.isdigit() and int(number) < len(named)
    return named[int(number)] if known else set().union(*named)


def await_quiet(world: World) -> bool:
    """Whether the client has closed its connections."""
    return holds_soon(lambda: not world.open_connections(), 5)
