"""The PatientIDs and accession numbers that the rows of a table name beside what is moved. Pure.

What the PACS says of a study is held against both, and what comes against the PatientIDs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import pandas as pd

from dicomove.cohort import Identifier, cells_beside, is_blank, text, whole_number
from dicomove.errors import IdentifierError
from dicomove.outcome import ALTOGETHER, difference, is_other_number, stripped

_PATIENT, _ACCESSION = "PatientID", "AccessionNumber"


def patients_of(table: pd.DataFrame) -> list[str | None]:
    """Return the PatientID of each row; ``None`` where it has none that images could be held against.

    Examples
    --------
    >>> patients_of(pd.DataFrame({"PatientID": ["007", " ", "12*"]}))
    ['007', None, None]
    >>> patients_of(pd.DataFrame({"PatientID": [7.0]}))
    ['7']
    """
    return [_single(cell, _PATIENT) for cell in cells_beside(table, _PATIENT)]


def accessions_of(table: pd.DataFrame) -> list[str | None]:
    """Return the accession number of each row; ``None`` where it has none that the PACS's could be held against."""
    return [_single(cell, _ACCESSION) for cell in cells_beside(table, _ACCESSION)]


def different(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the different values that rows name, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))


def beside(identifier: Identifier, patients: Iterable[str | None]) -> tuple[str, ...]:
    """Return the different PatientIDs that rows name beside an identifier that has none."""
    if identifier.get(_PATIENT) is not None:
        return ()
    return different(patients)


def named_beside(patients: Collection[str], accessions: Collection[str]) -> dict[str, Collection[str]]:
    """Return what rows name beside what is moved, by keyword: what there is to ask the PACS for."""
    named = {_PATIENT: patients, _ACCESSION: accessions}
    return {name: values for name, values in named.items() if values}


def contradicted(there: Mapping[str, Collection[str]], named: Mapping[str, Collection[str]]) -> str | None:
    """Return the key under which the PACS has a study with another value than each that is named.

    Another spelling is the same value.

    Parameters
    ----------
    there
        The values under which the PACS has the study; none where it does not say.
    named
        Those of the rows.

    Examples
    --------
    >>> contradicted({"PatientID": ["7"]}, {"PatientID": ["8"]})
    'PatientID'
    >>> contradicted({"PatientID": ["007"], "AccessionNumber": []}, {"PatientID": ["7"], "AccessionNumber": ["A1"]})
    >>> contradicted({"AccessionNumber": ["2024-02"]}, {"AccessionNumber": ["2024-01"]})
    'AccessionNumber'
    """
    return next((name for name, values in named.items() if _is_another(name, there.get(name, ()), values)), None)


def _is_another(name: str, there: Collection[str], named: Collection[str]) -> bool:
    if name == _PATIENT:
        return bool(there) and all(difference(one, named) == ALTOGETHER for one in there)
    # Several requests may have led to one study.
    numbers = [number for one in there for number in one.split("\\")]
    return bool(there) and all(is_other_number(one, named) for one in numbers)


def _single(cell: object, name: str) -> str | None:
    if is_blank(cell):
        return None
    try:
        found = stripped(whole_number(cell) or text(cell, name))
    except IdentifierError:
        return None
    return None if not found or set(found) & set("*?\\") else found
