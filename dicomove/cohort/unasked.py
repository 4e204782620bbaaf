"""Finds columns that a search does not send, although the user may mean them as keys. Each kind becomes a sentence.

A search without the accession number of a row matches more studies than the user means. So a warning before the search
names the columns that dicomove does not understand, the keys that are the index of the table, and blank columns.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort.found import is_found
from dicomove.cohort.keywords import KEYWORDS, candidates, keyword, label_text
from dicomove.cohort.levels import IDENTIFYING_KEYS, MATCHING_KEYS
from dicomove.cohort.tables import (
    header_hint,
    index_hint,
    may_number_participants,
    overlooked_headers,
    own_columns,
    shown_header,
)
from dicomove.cohort.values import is_blank

#: Keys that a search for studies sends.
_OF_STUDIES: Final = (*MATCHING_KEYS["PATIENT"], *MATCHING_KEYS["STUDY"], "Modality")
#: Keys without which a row matches too much, each with the keys that make up for it.
_NARROWING: Final[Mapping[str, tuple[str, ...]]] = {
    "PatientID": ("StudyInstanceUID",),
    "AccessionNumber": ("StudyInstanceUID",),
    "StudyInstanceUID": ("AccessionNumber",),
    "StudyDate": ("StudyInstanceUID", "AccessionNumber"),
}
#: A header that pandas, or a form with repeated fields, has numbered: accession_2, PatientID.1.
_NUMBERED: Final = re.compile(r"(.*[A-Za-z])[ ._-]?(?:[0-9]{1,2}|_[xy])")


def unasked_columns(table: pd.DataFrame, *, by_uid: bool) -> list[str]:
    """Return a sentence for each kind of column that is not sent, although the user may mean it as a key.

    Parameters
    ----------
    table
        The table.
    by_uid
        Whether a UID is the key of the rows. A ``subject`` is then a number of the caller's study.

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
    return [sentence.strip() for sentence in (*found, _blank(table, there)) if sentence]


def _overlooked(table: pd.DataFrame, there: Collection[str], *, by_uid: bool) -> str:
    # Names and StudyIDs add little to the others, and research tables have many columns that look like them.
    wanted = [name for name in IDENTIFYING_KEYS if name not in (*there, "PatientName", "StudyID")]
    headers = [header for header in _others(table) if not (by_uid and may_number_participants(header))]
    return header_hint(overlooked_headers(headers, wanted))


def _numbered(table: pd.DataFrame, there: Collection[str]) -> str:
    found = [shown_header(header) for header in _others(table) if _is_numbered(header, there)]
    if not found:
        return ""
    return f"Only one column of each key is asked for, without {', '.join(found)}: write a row for each value."


def _is_numbered(header: object, there: Collection[str]) -> bool:
    match = _NUMBERED.fullmatch((label_text(header) or "").strip())
    name = keyword(match[1]) if match and keyword(header) is None else None
    return name in _NARROWING and name in there and name != "StudyDate"


def _blank(table: pd.DataFrame, there: Mapping[str, int]) -> str:
    """Return a sentence about keys that are blank in every row. If only some rows lack a key, their advice names it."""
    if not len(table):
        return ""
    filled = {name for name in _NARROWING if name in there and not _is_blank(table, there[name])}
    blank = [name for name in _NARROWING if name in there and name not in filled]
    names = [name for name in blank if filled.isdisjoint(_NARROWING[name])]
    if not names:
        return ""
    are, them = ("is", "it") if len(names) == 1 else ("are", "them")
    return f"{_listed(names)} {are} blank in every row, so the rows are asked without {them}."


def _is_blank(table: pd.DataFrame, place: int) -> bool:
    return all(map(is_blank, table.iloc[:, place]))


def _others(table: pd.DataFrame) -> Iterable[object]:
    own = set(own_columns(table))
    return (header for header in table.columns if label_text(header) not in own)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
