"""Which rows share one C-MOVE: those with the same identifier, unless they name different patients. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import pandas as pd

from dicomove.cohort import Identifier, Requested
from dicomove.run.cells import RowCells
from dicomove.run.patients import Named, contradicted, different, patient_keys_of

#: The most patients of one study that a further row is compared with; beyond them, each row is one of its own.
_MOST_COMPARED: Final = 20
#: The keys by which a group of rows is named.
_NAMES: Final = ("PatientID", "PatientName")


def rows_of(identifiers: Sequence[Requested]) -> dict[Identifier, list[int]]:
    """Return the rows that ask for each identifier."""
    rows: dict[Identifier, list[int]] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            rows.setdefault(identifier, []).append(position)
    return rows


def by_patient(table: pd.DataFrame, identifiers: Sequence[Requested]) -> list[Requested]:
    """Return the identifiers; rows with the same keys do not share one if they name different patients.

    The study is of one of them at the most. Rows from `find` keep theirs: the PACS itself named their patients.

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
    >>> [identifier.patient for identifier in found]
    [(('PatientID', '7'),), (('PatientID', '8'),), (('PatientID', '7'),), ()]
    """
    shared = {one: rows for one, rows in rows_of(identifiers).items() if len(rows) > 1 and one.is_unsent("PatientID")}
    asking = [row for rows in shared.values() for row in rows]
    claims = dict(zip(asking, patient_keys_of(table.iloc[asking]), strict=True))
    cells, found = RowCells(table), list(identifiers)
    for identifier, rows in shared.items():
        if cells.is_answered(identifier.level, rows):
            continue
        for row, patient in _told_apart({row: claims[row] for row in rows if claims[row]}).items():
            found[row] = replace(identifier, patient=patient)
    return found


def _told_apart(claims: Mapping[int, Mapping[str, tuple[str, ...]]]) -> dict[int, Named]:
    """Return for each row the keys that tell its patient from those of the other rows; nothing if all agree.

    Parameters
    ----------
    claims
        For each row that asks for the same study, its values from `patient_keys_of`.

    Examples
    --------
    >>> _told_apart({0: {"PatientID": ("7",)}, 1: {"PatientID": ("8",)}, 4: {"PatientID": ("007",)}})
    {0: (('PatientID', '7'),), 4: (('PatientID', '7'),), 1: (('PatientID', '8'),)}
    >>> _told_apart({0: {"PatientID": ("7",)}, 1: {"PatientID": ("007",)}})
    {}
    """
    groups: list[tuple[dict[str, tuple[str, ...]], list[int]]] = []
    for row, claim in claims.items():
        known, rows = next((group for group in groups[:_MOST_COMPARED] if not contradicted(claim, group[0])), ({}, []))
        if not rows:
            groups.append((known, rows))
        for name, values in claim.items():
            known[name] = different((*known.get(name, ()), *values))
        rows.append(row)
    if len(groups) < 2:
        return {}
    patients = [(tuple((name, known[name][0]) for name in _NAMES if name in known), rows) for known, rows in groups]
    return {row: patient for patient, rows in patients for row in rows}
