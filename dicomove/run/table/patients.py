"""Compares the patient and the accession number of a row with those of the PACS. Pure.

The PACS's answer about a study is compared with all keys of the row; arriving instances with the PatientIDs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

import pandas as pd

from dicomove.cohort import Identifier, criterion, is_blank, is_other_name, key_text, unsent_cells, whole_number
from dicomove.errors import IdentifierError
from dicomove.outcome import (
    ALTOGETHER,
    difference,
    is_alike,
    is_other_birth_date,
    is_other_number,
    stripped,
)

#: Keys with their values, in pairs.
Named = tuple[tuple[str, str], ...]

_PATIENT: Final = "PatientID"
_ACCESSION: Final = "AccessionNumber"
_NAME: Final = "PatientName"


def _is_other_patient(there: str, named: Collection[str]) -> bool:
    return difference(there, named) == ALTOGETHER


_Tells = Mapping[str, Callable[[str, Collection[str]], bool]]
#: For each key, a function that tells whether the PACS has another value, and not another spelling.
_NUMBERS: Final[_Tells] = {_PATIENT: _is_other_patient, _ACCESSION: is_other_number}
#: One of these alone may differ for the same person: names change, and tables for research shift dates.
_PERSON: Final[_Tells] = {_NAME: is_other_name, "PatientBirthDate": is_other_birth_date}
PERSON: Final = tuple(_PERSON)


def patients_of(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the PatientIDs of each row that images can be compared with.

    A row has several if several columns stand for the PatientID: images have to match one of them.

    Examples
    --------
    >>> patients_of(pd.DataFrame({"PatientID": ["007", " ", "12*"]}))
    [('007',), (), ()]
    >>> patients_of(pd.DataFrame({"mrn": [7.0], "Patient ID": ["A-7"]}))
    [('7', 'A-7')]
    """
    return _values(table, _PATIENT)


def further_keys_of(table: pd.DataFrame) -> dict[str, list[tuple[str, ...]]]:
    """Return the further values of each row that answers of the PACS are compared with, by keyword.

    Examples
    --------
    >>> further_keys_of(pd.DataFrame({"PatientBirthDate": ["1950-02-03", ""], "PatientName": ["Doe^Jane", "Doe*"]}))
    {'PatientName': [('Doe^Jane',), ()], 'PatientBirthDate': [('19500203',), ()]}
    """
    found = {name: _values(table, name) for name in (_ACCESSION, *_PERSON)}
    return {name: values for name, values in found.items() if any(values)}


def different(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the values of rows without repetitions, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))


def keys_of(table: pd.DataFrame) -> list[dict[str, tuple[str, ...]]]:
    """Return the values of each row for the keys of a patient and a study that are compared with the PACS."""
    values = {name: _values(table, name) for name in (*_NUMBERS, *_PERSON)}
    return [{name: cells[row] for name, cells in values.items() if cells[row]} for row in range(len(table))]


