"""Detects answers that hide too many matches: the PACS returns none, or one or two, with Success. Pure.

Such an answer looks complete. Narrower searches reveal it: by the last characters of PatientID and AccessionNumber,
which select a tenth or a hundredth of the matches, and by a day, a week or a month. One of them returns a match that
the whole search did not.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Final

from dicomove.search.levels import Axis
from dicomove.search.limits import FEW, Match
from dicomove.search.spans import Span, span_of

Keys = Mapping[str, str | list[str]]

#: The number of narrower searches for a broad one without matches.
MOST: Final = 8
#: The number for any other search, and for all searches after `HONEST` broad ones were complete.
MOST_LATER: Final = 3
#: The number of complete broad searches after which fewer are verified.
HONEST: Final = 4
#: Most searches are for studies since this year.
_USUAL_DAYS: Final = 3653
#: The number of known matches that is enough to choose narrower searches.
_ENOUGH: Final = 10
_LOOKED_AT: Final = 200
_ENDS: Final = (("PatientID", "0"), ("AccessionNumber", "00"), ("PatientID", "000"), ("AccessionNumber", "5"))
_USUAL: Final = "0537"
_BIRTH: Final = dt.date(1960, 6, 1).toordinal()
_WILDCARDS: Final = frozenset("*?")


def is_broad(keys: Keys) -> bool:
    """Whether a search may match many studies: no key names a patient or a study.

    Examples
    --------
    >>> is_broad({"PatientName": "*"}), is_broad({"PatientID": "SYN*"}), is_broad({"PatientID": "7", "StudyDate": ""})
    (True, True, False)
    """
    return not any(
        _is_narrow(str(keys.get(name) or ""), name) for name in ("PatientID", "AccessionNumber", "PatientName")
    )


def narrower(
    keys: Keys, axis: Axis, found: Iterable[Match], today: dt.date, searchable: tuple[str, ...] | None
) -> list[dict[str, str]]:
    """Return keys that narrow a search. If the search has many matches, each of these is likely to find some.

    Parameters
    ----------
    keys
        The search.
    axis
        Its level.
    found
        Known matches.
    today
        The date of today.
    searchable
        The attributes whose last characters find matches at this PACS; ``None`` if they are unknown.
    """
    for name in axis.texts:
        head, _, part = _text(keys, name).partition("*")
        if part.endswith("*"):  # the last characters are enough
            return [{name: f"{head}*{part[:-1]}"}]
    known = list(islice(found, _LOOKED_AT))
    texts = list(_by_ends(keys, axis.texts if searchable is None else searchable, known))
    if len(known) >= _ENOUGH and texts:
        return texts
    # Texts and dates alternate, because the PACS may not accept one of the two.
    return [one for pair in zip_longest(texts, _by_dates(keys, axis, today)) for one in pair if one]


def longer(key: str, end: str) -> str | None:
    """Return a key for those values of another key that end with this text; ``None`` if there is no such key.

    Examples
    --------
    >>> longer("", "0"), longer("SYN*", "0"), longer("SYN*7", "0"), longer("*Q*", "0"), longer("SYN7", "0")
    ('*0', 'SYN*0', 'SYN*07', None, None)
    """
    head, _, part = (key or "*").partition("*")
    if "*" not in (key or "*") or "?" in key or "\\" in key or "*" in part:
        return None
    return f"{head}*{end}{part}"


def _is_narrow(value: str, name: str) -> bool:
    """Whether a value has no wildcard, or fixes the end or the middle of an identifier."""
    letters = [one for one in value if one not in _WILDCARDS]
    return bool(letters) and (
        len(letters) == len(value) or (name != "PatientName" and value[0] in _WILDCARDS and len(letters) >= FEW)
    )


def _by_ends(keys: Keys, texts: Sequence[str], known: list[Match]) -> Iterator[dict[str, str]]:
    names = [name for name in texts if longer(_text(keys, name), "") is not None]
    ends = list(_usual_ends(names, known)) if names else []
    if len(known) < _ENOUGH:
        ends = list(dict.fromkeys([*ends[:2], *((name, end) for name, end in _ENDS if name in names)]))
    yield from ({name: longer(_text(keys, name), end) or ""} for name, end in ends)


def _usual_ends(names: list[str], known: list[Match]) -> Iterator[tuple[str, str]]:
    """Yield frequent ends of the known values, of the attribute with the most different values."""
    name = max(names, key=lambda one: len({match.get(one, "") for match in known}))
    last = Counter(value[-1] for match in known if (value := match.get(name, "")) and value[-1] not in _WILDCARDS)
    usual = list(dict.fromkeys([*(one for one, _ in last.most_common(4)), *_USUAL]))[:4]
    yield from ((name, "".join(usual[:length])) for length in (1, 2, 3))
    yield from ((name, one) for one in usual[1:])


def _text(keys: Keys, name: str) -> str:
    value = keys.get(name) or ""
    return value if isinstance(value, str) else "\\"


def _by_dates(keys: Keys, axis: Axis, today: dt.date) -> Iterator[dict[str, str]]:
    whole = span_of(_text(keys, axis.date)) if axis.date else None
    if whole is None or (axis.time and keys.get(axis.time)):
        return
    for span in _spans_in(whole, today.toordinal(), has_times=bool(axis.time)):
        names = {"StudyDate": axis.date, "StudyTime": axis.time}
        yield {names[name]: text for name, text in span.keys.items()}


def _spans_in(whole: Span, today: int, *, has_times: bool) -> list[Span]:
    """Return the last days of a span and some in its middle; for a day, some hours."""
    if whole.first == whole.last:
        hours = [(9 * 60, 9 * 60 + 59), (13 * 60, 13 * 60 + 59), (8 * 60, 11 * 60 + 59)]
        return [Span(whole.first, whole.first, *ends) for ends in hours] if has_times else []
    if not has_times:
        return [Span(day, day + days) for day, days in ((_BIRTH, 30), (_BIRTH, 0)) if whole.first <= day < whole.last]
    end = min(whole.last, max(today, whole.first))
    begin = max(whole.first, end - _USUAL_DAYS) if whole.is_open else whole.first
    middle = (begin + end) // 2
    made = [Span(max(end - 1, begin), end), Span(middle, middle), Span(end - 6, end), Span(middle - 3, middle + 3)]
    made += [Span(end - 30, end), Span(middle - 15, middle + 15), Span(end - 364, end)]
    inside = (one for one in made if begin <= one.first and one.last <= end and one != whole)
    return list(dict.fromkeys(inside))
