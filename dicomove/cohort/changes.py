"""Notices rows of `find` and `plan` that the user has changed since: their keys may not belong together. Pure.

A table of `find` has a digest of the unique keys of each row in ``attrs``. pandas copies it to tables that are made
from this one. It drops it where tables are merged, or read from a file: then it is not known whether a row was changed.
The digests have a key that only this process knows: otherwise they would tell a PatientID that the user has removed.
They say what one PACS has told: another PACS may have the same UID for another patient.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import pandas as pd

from dicomove.cohort.find_tables import found_rows
from dicomove.cohort.keywords import LEVELS, UNIQUE_KEYS, Level, candidates, keyword
from dicomove.cohort.tables import own_copy
from dicomove.cohort.values import EDGES, is_blank
from dicomove.pacs import Pacs, check_pacs

_FOUND: Final = "dicomove.found_keys"
_PLANNED: Final = "dicomove.planned_keys"
_TYPED: Final = "dicomove.keys_with_typed_patient"
_TOLD_BY: Final = "dicomove.told_by"
_KEY: Final = secrets.token_bytes(16)
#: Tells digests of this process from others.
_PROCESS: Final = blake2b(_KEY, digest_size=8).hexdigest()
_BYTES: Final = 6


def with_digests(
    table: pd.DataFrame, level: str, mark: str = _FOUND, told: Sequence[bool] | None = None, told_by: str = ""
) -> pd.DataFrame:
    """Put the digests of its rows into a table of `find`, and return the table.

    `told` says of each row whether the PACS has told its PatientID; otherwise the user typed it.
    `told_by` is the address of the PACS.
    """
    rows = list(_keys(table, UNIQUE_KEYS["PatientRoot"][next(name for name in LEVELS if name == level)]))
    # A user may have good reasons to remove the PatientID.
    digests = dict.fromkeys(_digest(one) for keys in rows for one in (keys, ("", *keys[1:])))
    table.attrs[mark] = " ".join([_PROCESS, level, *digests])
    table.attrs[_TOLD_BY] = _digest([told_by])
    if told is not None:
        typed = [_digest(keys) for keys, is_told in zip(rows, told, strict=True) if keys[0] and not is_told]
        table.attrs[_TYPED] = " ".join([_PROCESS, level, *typed])
    return table


def with_plan_digests(table: pd.DataFrame, told_by: str) -> pd.DataFrame:
    """Put the digests of its rows into a plan, and return the plan."""
    return with_digests(table, "IMAGE", _PLANNED, told_by=told_by)


def table_for(table: pd.DataFrame, pacs: Pacs) -> pd.DataFrame:
    """Return a copy of the caller's table for this PACS, without digests if another PACS has told its rows.

    Raises
    ------
    AddressError
        The PACS is not a `Pacs`.
    CohortError
        The table is not a DataFrame.

    Examples
    --------
    >>> found = with_digests(pd.DataFrame({"StudyInstanceUID": ["1.2"]}), "STUDY", told_by="A@a:104")
    >>> digest_level(table_for(found, Pacs("A@a:104")))
    'STUDY'
    >>> digest_level(table_for(found, Pacs("B@b:104"))) is None
    True
    """
    check_pacs(pacs)
    copy = own_copy(table)
    if copy.attrs.get(_TOLD_BY) != _digest([pacs.address]):
        for mark in (_FOUND, _PLANNED, _TYPED):
            copy.attrs.pop(mark, None)
    return copy


def replanned_rows(table: pd.DataFrame) -> list[bool]:
    """Return, for each row of a plan, whether it is known to have other keys since.

    Examples
    --------
    >>> series = pd.DataFrame({"StudyInstanceUID": ["1.2"], "SeriesInstanceUID": ["1.2.1"]})
    >>> planned = with_plan_digests(series, "A@a:104")
    >>> replanned_rows(planned), replanned_rows(planned.assign(SeriesInstanceUID="1.3.1"))
    ([False], [True])
    """
    return [not is_there for is_there in _are_there(table, _PLANNED, if_unknown=True)]


def digest_level(table: pd.DataFrame) -> Level | None:
    """Return the level down to which `changed_rows` notices a change; ``None`` if the table has no digests.

    `find` has seen no UID below this level: the table has them as the user typed them.

    Examples
    --------
    >>> digest_level(with_digests(pd.DataFrame({"StudyInstanceUID": ["1.2"]}), "STUDY"))
    'STUDY'
    """
    return _digests_of(table, _FOUND)[0]


def has_plan_digests(table: pd.DataFrame) -> bool:
    """Tell whether a plan has digests, so that `replanned_rows` would notice a change."""
    return _digests_of(table, _PLANNED)[0] is not None


def changed_rows(table: pd.DataFrame) -> list[bool]:
    """Return, for each row of a table, whether it comes from `find` and has another UID or PatientID since.

    Examples
    --------
    >>> columns = {"cohort_row": [0, 1], "outcome": "matched", "matches": 1, "filtered": 0}
    >>> keys = {"PatientID": ["7", "8"], "StudyInstanceUID": ["1.2.7", "1.2.8"]}
    >>> found = with_digests(pd.DataFrame(columns | keys), "STUDY")
    >>> changed_rows(found[::-1]), changed_rows(found.assign(PatientID=["7", "7"]))
    ([False, False], [False, True])
    """
    rows = zip(found_rows(table), _are_there(table, _FOUND, if_unknown=True), strict=True)
    return [is_found and not is_there for is_found, is_there in rows]


def rows_with_typed_patient(table: pd.DataFrame) -> list[bool]:
    """Return, for each row of a table of `find`, whether it is known that the user typed its PatientID.

    Examples
    --------
    >>> keys = pd.DataFrame({"PatientID": ["7", "8"], "StudyInstanceUID": ["1.2.7", "1.2.8"]})
    >>> found = with_digests(keys, "STUDY", told=[True, False])
    >>> rows_with_typed_patient(found), rows_with_typed_patient(found.assign(PatientID=""))
    ([False, True], [False, False])
    """
    return _are_there(table, _TYPED, if_unknown=False)


def has_other_labels(table: pd.DataFrame) -> bool:
    """Tell whether the PatientID of a table of `find` is its index, and its labels may not be those of its rows.

    Examples
    --------
    >>> keys = pd.DataFrame({"PatientID": ["7", "8"], "StudyInstanceUID": ["1.2.7", "1.2.8"]})
    >>> found = with_digests(keys, "STUDY").set_index("PatientID")
    >>> has_other_labels(found), has_other_labels(found.set_axis(["8", "7"]).rename_axis("PatientID"))
    (False, True)
    """
    levels = [at for at, name in enumerate(table.index.names) if keyword(name) == "PatientID"]
    if not levels or candidates(table.columns, ["PatientID"]):
        return False
    labelled = table.assign(PatientID=table.index.get_level_values(levels[0]))
    return not all(_are_there(labelled, _FOUND, if_unknown=False))


def _digests_of(table: pd.DataFrame, mark: str) -> tuple[Level | None, set[str]]:
    """Return the level and the digests that this process has put into a table."""
    process, *words = str(table.attrs.get(mark)).split(" ")
    if process != _PROCESS:
        return None, set()
    return next(name for name in LEVELS if name == words[0]), set(words)


def _are_there(table: pd.DataFrame, mark: str, *, if_unknown: bool) -> list[bool]:
    level, digests = _digests_of(table, mark)
    if level is None:
        return [if_unknown] * len(table)
    return [_digest(keys) in digests for keys in _keys(table, UNIQUE_KEYS["PatientRoot"][level])]


def _keys(table: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Return the unique keys of each row as text."""
    places = candidates(table.columns, names)
    texts = [_texts(table, places.get(name, ())) for name in names]
    return zip(*texts, strict=True)


def _texts(table: pd.DataFrame, places: Sequence[int]) -> list[str]:
    """Return the cells of columns as text. Several columns for one key are another text than one of them."""
    columns = [table.iloc[:, place].tolist() for place in places]
    texts = [list(map(_text, cells)) for cells in columns]
    if len(texts) == 1:
        return texts[0]
    return ["\n".join(cells) for cells in zip(*texts, strict=True)] if texts else [""] * len(table)


def _text(cell: object) -> str:
    if isinstance(cell, str):  # nearly all, and there may be a million
        return cell.strip(EDGES)
    return "" if is_blank(cell) else str(cell).strip(EDGES)


def _digest(keys: Iterable[str]) -> str:
    return blake2b("\\".join(keys).encode("utf-8", "replace"), digest_size=_BYTES, key=_KEY).hexdigest()
