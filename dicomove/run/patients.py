"""What the rows of a table name of a study, or of its patient, beside what is moved. Pure.

What the PACS says of a study is held against all of it, and what comes against the PatientIDs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort import Identifier, cells_beside, criterion, is_blank, is_other_name, text, whole_number
from dicomove.errors import IdentifierError
from dicomove.outcome import ALTOGETHER, difference, is_other_birth_date, is_other_number, stripped

#: Keys with their values, in pairs.
Named = tuple[tuple[str, str], ...]

_PATIENT: Final = "PatientID"


def _is_other_patient(there: str, named: Collection[str]) -> bool:
    return difference(there, named) == ALTOGETHER


#: What tells that a value of the PACS is another than each that the rows name, and not another spelling of one.
_IS_ANOTHER: Final[Mapping[str, Callable[[str, Collection[str]], bool]]] = {
    _PATIENT: _is_other_patient,
    "AccessionNumber": is_other_number,
    "PatientBirthDate": is_other_birth_date,
}
_NAME: Final = "PatientName"


def patients_of(table: pd.DataFrame) -> list[str | None]:
    """Return the PatientID of each row; ``None`` where it has none that images could be held against.

    Examples
    --------
    >>> patients_of(pd.DataFrame({"PatientID": ["007", " ", "12*"]}))
    ['007', None, None]
    >>> patients_of(pd.DataFrame({"PatientID": [7.0]}))
    ['7']
    """
    return _values(table, _PATIENT)


def further_keys_of(table: pd.DataFrame) -> dict[str, list[str | None]]:
    """Return what else the PACS's answers are held against: the values of each row, by keyword.

    Examples
    --------
    >>> further_keys_of(pd.DataFrame({"PatientBirthDate": ["1950-02-03", ""], "PatientName": ["Doe^Jane", "Doe*"]}))
    {'PatientBirthDate': ['19500203', None], 'PatientName': ['Doe^Jane', None]}
    """
    found = {name: _values(table, name) for name in (*_IS_ANOTHER, _NAME) if name != _PATIENT}
    return {name: values for name, values in found.items() if any(values)}


def different(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the different values that rows name, in their order."""
    return tuple(dict.fromkeys(value for value in values if value))


def beside(identifier: Identifier, patients: Iterable[str | None]) -> tuple[str, ...]:
    """Return the different PatientIDs that rows name beside an identifier that has none."""
    if identifier.get(_PATIENT) is not None:
        return ()
    return different(patients)


def named_by(rows: Sequence[int], further: Mapping[str, Sequence[str | None]]) -> Named:
    """Return what some of the rows name, of `further_keys_of` a table."""
    return tuple((name, value) for name, values in further.items() for value in different(values[row] for row in rows))


def compared(patients: Collection[str], further: Named) -> dict[str, Collection[str]]:
    """Return what rows name beside what is moved, by keyword: what there is to ask the PACS for."""
    named: dict[str, list[str]] = {_PATIENT: list(patients)} if patients else {}
    for name, value in further:
        named.setdefault(name, []).append(value)
    return dict(named)


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
    return next((name for name in _IS_ANOTHER if _is_another(name, there.get(name, ()), named.get(name, ()))), None)


def has_other_name(there: Mapping[str, Collection[str]], named: Mapping[str, Collection[str]]) -> bool:
    """Return whether the PACS has a study under the PatientName of another person than each that is named.

    Examples
    --------
    >>> has_other_name({"PatientName": ["DOE^JANE"]}, {"PatientName": ["Jane Doe"]})
    False
    """
    found, values = there.get(_NAME, ()), named.get(_NAME, ())
    return bool(found and values) and all(is_other_name(one, values) for one in found)


def _is_another(name: str, there: Collection[str], named: Collection[str]) -> bool:
    # Several requests may have led to one study.
    values = [value for one in there for value in (one.split("\\") if name == "AccessionNumber" else [one])]
    return bool(values and named) and all(_IS_ANOTHER[name](value, named) for value in values)


def _values(table: pd.DataFrame, name: str) -> list[str | None]:
    read = _day if name == "PatientBirthDate" else _single
    return [None if is_blank(cell) else read(cell, name) for cell in cells_beside(table, name)]


def _single(cell: object, name: str) -> str | None:
    try:
        found = stripped(whole_number(cell) or text(cell, name))
    except IdentifierError:
        return None
    return None if not found or set(found) & set("*?\\") else found


def _day(cell: object, name: str) -> str | None:
    try:
        found = criterion(cell, name)
    except IdentifierError:
        return None
    return found if len(found) == len("YYYYMMDD") else None
