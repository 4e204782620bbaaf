"""Gets all matches of one search, also from a PACS that limits the number of matches per answer.

If an answer may be incomplete, the search is verified in parts. If these bring more, the search is split by date and
time until each part is below the limit of the PACS. Remaining parts, and studies without a date, are searched by the
characters of PatientID and AccessionNumber. The numbers of series of a study and of instances of a series are compared
with the PACS's own counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from dicomove.columns import whole_number
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.c_find import Keys
from dicomove.search.limits import CAPPED, FEW, KnownLimits, Match, limit
from dicomove.search.parts.by_date import ByDate
from dicomove.search.parts.by_number import ask_by_number
from dicomove.search.parts.by_text import ByText
from dicomove.search.parts.hidden_matches import (
    AXES,
    HONEST,
    MOST,
    MOST_LATER,
    Axis,
    OneSearch,
    has_failed,
    has_too_many,
    is_broad,
    is_refused,
)
from dicomove.search.parts.spans import Moment, Span, in_order, span_of

#: From so many matches on, only some parts are asked again.
_MANY: Final = 2_000
#: After so many parts without a new match, the PACS counts as ignoring the keys.
_MOST_PROOFS: Final = 16
#: Studies without a date are looked for completely in a search of at most so many full answers, else in samples.
_MOST_SWEPT: Final = 40
_MOST_LEFT: Final = 8
_SUCCESS: Final = "0x0000"
_LONG_AGO: Final = dt.date(1900, 1, 1).toordinal()


def ask_whole(
    ask: Callable[[Keys], FindResult],
    keys: Keys,
    limits: KnownLimits,
    today: dt.date,
    renew: Callable[[], object] = lambda: None,
) -> FindResult:
    """Return all matches of a search.

    Parameters
    ----------
    ask
        Sends one C-FIND.
    keys
        The keys of the search.
    limits
        The known limits of the PACS.
    today
        The date of today.
    renew
        Ends the association, so that the next C-FIND has a fresh one.

    Returns
    -------
    FindResult
        With the error ``capped`` if the matches are certainly or probably incomplete.
    """
    level = str(keys["QueryRetrieveLevel"])
    axis = AXES[level]
    whole = _span(keys, axis)
    if whole is None:
        return ask(keys)
    asked = OneSearch(ask, renew, {**keys, **_further(keys, axis)}, limits.of(level), axis, today)
    by_date = ByDate(asked, axis.date, axis.time, bool(axis.time) and not keys.get(axis.time), today)
    first = asked({})
    if has_failed(first):
        return first
    if axis.counted_by:
        return ask_by_number(asked, axis, by_date, whole, first)
    search = _Search(asked, whole, axis, by_date)
    first = search.believed(first)
    return search.in_parts(first) if search.is_cut_off(first) else search.as_it_is(first)


@dataclass
class _Search:
    """A search for studies or patients."""

    asked: OneSearch
    whole: Span
    axis: Axis
    by_date: ByDate

    def __post_init__(self) -> None:
        self.by_text = ByText(self.asked, self.axis.texts)

    def believed(self, first: FindResult) -> FindResult:
        """Return the first answer; if the PACS hides too many matches behind Success, with an error."""
        limits = self.asked.limits
        if first.error or limits.hides is not None or len(first) >= FEW or not is_broad(self.asked.keys):
            return first
        most = MOST if limits.honest < HONEST else 0 if first.matches else MOST_LATER
        if not self.asked.denies({}, first, most):
            limits.honest += 1
            return first
        again = self.asked({})
        if again.error or len(again) > len(first):
            return again  # studies have come meanwhile
        limits.hides = len(again)
        return replace(again, error="out_of_resources")

    def is_cut_off(self, first: FindResult) -> bool:
        """Whether there are more matches than in the answer."""
        limits = self.asked.limits
        if first.error:
            return limits.hides is not None or self._smaller_ones_work(first)
        if limits.reached(first.matches):
            return not self._has_all_counted()
        if not limits.doubted(first.matches, self.asked.keys):
            return False
        known, was_unsteady = set(self.asked.found), limits.is_unsteady
        is_answered = self._ask_again_in_parts(first)
        more = [match for uid, match in self.asked.found.items() if uid not in known]
        if more:
            limits.learn(first.matches, more)
        is_odd = self.by_date.is_silent or (limits.is_unsteady and not was_unsteady)
        if is_answered and not more and not is_odd:
            limits.verified(first.matches, self.asked.keys)
        return bool(more) or is_odd

    def as_it_is(self, first: FindResult) -> FindResult:
        """Return a complete answer, with a note if the PACS counts more matches."""
        number = self._counted()
        if first.error or number is None or number <= len(first):
            return first
        said = f"the PACS counts {number} studies of the patient, and lists {len(first)}, also in parts"
        return replace(first, advice=sentences(first.advice or "", said))

    def in_parts(self, first: FindResult) -> FindResult:
        """Ask for the search in parts."""
        last = self.by_date.ask_for(self.whole, first)
        if has_failed(last):
            return replace(last, matches=tuple(self.asked.found.values()))
        if first.error and not self.asked.longest:  # smaller parts do not work either
            return replace(first, matches=tuple(self.asked.found.values()))
        is_whole, notes = self._rest() if not self._has_all_counted() else (True, [])
        if self.by_text.failed:
            return replace(self.by_text.failed, matches=tuple(self.asked.found.values()))
        number = self.by_date.parts + self.by_text.parts
        ways = [
            *(["date and time" if self.axis.time else "date"]),
            *(self.by_text.used[:1] if self.by_text.parts else []),
        ]
        said = f"{limit(self.asked.limits)}: it was asked in {number} parts, by {', and by '.join(ways)}"
        everything = replace(first, matches=tuple(self.asked.found.values()), error=None, error_comment=None)
        if is_whole:
            return replace(
                everything, status=last.status if last.error is None else _SUCCESS, advice=sentences(said, *notes)
            )
        return replace(everything, error="capped", advice=sentences(said, *notes, CAPPED[self.axis.plural]))

    def _rest(self) -> tuple[bool, list[str]]:
        """Ask for matches that dates and times cannot split; return whether the search is complete, and notes."""
        by_date = self.by_date
        if by_date.is_silent:
            return False, ["the PACS gives nothing more: ask again later"]
        moments = by_date.moments()
        undated = len(moments) < len(self.asked.found)
        undated |= by_date.cut_days and any(minute is None for _, minute in moments)
        is_small = len(self.asked.found) <= _MOST_SWEPT * max(self.asked.limits.most or self.asked.longest, 1)
        if undated or by_date.is_ignored or is_small or len(by_date.left) > _MOST_LEFT:
            is_needed = undated or by_date.is_ignored or bool(by_date.left) or self.asked.limits.hides is not None
            return self._swept(is_needed=is_needed)
        for span in by_date.left:
            scope = {name: str(value) for name, value in by_date.keys(span).items()}
            if not self.by_text.ask_for(scope, partial(self._is_in, span)):
                return False, []
        samples = max(_MOST_SWEPT // 2, by_date.parts // 40)
        if self.by_text.samples_have_more(samples):
            return self._swept(is_needed=True)
        return True, [f"what has no {self._needed} was looked for in {samples} samples"] if self.by_text.parts else []

    def _swept(self, *, is_needed: bool) -> tuple[bool, list[str]]:
        known = len(self.asked.found)
        if self.by_text.ask_for({}, lambda _: True):
            return True, []
        if is_needed or len(self.asked.found) > known:
            return False, []
        said = f"{self.axis.plural} without a {self._needed} may be lacking: the PACS does not tell them in parts"
        return True, [said]

    @property
    def _needed(self) -> str:
        """What a match needs to be in one of the parts."""
        return "date or time" if self.by_date.cut_days else "date"

    def _is_in(self, span: Span, match: Match) -> bool:
        known = self.by_date.moment(match)
        return known is not None and span.holds(known)

    def _counted(self) -> int | None:
        """Return the number of studies of the patient, if the PACS counts exactly this search."""
        asked = {name for name, value in self.asked.keys.items() if value and name != "QueryRetrieveLevel"}
        if asked != {"PatientID"} or self.axis.plural != "studies":
            return None
        numbers = [whole_number(match.get("NumberOfPatientRelatedStudies")) for match in self.asked.found.values()]
        return max((number for number in numbers if number is not None), default=None)

    def _has_all_counted(self) -> bool:
        return self._counted() == len(self.asked.found)

    def _smaller_ones_work(self, first: FindResult) -> bool:
        """Whether the PACS answers a part of a search that it does not answer completely."""
        if not has_too_many(first):
            return False
        if first.matches:
            self.asked.limits.learn(first.matches, ())
            return True
        day = min(max(self.by_date.today.toordinal() - 1, self.whole.first), self.whole.last)
        one = Span(day, day)
        smaller = one.halves()[:1] if one == self.whole else (one,)
        return all(self.by_date.part(part).error is None for part in smaller)

    def _ask_again_in_parts(self, first: FindResult) -> bool:
        """Ask for parts, until one has a new match or all have fewer matches; return whether all were answered."""
        todo, lacking, is_stuck = list(self._proofs(first)), 0, False
        for _ in range(_MOST_PROOFS):
            if not todo:
                break
            span, known = todo.pop(), len(self.asked.found)
            part = self.by_date.part(span)
            if is_refused(part):
                return self.by_text.ask_ends(first.matches)
            if part.error or part.cancelled:
                return False
            if len(self.asked.found) > known:
                return True
            lacking = max(lacking, self.by_date.lacking(span, part))
            if part.matches and len(part) >= len(first):
                smaller = self._parts(span, in_order(one for one in map(self.by_date.moment, part) if one))
                is_stuck |= not smaller
                todo += smaller
        if len(first) <= _MANY and self.by_date.forgets(lacking):
            return True
        return self._is_proved_by_text(first, needed=bool(todo) or is_stuck or self.by_date.is_useless)

    def _is_proved_by_text(self, first: FindResult, *, needed: bool) -> bool:
        """Verify by text what dates cannot verify; return whether the PACS answered."""
        if needed:
            return self.by_text.ask_ends(first.matches)
        undated = [match for match in first if self.by_date.moment(match) is None]
        if len(undated) == len(first):
            self.by_date.part(Span(_LONG_AGO, self.whole.last))
        return len(undated) < FEW or self.by_text.ask_ends(undated)

    def _proofs(self, first: FindResult) -> Iterator[Span]:
        known = in_order(self.by_date.moments())
        if len(first) <= _MANY or not known:
            yield from self._parts(self.whole, known)
            return
        (begin, _), (end, _) = known[0], known[-1]
        yield Span(known[len(known) * 9 // 20][0], known[len(known) * 11 // 20][0])
        if end < self.whole.last:
            yield Span(end + 1, self.whole.last)
        if begin > self.whole.first:
            yield Span(self.whole.first, begin - 1)

    def _parts(self, span: Span, known: list[Moment]) -> tuple[Span, ...]:
        is_day = span.first == span.last
        if not known or (is_day and not self.by_date.by_time):
            return ()
        # Not in the middle, to detect a limit that falls by half between two answers.
        return span.parts_at(known[len(known) * 3 // 8])


def _span(keys: Keys, axis: Axis) -> Span | None:
    """Return the dates of a search that may be split: one without a UID or an accession number."""
    dates = (keys.get(axis.date) if axis.date else "") or ""
    exact = [str(keys.get(name) or "") for name in ("AccessionNumber", axis.unique)]
    if axis.counted_by:
        exact = exact[1:]
    names_one = any(value and {"*", "?"}.isdisjoint(value) for value in exact)
    return None if names_one or not isinstance(dates, str) else span_of(dates)


def _further(keys: Keys, axis: Axis) -> dict[str, str]:
    """Return further keys that help to verify an answer."""
    wanted = [name for name in (axis.date, axis.time, axis.counted_by, axis.number) if name]
    if keys.get("PatientID") and axis.plural == "studies":
        wanted.append("NumberOfPatientRelatedStudies")
    return {name: "" for name in wanted if name not in keys}