def unsent_patients(identifier: Identifier, patients: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the different PatientIDs of rows whose identifier has none."""
    if identifier.get(_PATIENT) is not None:
        return ()
    return different(chain.from_iterable(patients))


def named_by(identifier: Identifier, rows: Sequence[int], further: Mapping[str, Sequence[tuple[str, ...]]]) -> Named:
    """Return the values of `further_keys_of` for an identifier, and the accession numbers of rows beside it.

    With a PatientID, name and birth date are not among them.
    """
    is_known = identifier.get(_PATIENT) is not None
    beside = tuple(value for name, value in identifier.claims if name == _ACCESSION)
    return tuple(
        (name, value)
        for name, values in further.items()
        if not (is_known and name in _PERSON)
        for value in different((*chain(*(values[row] for row in rows)), *(beside if name == _ACCESSION else ())))
    )


def compared(patients: Collection[str], further: Named) -> dict[str, Collection[str]]:
    """Return the values of rows by keyword; the keywords are those to ask the PACS for."""
    named: dict[str, list[str]] = {_PATIENT: list(patients)} if patients else {}
    for name, value in further:
        named.setdefault(name, []).append(value)
    return dict(named)


def is_of_unknown_patient(
    identifier: Identifier,
    there: Mapping[str, Collection[str]],
    named: Mapping[str, Collection[str]],
    *,
    at_receiver: bool,
) -> bool:
    """Return whether nothing says which of several patients a study is of: neither the PACS, nor images at a receiver.

    Examples
    --------
    >>> study = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1.2"),), is_disputed=True)
    >>> named = {"PatientID": ["7"], "PatientName": ["DOE^JANE"]}
    >>> is_of_unknown_patient(study, {"PatientName": ["DOE^JANE"]}, named, at_receiver=False)
    True
    >>> is_of_unknown_patient(study, {}, named, at_receiver=True)
    False
    """
    if not identifier.is_disputed:
        return False
    if named.get(_PATIENT):
        return not there.get(_PATIENT) and not at_receiver
    differing = _differing(_PERSON, there, named)
    return not any(there.get(name) and named.get(name) and name not in differing for name in _PERSON)


def contradicted(there: Mapping[str, Collection[str]], named: Mapping[str, Collection[str]]) -> str | None:
    """Return the key whose value at the PACS differs from all values of the rows.

    Another spelling is the same value. PatientName stands for name and birth date: see `other_person`.

    Parameters
    ----------
    there
        The values of the PACS; none if it does not give them.
    named
        The values of the rows.

    Examples
    --------
    >>> contradicted({"PatientID": ["7"]}, {"PatientID": ["8"]})
    'PatientID'
    >>> contradicted({"PatientID": ["007"], "AccessionNumber": []}, {"PatientID": ["7"], "AccessionNumber": ["A1"]})
    >>> contradicted({"AccessionNumber": ["2024-02"]}, {"AccessionNumber": ["2024-01"]})
    'AccessionNumber'
    """
    found = _differing(_NUMBERS, there, named)
    if not found and len(other_person(there, named)) == len(_PERSON):
        return _NAME
    return next(iter(found), None)


def doubtful_keys(
    there: Mapping[str, Collection[str]], named: Mapping[str, Collection[str]], *, at_receiver: bool
) -> tuple[str, ...]:
    """Return the keys that may show another person at the PACS, although it does not contradict the rows.

    A PatientID in another spelling is such a key, unless a receiver names it with the images.

    Examples
    --------
    >>> doubtful_keys({"PatientID": ["007"]}, {"PatientID": ["7"]}, at_receiver=False)
    ('PatientID',)
    >>> doubtful_keys({"PatientID": ["007"]}, {"PatientID": ["7"]}, at_receiver=True)
    ()
    """
    values, known = there.get(_PATIENT), named.get(_PATIENT, ())
    if values and not at_receiver and all(is_alike(value, known) for value in values):
        return (_PATIENT,)
    return other_person(there, named)


def other_person(there: Mapping[str, Collection[str]], named: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Return the keys that show another person at the PACS: PatientName, PatientBirthDate or both.

    The result is empty if a PatientID or an accession number was compared, because these are more reliable.

    Examples
    --------
    >>> other_person({"PatientName": ["DOE^JANE"]}, {"PatientName": ["Roe, John"]})
    ('PatientName',)
    >>> other_person({"PatientName": ["DOE^JANE"], "PatientID": ["7"]}, {"PatientName": ["X^Y"], "PatientID": ["7"]})
    ()
    """
    is_known = any(there.get(name) and named.get(name) for name in _NUMBERS)
    return () if is_known else tuple(_differing(_PERSON, there, named))


def _differing(tells: _Tells, there: Mapping[str, Collection[str]], named: Mapping[str, Collection[str]]) -> list[str]:
    found = []
    for name, is_another in tells.items():
        # A study may belong to several requests.
        values = [value for one in there.get(name, ()) for value in (one.split("\\") if name == _ACCESSION else [one])]
        if values and named.get(name) and all(is_another(value, named[name]) for value in values):
            found.append(name)
    return found


def _values(table: pd.DataFrame, name: str) -> list[tuple[str, ...]]:
    read = _day if name == "PatientBirthDate" else _single
    columns = [[None if is_blank(cell) else read(cell, name) for cell in cells] for cells in unsent_cells(table, name)]
    return [different(values) for values in zip(*columns, strict=True)] if columns else [()] * len(table)


def _single(cell: object, name: str) -> str | None:
    try:
        found = stripped(whole_number(cell) or key_text(cell, name))
    except IdentifierError:
        return None
    return None if not found or set(found) & set("*?\\") else found


def _day(cell: object, name: str) -> str | None:
    try:
        found = criterion(cell, name)
    except IdentifierError:
        return None
    return found if len(found) == len("YYYYMMDD") else None
