"""The C-FINDs of one search with all of their matches, and the attributes that split it at each level.

Some PACS hide that a search matches too much: they return no match, or one or two, with Success. Such an answer looks
complete. Narrower searches reveal it: by the last characters of PatientID and AccessionNumber, which select a tenth or
a hundredth of the matches, and by a day, a week or a month. One of them returns a match that the whole search did not.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import Final

from dicomove.cohort import matches
from dicomove.dimse import FindResult
from dicomove.search.c_find import Keys
from dicomove.search.limits import FEW, KnownLimits, Match
from dicomove.search.parts.spans import Span, span_of

#: Errors of a PACS for a search with too many matches.
TOO_MANY: Final = frozenset(
    {"capped", "out_of_resources", "unable_to_process", "cancelled_by_pacs", "identifier_mismatch"}
)
#: Errors after which an answer may have some of too many matches.
_BREAKS: Final = frozenset({"association_aborted", "connection_lost"})

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


@dataclass(frozen=True)
class Axis:
    """How a search at a level is split.

    Attributes
    ----------
    unique, date, time
        Keywords; a level without a date cannot be split by it.
    texts
        The attributes whose characters split it.
    number
        The attribute that numbers the matches.
    counted_by, above, upper
        The attribute that counts the matches at the level above, this level above, and its unique key.
    plural
        The word for the matches.
    """

    unique: str
    date: str = ""
    time: str = ""
    texts: tuple[str, ...] = ()
    number: str = ""
    counted_by: str = ""
    above: str = ""
    upper: str = ""
    plural: str = ""


AXES: Final = {
    "PATIENT": Axis("PatientID", "PatientBirthDate", texts=("PatientID",), plural="patients"),
    "STUDY": Axis(
        *("StudyInstanceUID", "StudyDate", "StudyTime"),
        texts=("PatientID", "AccessionNumber", "StudyID"),
        plural="studies",
    ),
    "SERIES": Axis(
        *("SeriesInstanceUID", "SeriesDate", "SeriesTime"),
        number="SeriesNumber",
        counted_by="NumberOfStudyRelatedSeries",
        above="STUDY",
        upper="StudyInstanceUID",
        plural="series",
    ),
    "IMAGE": Axis(
        "SOPInstanceUID",
        number="InstanceNumber",
        counted_by="NumberOfSeriesRelatedInstances",
        above="SERIES",
        upper="SeriesInstanceUID",
        plural="instances",
    ),
}


class OneSearch:
    """Sends the C-FINDs of one search, and keeps each match once.

    Parameters
    ----------
    ask
        Sends one C-FIND.
    renew
        Ends the association, so that the next C-FIND has a fresh one.
    keys
        The keys of the search.
    limits
        The known limits of the PACS at this level.
    axis
        The level.
    today
        The date of today.
    """

    def __init__(
        self,
        ask: Callable[[Keys], FindResult],
        renew: Callable[[], object],
        keys: Keys,
        limits: KnownLimits,
        axis: Axis,
        today: dt.date,
    ) -> None:
        self._ask, self.renew, self.keys, self.limits, self._axis, self._today = ask, renew, keys, limits, axis, today
        self.unique = axis.unique
        self.found: dict[str, dict[str, str]] = {}
        #: The length of the longest answer that came without an error.
        self.longest = 0

    def __call__(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches; with an error if the PACS hides that there are more."""
        result = self._find(keys)
        if result.error or result.cancelled or not self.limits.may_hide(result.matches):
            return result
        most = MOST if keys or is_broad(self.keys) else MOST_LATER
        return replace(result, error="out_of_resources") if self.denies(keys, result, most) else result

    def denies(self, keys: Keys, answer: FindResult, most: int) -> bool:
        """Whether one of a few narrower searches has a match that an answer lacks."""
        given, limits, asked = self.uids(answer), self.limits, {**self.keys, **keys}
        for part in _narrower(asked, self._axis, self.found.values(), self._today, limits.searchable)[:most]:
            narrow = self._find({**keys, **part})
            if has_failed(narrow):
                return False
            whole = [(name, value) for name, value in {**asked, **part}.items() if isinstance(value, str)]
            new = next((match for match in narrow if self.uid(match) not in given and matches(whole, match)), None)
            if new is not None:
                if limits.searchable is None:
                    limits.searchable = tuple(self._texts_of(asked, part, new))
                return True
        return False

    def _texts_of(self, asked: Keys, part: Keys, match: Match) -> Iterator[str]:
        """Yield the attributes whose last character finds this match, and only values with this character."""
        for name in self._axis.texts:
            value, key = match.get(name, ""), asked.get(name) or ""
            end = _longer(key, value[-1]) if value and isinstance(key, str) else None
            if name in part:
                yield name
            elif end:
                answer = self._find({**part, name: end})
                if self.uid(match) in self.uids(answer) and all(matches([(name, end)], one) for one in answer):
                    yield name

    def _find(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches."""
        if self.limits.needs_fresh_associations:
            self.renew()
        result = self._ask({**self.keys, **keys})
        self.longest = max(self.longest, 0 if result.error else len(result))
        self.limits.see(result.matches)
        for match in result:
            self.found.setdefault(self.uid(match), match)
        return result

    def elsewhere(self, keys: Keys) -> FindResult:
        """Ask with other keys, and do not keep the matches."""
        return self._ask(keys)

    def uids(self, matches: Iterable[Match]) -> set[str]:
        """Return the unique keys of matches."""
        return set(map(self.uid, matches))

    def uid(self, match: Match) -> str:
        """Return the unique key of a match; if the PACS leaves it empty, the whole match as text."""
        return match.get(self.unique) or str(match)

    def is_cut(self, answer: FindResult) -> bool:
        """Whether an answer is at a limit: it ended with an error, or has the largest number of matches."""
        return has_too_many(answer) or self.limits.reached(answer.matches)


def has_too_many(answer: FindResult) -> bool:
    """Whether an answer ended with an error that may mean too many matches."""
    return answer.error in TOO_MANY or (answer.error in _BREAKS and len(answer) >= FEW)


def is_refused(answer: FindResult) -> bool:
    """Whether the answer is only an error, perhaps because the PACS does not accept a key."""
    return answer.error in TOO_MANY and not answer.matches


def has_failed(answer: FindResult) -> bool:
    """Whether the C-FIND failed for a reason that narrower searches do not avoid."""
    return answer.cancelled or bool(answer.error and not has_too_many(answer))


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


def _narrower(
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


def _longer(key: str, end: str) -> str | None:
    """Return a key for those values of another key that end with this text; ``None`` if there is no such key.

    Examples
    --------
    >>> _longer("", "0"), _longer("SYN*", "0"), _longer("SYN*7", "0"), _longer("*Q*", "0"), _longer("SYN7", "0")
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
    names = [name for name in texts if _longer(_text(keys, name), "") is not None]
    ends = list(_usual_ends(names, known)) if names else []
    if len(known) < _ENOUGH:
        ends = list(dict.fromkeys([*ends[:2], *((name, end) for name, end in _ENDS if name in names)]))
    yield from ({name: _longer(_text(keys, name), end) or ""} for name, end in ends)


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
