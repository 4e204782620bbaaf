"""`query`: a table for `find` from criteria, for a search without a list of patients."""

from __future__ import annotations

import datetime as dt
import difflib
import itertools
import re
from collections.abc import Iterable
from functools import cache

import pandas as pd
from pydicom.datadict import dictionary_is_retired, keyword_dict

from dicomove.cohort import VRS, criterion, is_blank, is_universal, keyword, meant_as_query
from dicomove.errors import CohortError, IdentifierError

_SHORT = {"description": "StudyDescription", "date": "StudyDate", "time": "StudyTime", "name": "PatientName"}
_RANGES = {"DA", "TM", "DT"}
#: Bytes and sequences: C-FIND cannot compare them as text.
_NOT_TEXT = ("SQ", "O", "UN", "AT")


def query(**keys: object) -> pd.DataFrame:
    """Return a table for `find` from criteria: one row, or one for each combination of alternatives.

    A search by criteria matches the studies of many patients. This is intended, so `find` needs no ``broad="allow"``
    for this table. A study that several rows match is found once.

    Parameters
    ----------
    **keys
        Every DICOM keyword, as the standard writes it or with underscores: ``StudyDate`` or ``study_date``; also
        ``description``, ``date``, ``time`` and ``name`` for those of the study and of the patient. A value is

        - text, with ``*`` and ``?`` as wildcards (PS3.4 C.2.2.2.4);
        - a date or a time;
        - a tuple of two dates or times: a range, whose ends are included. ``None`` leaves an end open. Times over
          midnight, ``("22:00", "06:00")``, are two alternatives: a range in a C-FIND does not go over it;
        - a list: alternatives.

    Returns
    -------
    pandas.DataFrame
        A column for each keyword, with text.

    Raises
    ------
    CohortError
        There is no such attribute, or it cannot have this value.

    Examples
    --------
    >>> query(study_date=("2024-01-01", None), modality=["CT", "MR"], description="*THORAX*")
      StudyDate Modality StudyDescription
    0  20240101-       CT         *THORAX*
    1  20240101-       MR         *THORAX*

    >>> query(study_dat="20240101")
    Traceback (most recent call last):
    ...
    dicomove.errors.CohortError: 'study_dat' is not a DICOM attribute; do you mean study_date?
    """
    if not keys:
        msg = 'a query needs a criterion: study_date=(begin, end), modality=..., patient_name="*" for all studies'
        raise CohortError(msg)
    columns: dict[str, list[str]] = {}
    for name, value in keys.items():
        known = _attribute(name)
        if known in columns:
            msg = f"{name!r} gives {known} a second time"
            raise CohortError(msg)
        alternatives = value if isinstance(value, list) else [value]
        columns[known] = [text for one in alternatives for text in _texts(one, known)]
        if not alternatives:
            msg = f"{known} has an empty list: leave it out, or name its alternatives"
            raise CohortError(msg)
    rows = list(itertools.product(*columns.values()))
    return meant_as_query(pd.DataFrame(rows, columns=list(columns), dtype=object))


def _attribute(name: str) -> str:
    spelling = _plain(name)
    found = _SHORT.get(spelling) or keyword(name) or _keywords().get(spelling)
    if found and not VRS[found].startswith(_NOT_TEXT) and found != "QueryRetrieveLevel":
        return found
    if spelling in ("level", "querymodel", "queryretrievelevel"):
        msg = f"{name!r} is not a criterion: give it to find()"
        raise CohortError(msg)
    if found:
        msg = f"{found} cannot be a criterion: its values are not text"
        raise CohortError(msg)
    near = difflib.get_close_matches(spelling, [*_SHORT, *map(_plain, _usual()), *_keywords()], n=1, cutoff=0.7)
    meant = _SHORT.get(near[0]) or keyword(near[0]) or _keywords().get(near[0], "") if near else ""
    hint = f"; do you mean {_snake(meant)}?" if meant else ""
    msg = f"{name!r} is not a DICOM attribute{hint}"
    raise CohortError(msg)


def _usual() -> Iterable[str]:
    """Return the keywords of Query/Retrieve: among several similar keywords, the user probably means one of these."""
    return VRS


@cache
def _keywords() -> dict[str, str]:
    """Return every keyword of the standard by its letters and digits."""
    return {_plain(name): name for name, tag in keyword_dict.items() if not dictionary_is_retired(tag)}


def _texts(value: object, name: str) -> list[str]:
    if isinstance(value, tuple):
        return _ranges(value, name)
    if is_blank(value):
        msg = f"{name} is empty: leave it out. find(keys=[{name!r}]) asks for an attribute without a condition"
        raise CohortError(msg)
    return [_criterion(value, name)]


def _ranges(value: tuple[object, ...], name: str) -> list[str]:
    if VRS[name] not in _RANGES:
        msg = f"{name} cannot be a range, only dates and times can: write alternatives as a list"
        raise CohortError(msg)
    ends = ["" if is_blank(end) else _criterion(end, name) for end in value]
    if len(ends) != 2 or not any(ends):
        msg = f"{name}: a range is (begin, end), and one of them may be None"
        raise CohortError(msg)
    # If the end of a range names only a minute, its last moment counts.
    begin, end = ends[0].partition("-")[0], ends[1].rpartition("-")[2]
    if VRS[name] == "TM" and end and begin > end:
        return [_criterion(f"{begin}-235959.999999", name), _criterion(f"000000-{end}", name)]
    return [_criterion(f"{begin}-{end}", name)]


def _criterion(value: object, name: str) -> str:
    if isinstance(value, dt.datetime | pd.Timestamp):
        value = value.date() if VRS[name] == "DA" else value.time()
    if isinstance(value, str) and is_universal(value, name):
        if "?" in value:  # of so many characters; "*" would be wider
            msg = f"{name} is {value!r}, and has only wildcards: add a character, or write '*' for all"
            raise CohortError(msg)
        return "*"
    try:
        return criterion(value, name)
    except IdentifierError as error:
        raise CohortError(str(error)) from None


def _plain(name: str) -> str:
    return re.sub(r"[^0-9a-z]", "", name.lower())


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
