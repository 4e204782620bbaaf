"""Which rows share one C-MOVE: those with the same identifier that name the same patient. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from dicomove.cohort import Identifier, Requested
from dicomove.outcome import spelling
from dicomove.run.table.cells import RowCells
from dicomove.run.table.patients import PERSON, Named, contradicted, different, keys_of

#: The most patients of one study that each further one is compared with.
_MOST_COMPARED: Final = 20
_STUDY: Final = "StudyInstanceUID"
_PATIENT: Final = "PatientID"
_ACCESSION: Final = "AccessionNumber"
Claims = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class _Group:
    """Rows with one identifier that name the same patient; `who` compares as the patient that they name."""

    identifier: Identifier
    who: Hashable
    rows: list[int]


def rows_of(identifiers: Sequence[Requested]) -> dict[Identifier, list[int]]:
    """Return the rows that ask for each identifier."""
    rows: dict[Identifier, list[int]] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            rows.setdefault(identifier, []).append(position)
    return rows


def by_patient(table: pd.DataFrame, identifiers: Sequence[Requested]) -> list[Requested]:
    """Return the identifiers; rows with the same keys share one if the PACS says the same of all of them.

    Each row is compared with the PACS by what it names itself. So a row that names another patient, or none, has an
    identifier of its own, and so has a row with an accession number beside one without. Rows from `find` keep theirs:
    the PACS itself named their patients.

    Parameters
    ----------
    table
        The caller's table.
    identifiers
        The identifiers of its rows.

    Examples
    --------
    >>> table = pd.DataFrame({"StudyInstanceUID": ["1.2"] * 4, "PatientID": ["7", "8", "007", ""]})
    >>> found = by_patient(table, [Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1.2"),))] * 4)
    >>> [identifier.claims for identifier in found]
    [(('PatientID', '7'),), (('PatientID', '8'),), (('PatientID', '7'),), ()]
    >>> [identifier.is_disputed for identifier in found]
    [True, True, True, False]
    """
    cells, asked = RowCells(table), rows_of(identifiers)
    studies = _asked_for_twice(cells, asked)
    asking = [row for study in studies for one in study for row in asked[one]]
    claims = dict(zip(asking, keys_of(table.iloc[asking]), strict=True))
    found = list(identifiers)
    for study in studies:
        groups = [group for one in study for group in _groups(one, asked[one], claims, cells)]
        disputed = _disputed(groups, claims)
        for group in groups:
            is_alone = len(group.rows) == len(asked[group.identifier])
            named = () if is_alone else _claims(group, asked[group.identifier], claims)
            is_answered = cells.is_answered(group.identifier.level, group.rows)
            is_disputed = group.who in disputed and not is_answered
            if named or is_disputed:
                one = replace(group.identifier, claims=named, is_disputed=is_disputed)
                for row in group.rows:
                    found[row] = one
    return found


def _asked_for_twice(cells: RowCells, asked: Mapping[Identifier, list[int]]) -> list[list[Identifier]]:
    """Return, for each study that several rows ask for, their identifiers, unless all rows are from `find`."""
    studies: dict[str, list[Identifier]] = {}
    for identifier in asked:
        uid = identifier.get(_STUDY)
        if uid is not None:
            studies.setdefault(uid, []).append(identifier)
    return [
        study
        for study in studies.values()
        if sum(len(asked[one]) for one in study) > 1
        and not all(cells.is_answered(one.level, asked[one]) for one in study)
    ]


def _groups(
    identifier: Identifier, rows: Sequence[int], claims: Mapping[int, Claims], cells: RowCells
) -> Iterable[_Group]:
    groups: dict[Hashable, _Group] = {}
    is_answered = cells.is_answered(identifier.level, rows)
    for row in rows:
        # In Patient Root, the request itself names the patient.
        who = _who(claims[row]) if identifier.is_unsent(_PATIENT) else None
        key = None if is_answered else (who, bool(claims[row].get(_ACCESSION)))
        groups.setdefault(key, _Group(identifier, who, [])).rows.append(row)
    return groups.values()


def _who(claim: Claims) -> Hashable:
    """Return what is equal for rows that name the same patient; ``None`` if they name none.

    Examples
    --------
    >>> _who({"PatientID": ("7",)}) == _who({"PatientID": ("007",), "PatientName": ("Doe^Jane",)})
    True
    >>> _who({"PatientID": ("7",)}) == _who({"PatientID": ("7-1",)}), _who({"AccessionNumber": ("1",)})
    (False, None)
    """
    if claim.get(_PATIENT):
        return frozenset(spelling(value) for value in claim[_PATIENT])
    named = [tuple(value.casefold() for value in claim.get(name, ())) for name in PERSON]
    return tuple(named) if any(named) else None


def _claims(group: _Group, rows: Sequence[int], claims: Mapping[int, Claims]) -> Named:
    """Return the values that tell a group from the other rows with the same keys.

    A study may have several accession numbers: those of all rows are among them. The number of another row must not
    stand for a person whom only the name and birth date tell.
    """
    own = claims[group.rows[0]]
    names = () if group.who is None else (_PATIENT,) if own.get(_PATIENT) else PERSON
    lenders = rows if names != PERSON else group.rows
    numbers = different(value for row in lenders for value in claims[row].get(_ACCESSION, ()))
    named = [(name, value) for name in names for value in own.get(name, ())]
    return (*named, *((_ACCESSION, value) for value in numbers if own.get(_ACCESSION)))


def _disputed(groups: Collection[_Group], claims: Mapping[int, Claims]) -> set[Hashable]:
    """Return the patients of a study that contradict each other; it is of one of them at the most."""
    people: dict[Hashable, dict[str, tuple[str, ...]]] = {}
    for group in (one for one in groups if one.who is not None):
        known = people.setdefault(group.who, {})
        for row in group.rows:
            for name in (_PATIENT, *PERSON):
                known[name] = different((*known.get(name, ()), *claims[row].get(name, ())))
    first, found = list(people.items())[:_MOST_COMPARED], set()
    for who, known in people.items():
        for other, values in first:
            if contradicted(known, values):
                found |= {who, other}
    return found
