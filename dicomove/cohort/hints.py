"""Hints to the user: columns that a search does not send, rows that bring more than others, and unlikely values.

A search without the accession number of a row matches more studies than the user means. So a warning before the search
names the columns that dicomove does not understand, the keys that are the index of the table, and blank columns.
An unlikely value is sent unchanged, because an archive may have it. If the search matches nothing, a sentence names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort.changes import has_other_labels
from dicomove.cohort.doubts import placeholder, unlikely
from dicomove.cohort.find_tables import found_rows
from dicomove.cohort.identifiers import Identifier, Requested
from dicomove.cohort.key_values import is_universal
from dicomove.cohort.keywords import (
    IDENTIFYING_KEYS,
    KEYWORDS,
    LEVELS,
    MATCHING_KEYS,
    Level,
    candidates,
    is_found,
    keyword,
    keyword_columns,
    label_text,
)
from dicomove.cohort.likeness import listed, odd_in
from dicomove.cohort.tables import index_hint, own_columns
from dicomove.cohort.unknown_headers import (
    header_hint,
    keys_beside_uids,
    keys_in_cells,
    may_number_participants,
    numbered_key,
    overlooked_headers,
    shown_header,
)
from dicomove.cohort.values import is_blank

_LEVEL: Final = "QueryRetrieveLevel"
#: Keys that a search for studies sends.
_OF_STUDIES: Final = (*MATCHING_KEYS["PATIENT"], *MATCHING_KEYS["STUDY"], "Modality")
#: Keys by which a row with a UID is compared with the study of the PACS.
_COMPARED: Final = ("PatientID", "AccessionNumber", "PatientName", "PatientBirthDate")
#: Keys without which a row matches too much, each with the keys that make up for it.
_NARROWING: Final[Mapping[str, tuple[str, ...]]] = {
    "PatientID": ("StudyInstanceUID",),
    "AccessionNumber": ("StudyInstanceUID",),
    "StudyInstanceUID": ("AccessionNumber",),
    "StudyDate": ("StudyInstanceUID", "AccessionNumber"),
}
#: A long table repeats the names of its keys within few rows.
_FIRST_ROWS: Final = 1000


def unasked_columns(table: pd.DataFrame, *, by_uid: bool, level: Level = "STUDY") -> list[str]:
    """Return a sentence for each kind of column that is not sent, although the user may mean it as a key.

    Parameters
    ----------
    table
        The table.
    by_uid
        Whether a UID is the key of the rows. A ``subject`` is then a number of the caller's study.
    level
        The level of the search.

    Examples
    --------
    >>> unasked_columns(pd.DataFrame({"mrn": ["7"], "accession": [""]}), by_uid=False)
    ['AccessionNumber is blank in every row, so the rows are asked without it.']
    """
    if is_found(table.columns):
        return []  # `find` has named them for the cohort, and has made the other columns
    there = {name: places[0] for name, places in candidates(table.columns, KEYWORDS).items()}
    keys = [name for name in _OF_STUDIES if name not in there]
    found = (_overlooked(table, there, by_uid=by_uid), index_hint(table, keys), _numbered(table, there))
    return [sentence.strip() for sentence in (*found, _blank(table, there), _below(table, there, level)) if sentence]


def uncompared_keys(table: pd.DataFrame) -> str | None:
    """Return a sentence about keys of a table with UIDs that its rows are not compared by.

    They are the index of a typed table, or a merge has renamed their columns.

    Examples
    --------
    >>> uncompared_keys(pd.DataFrame({"StudyInstanceUID": ["1.2"]}, index=pd.Index(["7"], name="PatientID")))
    'rows are not compared by a key that they have. PatientID is the index: table.reset_index() makes it a column.'
    """
    there = candidates(table.columns, _COMPARED)
    absent = [name for name in _COMPARED if name not in there]
    index = index_hint(table, absent) if not is_found(table.columns) or has_other_labels(table) else ""
    numbers = [name for name in absent if name in ("PatientID", "AccessionNumber")]
    hint = f"{header_hint(keys_beside_uids(_first_cells(table, _others(table)), numbers))}{index}"
    return f"rows are not compared by a key that they have.{hint}" if hint else None


def _overlooked(table: pd.DataFrame, there: Collection[str], *, by_uid: bool) -> str:
    # Names and StudyIDs add little to the others, and research tables have many columns that look like them.
    wanted = [name for name in IDENTIFYING_KEYS if name not in (*there, "PatientName", "StudyID")]
    if {"StudyDate", "AccessionNumber"}.isdisjoint(there):  # the rows ask for all studies of their patients
        wanted.append("StudyDate")
    headers = [header for header in _others(table) if not (by_uid and may_number_participants(header))]
    found = overlooked_headers(headers, wanted)
    if found or "AccessionNumber" in there:
        return header_hint(found)
    return keys_in_cells(_first_cells(table, [header for header in headers if keyword(header) is None]), wanted)


def _numbered(table: pd.DataFrame, there: Collection[str]) -> str:
    keys = {name for name in _NARROWING if name in there and name != "StudyDate"}
    found = [shown_header(header) for header in _others(table) if numbered_key(header) in keys]
    if not found:
        return ""
    return f"Only one column of each key is asked for, without {', '.join(found)}: write a row for each value."


def _blank(table: pd.DataFrame, there: Mapping[str, int]) -> str:
    """Return a sentence about keys that are blank in every row. If only some rows lack a key, their advice names it."""
    if not len(table):
        return ""
    filled = {name for name in _NARROWING if name in there and not _is_unsent(table, there[name], name)}
    blank = [name for name in _NARROWING if name in there and name not in filled]
    names = [name for name in blank if filled.isdisjoint(_NARROWING[name])]
    if not names:
        return ""
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    marks = "" if all(_is_blank(table, there[name]) for name in names) else ", or only question marks,"
    return f"{listed(names)} {are} blank{marks} in every row, so the rows are asked without {them}."


def _below(table: pd.DataFrame, there: Mapping[str, int], level: Level) -> str:
    """Return a sentence about keys of lower levels: the rows match more than they name."""
    lower = {at: _narrowing_at(at, level) for at in LEVELS[LEVELS.index(level) + 1 :]}
    found = {
        at: [name for name in keys if name in there and not _is_blank(table, there[name])] for at, keys in lower.items()
    }
    names = [name for keys in found.values() for name in keys]
    if not names:
        return ""
    are = "is" if len(names) == 1 else "are"
    deepest = next(at for at in reversed(found) if found[at])
    return f"{listed(names)} {are} not asked for at the level {level}, but at the level {deepest}: level='{deepest}'."


def _narrowing_at(lower: Level, level: Level) -> list[str]:
    """Return the keys of a lower level that narrow only a search there. UIDs go to `move`, Modality to studies."""
    return [
        name for name in MATCHING_KEYS[lower] if not name.endswith("UID") and (level, name) != ("STUDY", "Modality")
    ]


def _is_blank(table: pd.DataFrame, place: int) -> bool:
    return all(map(is_blank, table.iloc[:, place]))


def _is_unsent(table: pd.DataFrame, place: int, name: str) -> bool:
    """Tell whether no cell of a column is sent. People mean "*", but programs write "?" for other characters."""
    return all(is_blank(cell) or (is_universal(cell, name) and "*" not in cell) for cell in table.iloc[:, place])


def _others(table: pd.DataFrame) -> Iterable[object]:
    own = set(own_columns(table))
    return (header for header in table.columns if label_text(header) not in own)


def _first_cells(table: pd.DataFrame, headers: Iterable[object]) -> Iterable[tuple[object, list[object]]]:
    wanted, first = list(headers), table.iloc[:_FIRST_ROWS]
    return ((label, first.iloc[:, place].tolist()) for place, label in enumerate(table.columns) if label in wanted)


def on_coarser_rows(table: pd.DataFrame, requested: Sequence[Requested]) -> str | None:
    """Return a sentence about rows that bring more than the others because they lack the deepest UID, or None.

    If a column gives the level of each row, the sentence is about rows of `find` that matched a study and bring its
    patient.
    """
    if _LEVEL in keyword_columns(table.columns, (_LEVEL,)):
        return _on_patients(table, requested)
    levels = Counter(LEVELS.index(entry.level) for entry in requested if isinstance(entry, Identifier))
    if len(levels) < 2:
        return None
    deepest, coarser = LEVELS[max(levels)], levels.total() - levels[max(levels)]
    return (
        f"{coarser} of {len(requested)} rows lack a UID that the others have. They bring all of the level above, "
        f"not one {deepest.lower()} each: fill the UID, or give the level of each row in a column {_LEVEL}"
    )


def _on_patients(table: pd.DataFrame, requested: Sequence[Requested]) -> str | None:
    place = keyword_columns(table.columns, ("StudyInstanceUID",)).get("StudyInstanceUID")
    if place is None:
        return None
    matched = zip(found_rows(table), table.iloc[:, place].tolist(), requested, strict=True)
    whole = sum(
        is_found and not is_blank(study) and isinstance(entry, Identifier) and entry.level == "PATIENT"
        for is_found, study, entry in matched
    )
    return (
        f"{whole} of {len(requested)} rows bring all studies of their patient, and not only the study that find "
        f"matched, because their column {_LEVEL} says PATIENT"
        if whole
        else None
    )


def on_patients_of_any_site(table: pd.DataFrame, requested: Sequence[Requested]) -> str | None:
    """Return a sentence about rows that bring a whole patient and name the issuer of its PatientID, or None.

    Examples
    --------
    >>> table = pd.DataFrame({"PatientID": ["7"], "IssuerOfPatientID": ["A"]})
    >>> on_patients_of_any_site(table, [Identifier("PATIENT", "PatientRoot", (("PatientID", "7"),))])[:48]
    '1 of 1 rows bring a whole patient and name an Is'
    """
    place = keyword_columns(table.columns, ("IssuerOfPatientID",)).get("IssuerOfPatientID")
    cells = [] if place is None else table.iloc[:, place].tolist()
    whole = sum(
        isinstance(entry, Identifier) and entry.level == "PATIENT" and not is_blank(cell)
        for entry, cell in zip(requested, cells, strict=False)
    )
    return (
        f"{whole} of {len(requested)} rows bring a whole patient and name an IssuerOfPatientID, which a C-MOVE does "
        "not have: they bring the studies of each patient with this PatientID, also at another site. To bring those of "
        'one issuer, find the studies with query_model="StudyRoot", and move these'
        if whole
        else None
    )


def on_patients_without_number(requested: Sequence[Requested]) -> str | None:
    """Return a sentence about rows that bring a whole patient whose PatientID stands for an empty cell, or None.

    Examples
    --------
    >>> on_patients_without_number([Identifier("PATIENT", "PatientRoot", (("PatientID", "unknown"),))])[:59]
    '1 of 1 rows bring a whole patient by a PatientID that often'
    """
    whole = sum(
        isinstance(entry, Identifier)
        and entry.level == "PATIENT"
        and placeholder(entry["PatientID"], "PatientID") is not None
        for entry in requested
    )
    return (
        f"{whole} of {len(requested)} rows bring a whole patient by a PatientID that often stands for an empty cell "
        "(a word, zeros or nines): they bring the studies of all patients who have it"
        if whole
        else None
    )


def unlikely_values(keys: Iterable[tuple[str, str]]) -> list[str]:
    r"""Return a sentence for each key that may be wrong, after a search that matched nothing.

    Examples
    --------
    >>> unlikely_values([("AccessionNumber", "\u041012"), ("PatientName", "Doe, Jane"), ("Modality", "CT")])
    ['AccessionNumber holds U+0410 CYRILLIC CAPITAL LETTER A, which looks like another character',
     'PatientName may have another form in the PACS: no ^ between the parts of the name (Doe^Jane)']
    """
    said = []
    for name, value in keys:
        odd = odd_in(value)
        if odd:
            said.append(f"{name} holds {', '.join(odd)}, which looks like another character")
        if why := unlikely(value, name):
            said.append(f"{name} may have another form in the PACS: {why}")
    return said


def with_other_keys(keys: Iterable[tuple[str, str]]) -> str:
    """Return a sentence about a number that matches nothing together with other keys; else nothing.

    A PatientID without a study of a date is nothing unusual: beside it, only the other keys of the patient count.

    Examples
    --------
    >>> with_other_keys([("AccessionNumber", "A1"), ("StudyDate", "20240105")])
    'the PACS may have this AccessionNumber with another StudyDate, because all keys have to match'
    >>> with_other_keys([("PatientID", "7"), ("PatientName", "Doe^Jane"), ("StudyDate", "20240105")])
    'the PACS may have this PatientID with another PatientName, because all keys have to match'
    """
    names = [name for name, _ in keys]
    number = next((name for name in ("AccessionNumber", "PatientID") if name in names), None)
    wider = names if number == "AccessionNumber" else MATCHING_KEYS["PATIENT"]
    narrower = [name for name in names if name in wider and name != number and not name.endswith("UID")]
    if number is None or not narrower:
        return ""
    other = " or ".join(filter(None, [", ".join(narrower[:-1]), narrower[-1]]))
    return f"the PACS may have this {number} with another {other}, because all keys have to match"
