"""What has to be true of a `find` of a cohort by patient, accession number and date, with blanks in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

import dicomove as dm
from dicomove.dimse.messages import C_FIND_RQ
from dicomove.testing.archive import Instance
from dicomove.testing.faults.base import Fault
from tests.model.table import Cell
from tests.model.words import FIRST_KEY, KEYS, LEVELS, reaches_everyone
from tests.model.world import Heard, World, holds_soon

#: The keys of such a cohort, and those of them that name a patient or a study.
BY: Final = ("PatientID", "AccessionNumber", "StudyDate", "StudyInstanceUID")
IDENTIFYING: Final = {"PatientID", "AccessionNumber", "StudyInstanceUID"}
#: Faults that reach a C-FIND, and change nothing of what it means.
MEAN_THE_SAME: Final = {"find-repeats-answers", "find-pads-patient-id", "find-without-upper-uids"}

Named = Mapping[str, Cell]


@dataclass(frozen=True)
class NamedAndFound:
    """One `find` of such a cohort, and what it returned, said and sent."""

    world: World
    rows: Sequence[Named]
    level: str
    query_model: str
    partial_keys: str
    result: pd.DataFrame
    said: Sequence[str]
    heard: Sequence[Heard]

    def answers(self, row: int) -> list[dict[str, Any]]:
        """Return the rows of the result that belong to a row of the cohort."""
        rows = self.result[self.result["cohort_row"] == row].to_dict("records")
        return [{str(name): value for name, value in found.items()} for found in rows]

    def there(self, row: int) -> list[Instance]:
        """Return what the archive holds of all that a row names."""
        keys = [(name, cell.value) for name, cell in self.rows[row].items() if not cell.blank]
        return [one for one in self.world.archive.instances if all(_value(one, name) == value for name, value in keys)]

    @property
    def is_plain(self) -> bool:
        """Whether no fault can change what the PACS answers."""
        return not any(map(_changes_answers, self.world.faults))


def _changes_answers(fault: Fault) -> bool:
    reaches = "C-FIND" in fault.commands or reaches_everyone(fault)
    return reaches and fault.name not in MEAN_THE_SAME


def _value(instance: Instance, name: str) -> str:
    return str(instance.header[name].value)


def find_named(
    world: World, rows: Sequence[Named], level: str, query_model: str = "StudyRoot", partial_keys: Any = "ask"
) -> NamedAndFound | None:
    """Find such a cohort; nothing where it is refused as a whole."""
    table = pd.DataFrame([{name: cell.raw for name, cell in row.items()} for row in rows], dtype=object)
    since, associations = len(world.heard), world.associations
    options: dict[str, Any] = {"level": level, "query_model": query_model, "partial_keys": partial_keys}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", dm.errors.DicomoveWarning)
        try:
            result = dm.find(table, world.pacs(), progress=False, **options)
        except dm.errors.CohortError:
            assert not any(_reaches(name, level) for name in IDENTIFYING & set(rows[0])), "a good table was refused"
            assert world.associations == associations, "it was sent something before it was refused"
            return None
    assert holds_soon(lambda: not world.open_connections(), 5), "find left a connection open"
    world.settle()
    said = [str(one.message) for one in caught]
    return NamedAndFound(world, rows, level, query_model, partial_keys, result, said, world.heard[since:])


def _reaches(name: str, level: str) -> bool:
    return name == "PatientID" or level != "PATIENT"


def _filled(row: Named, level: str) -> set[str]:
    return {name for name, cell in row.items() if not cell.blank and _reaches(name, level)}


def a_row_without_an_identifying_key_is_invalid(found: NamedAndFound) -> None:
    for number, row in enumerate(found.rows):
        names = _filled(row, found.level) & IDENTIFYING
        outcomes = {answer["outcome"] for answer in found.answers(number)}
        if not names:
            assert outcomes == {"invalid"}, f"row {number} names nothing, and is {outcomes}"
            assert {answer["error"] for answer in found.answers(number)} == {"invalid_row"}
        elif found.partial_keys == "ask":
            assert "invalid" not in outcomes or _lacks_the_top(found, row), f"row {number} names {names}"


def _lacks_the_top(found: NamedAndFound, row: Named) -> bool:
    """In Patient Root, every search begins with the patient."""
    return found.query_model == "PatientRoot" and "PatientID" not in _filled(row, found.level)


def nothing_is_found_that_a_row_does_not_name(found: NamedAndFound) -> None:
    for number in range(len(found.rows)):
        there = found.there(number)
        for answer in found.answers(number):
            if answer["outcome"] in ("matched", "partial"):
                name = KEYS[LEVELS.index(found.level)]
                assert answer[name] in {_value(one, name) for one in there}, f"row {number}: {answer}"


def what_a_row_names_is_found(found: NamedAndFound) -> None:
    if not found.is_plain:
        return
    name = KEYS[LEVELS.index(found.level)]
    for number in range(len(found.rows)):
        answers = found.answers(number)
        if answers[0]["outcome"] == "invalid":
            continue
        there = {_value(one, name) for one in found.there(number)}
        told = sorted(answer[name] for answer in answers if answer["outcome"] == "matched")
        assert found.level == "PATIENT" or told == sorted(there), f"row {number}: {told}, and there is {there}"


def asked_by_names_the_keys_that_were_sent(found: NamedAndFound) -> None:
    for number, row in enumerate(found.rows):
        for answer in found.answers(number):
            if answer["outcome"] == "invalid":
                assert pd.isna(answer["asked_by"])
                continue
            names = set(answer["asked_by"].split(", "))
            assert names <= _filled(row, found.level), f"row {number} was asked by {names}"
            assert names & IDENTIFYING, f"row {number} was asked by {names}"
            assert not found.is_plain or _was_sent(found, row, names), f"row {number}: {names} were not sent"


def _was_sent(found: NamedAndFound, row: Named, names: set[str]) -> bool:
    """Whether the PACS heard each of the keys with the value that the row has."""
    heard = [one.identifier for one in found.heard]
    return all(any(str(one.get(name, "")) == row[name].value for one in heard) for name in names)


def a_row_with_fewer_keys_says_so(found: NamedAndFound) -> None:
    """One that has its UID needs no other key; beside an accession number, the UID is not missed."""
    columns = set().union(*(_filled(row, found.level) for row in found.rows))
    counted = 0
    for number, row in enumerate(found.rows):
        has = _filled(row, found.level)
        lacks = columns - has - {"StudyInstanceUID"}
        short = bool(has & IDENTIFYING) and "StudyInstanceUID" not in has and bool(lacks)
        if not short or _lacks_the_top(found, row):
            continue
        counted += 1
        answers = found.answers(number)
        if found.partial_keys == "refuse":
            assert {answer["outcome"] for answer in answers} == {"invalid"}, f"row {number} lacks {lacks}"
        for answer in answers:
            assert isinstance(answer["advice"], str), f"row {number} lacks {lacks}, and does not say so"
            assert all(name in answer["advice"] for name in lacks), answer["advice"]
    assert not counted or found.partial_keys == "refuse" or found.said, "rows with fewer keys, and no warning"


def no_query_has_a_hole(found: NamedAndFound) -> None:
    for one in found.heard:
        assert one.command == C_FIND_RQ
        first = FIRST_KEY[one.query_model]
        for name in KEYS[first : LEVELS.index(one.asked.level)]:
            value = str(one.identifier.get(name, "") or "")
            assert value.strip("\0 "), f"{one.identifier} has no {name}"
            assert not set(value) & set("*?\\"), f"{one.identifier} has wildcards in {name}"


def keeps_to_what_is_named(found: NamedAndFound) -> None:
    """Raise AssertionError for the first promise that a `find` of such a cohort broke."""
    a_row_without_an_identifying_key_is_invalid(found)
    nothing_is_found_that_a_row_does_not_name(found)
    what_a_row_names_is_found(found)
    asked_by_names_the_keys_that_were_sent(found)
    a_row_with_fewer_keys_says_so(found)
    no_query_has_a_hole(found)
