"""Splits a search by date and time, and verifies that each part is complete.

A part below the limit of the PACS counts as complete. Some parts are verified: they are asked again, in halves. This
detects a PACS whose limit varies, or that stops answering after a number of matches; then every part is verified.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.c_find import Keys
from dicomove.search.limits import FEW, Match
from dicomove.search.parts.cutter import Cutter
from dicomove.search.parts.hidden_matches import TOO_MANY, OneSearch, has_failed, is_refused
from dicomove.search.parts.spans import Moment, Span, in_order, moment

#: The wanted number of matches in a part, as long as the PACS has shown no limit.
_UNKNOWN_CAP: Final = 500

#: After so many parts without a new match, the PACS counts as ignoring the keys.
_MOST_STALE: Final = 40
_MOST_IGNORED: Final = 3
#: The first parts and then each part after so many are verified, while few verifications were necessary.
_TURN: Final = 16
_FREE_PROOFS: Final = 40

_Part = tuple[Span, FindResult]


@dataclass
class ByDate:
    """Splits a search by date and time.

    Attributes
    ----------
    asked
        The search.
    date, time
        The keywords.
    by_time
        Whether a day may be split.
    today
        The date of today.
    """

    asked: OneSearch
    date: str
    time: str
    by_time: bool
    today: dt.date

    def __post_init__(self) -> None:
        #: The parts with more matches than date and time can split.
        self.left: list[Span] = []
        self.parts = 0
        #: Whether the PACS ignores dates, and whether it has stopped answering.
        self.is_ignored = self.is_silent = False
        #: Whether some parts may lack studies without a time.
        self.cut_days = False
        self._dates = _DateKnowledge()

    def ask_for(self, whole: Span, first: FindResult) -> FindResult:
        """Ask for all parts; return the last answer, with an error if the network failed."""
        limits = self.asked.limits
        most = limits.most or max(len(first), limits.most_of_a_patient or _UNKNOWN_CAP)
        early = self._known()
        cutter = Cutter(whole, most, [known for known, _ in early], today=self.today, by_time=self.by_time)
        answer = first
        while (span := cutter.next()) is not None and not self.is_useless:
            known = len(self.asked.found)
            answer = self.part(span)
            if has_failed(answer):
                return answer
            if self.asked.is_cut(answer) or self._lacks(span, answer, early):
                self._dates.see_cut(brought_new=len(self.asked.found) > known)
                self._cut(span, answer, cutter)
            else:
                self._believe(span, answer, cutter.expected(span))
                cutter.is_complete(span, [one for one in map(self.moment, answer) if one and span.holds(one)])
            cutter.lower(limits.most)
        self.cut_days = cutter.cut_days
        self.is_ignored = self.is_useless
        return self._end(answer)

    def verify(self, parts: list[_Part]) -> FindResult | None:
        """Verify parts, and split incomplete ones until each is complete; return an answer that failed, if any."""
        todo = list(parts)
        while todo and not self.is_useless:
            span, answer = todo.pop()
            if len(answer) < FEW and not self.asked.is_cut(answer):
                continue
            halves = self._halves(span, answer)
            if not halves:
                self.left.append(span)
                continue
            answers = [self.part(half) for half in halves]
            if failed := next((one for one in answers if has_failed(one)), None):
                return failed
            if not self._repeats(answer, answers):
                self._dates.see_cut(brought_new=True)
                self._learn(answer, answers)
                todo += zip(halves, answers, strict=True)
                self.cut_days |= span.first == span.last
            elif any(len(one) == len(answer) > 0 for one in answers):
                todo += [(half, one) for half, one in zip(halves, answers, strict=True) if len(one) == len(answer)]
                self._dates.see_cut(brought_new=False)
        self.is_ignored |= self.is_useless
        return None

    def part(self, span: Span) -> FindResult:
        """Ask for a part."""
        self.parts += 1
        answer = self.asked(self.keys(span))
        is_half_open = span.is_open and not span.is_all
        if is_refused(answer) and is_half_open and self._dates.may_be_the_open_end():
            answer = self._closed(span, answer)
        if 10 * sum(one is not None and not span.holds(one) for one in map(self.moment, answer)) > len(answer) + 9:
            self._dates.see_outside()
        return answer

    def _closed(self, span: Span, refused: FindResult) -> FindResult:
        """Ask for a part with dates at both ends; if this works, the PACS does not accept ranges with an open end."""
        self.parts += 1
        answer = self.asked(self.keys(span.closed(self.today.toordinal())))
        self.asked.limits.closes_ranges |= answer.error is None
        return refused if answer.error else answer

    def keys(self, span: Span) -> Keys:
        """Return the keys that ask for a part."""
        if self.asked.limits.closes_ranges and span.is_open and not span.is_all:
            span = span.closed(self.today.toordinal())
        names = {"StudyDate": self.date, "StudyTime": self.time}
        return {names[name]: value for name, value in span.keys.items()}

    def moment(self, match: Match) -> Moment | None:
        """Return the moment of a match."""
        return moment(match.get(self.date, ""), match.get(self.time, ""))

    def moments(self) -> list[Moment]:
        """Return the moments of all matches."""
        return [one for one in map(self.moment, self.asked.found.values()) if one]

    @property
    def is_useless(self) -> bool:
        """Whether further parts are useless: the PACS ignores dates, or has stopped answering."""
        return self._dates.is_useless or self.is_silent

    def _known(self) -> list[tuple[Moment, str]]:
        found = [(self.moment(match), uid) for uid, match in self.asked.found.items()]
        return [(known, uid) for known, uid in found if known]

    def _cut(self, span: Span, answer: FindResult, cutter: Cutter) -> None:
        """Split a part; keep it in `left` if date and time cannot split it."""
        times = [known[1] for known in map(self.moment, answer) if known and span.holds(known)]
        is_day = span.first == span.last and span.has_whole_days
        if is_day and self.by_time and times and None in times:
            self.left.append(span)
            if all(time is None for time in times):
                return
        tells_limit = bool(answer.matches) and self.asked.limits.hides is None
        if not cutter.is_cut_off(span, None if tells_limit else self.asked.longest):
            self.left.append(span)

    def _lacks(self, span: Span, answer: FindResult, early: list[tuple[Moment, str]]) -> bool:
        """Whether an answer lacks a known match that belongs to it, and that a smaller part has."""
        given = self.asked.uids(answer)
        lacking = next(((known, uid) for known, uid in early if uid not in given and span.holds(known)), None)
        if lacking is None:
            return False
        (day, minute), uid = lacking
        smaller = Span(day, day) if minute is None or not self.by_time else Span(day, day, minute, minute)
        if smaller != span and uid in self.asked.uids(self.part(smaller)):
            self.asked.limits.is_unsteady = True
            return True
        if uid in self.asked.uids(self._fresh(span)):
            return True
        early.remove(lacking)  # the PACS compares another date than it shows
        return False

    def _fresh(self, span: Span) -> FindResult:
        """Ask once more on a fresh association. If this brings more, the PACS limits the matches of an association."""
        self.asked.renew()
        known, answer = len(self.asked.found), self.part(span)
        if answer.matches and (len(self.asked.found) > known or not self.asked.limits.needs_fresh_associations):
            self.asked.limits.needs_fresh_associations = self.asked.limits.is_unsteady = True
        return answer

    def _believe(self, span: Span, answer: FindResult, expected: float) -> None:
        """Count an answer as complete; verify it if it looks odd, and now and then."""
        is_worth_it = self._dates.believe(span, answer, expected, self.asked.limits.most or 0)
        if is_worth_it and not self.asked.limits.is_unsteady:
            self._prove(span, answer)

    def _prove(self, span: Span, answer: FindResult) -> None:
        halves = self._halves(span, answer)
        answers = [self.part(half) for half in halves]
        self._dates.see_verified()
        if any(map(has_failed, answers)):
            return
        if halves and not self._repeats(answer, answers):
            self._learn(answer, answers)
            self.asked.limits.is_unsteady = True
        elif not answer.matches:
            self._check_silence()

    def _repeats(self, answer: FindResult, answers: list[FindResult]) -> bool:
        """Whether the halves of a part have exactly its matches."""
        again = self.asked.uids(match for one in answers for match in one)
        return again == self.asked.uids(answer) and not any(one.error in TOO_MANY for one in answers)

    def _learn(self, answer: FindResult, answers: list[FindResult]) -> None:
        """Learn from an answer that lacks matches of its parts."""
        given = self.asked.uids(answer)
        more = [match for one in answers for match in one if self.asked.uid(match) not in given]
        if answer.matches and more:
            self.asked.limits.learn(answer.matches, more)

    def _halves(self, span: Span, answer: FindResult) -> tuple[Span, ...]:
        """Return two parts of a part, with about the same number of matches."""
        if span.first == span.last and not self.by_time:
            return ()
        inside = in_order(one for one in map(self.moment, answer) if one and span.holds(one))
        if inside:
            return span.parts_at(inside[len(inside) // 2])
        return () if span.is_open else span.halves()

    def lacking(self, span: Span, answer: FindResult) -> int:
        """Return the number of known matches of a part that an answer lacks."""
        given = self.asked.uids(answer)
        return sum(uid not in given and span.holds(known) for known, uid in self._known())

    def forgets(self, lacking: int) -> bool:
        """Whether the PACS lacks several matches that it returned before; find out why."""
        if lacking > len(self._known()) // 2:
            self._check_silence()
        # For a single one, the PACS may compare another date than it shows.
        self.asked.limits.is_unsteady |= lacking > 1
        return lacking > 1

    def _check_silence(self) -> None:
        """Detect that the PACS has stopped answering: it does not find a match that it returned before."""
        (day, minute), _ = next(iter(self._known()), ((0, None), ""))
        one = Span(day, day) if minute is None or not self.by_time else Span(day, day, minute, minute)
        answer = self.part(one) if day else None
        if answer is not None and not answer.matches and not answer.error:
            again = self._fresh(one)
            if not again.matches and not again.error:
                still = self.asked({})
                self.is_silent = not still.matches and not still.error
                if not self.is_silent:  # it answers the whole search, so it ignores dates or times
                    self._dates.see_ignored()

    def _end(self, answer: FindResult) -> FindResult:
        if self.asked.found and not self.is_useless:
            self._check_silence()
        if self.asked.limits.is_unsteady and not self.is_useless:
            return self.verify(self._dates.believed) or answer
        return answer


@dataclass
class _DateKnowledge:
    """What a search by date has learnt so far.

    Attributes
    ----------
    believed
        The parts that count as complete.
    """

    believed: list[_Part] = field(default_factory=list)
    _lengths: Counter[int] = field(default_factory=Counter)
    _stale: int = 0
    _outside: int = 0
    _refused: int = 0
    _proofs: int = 0

    @property
    def is_useless(self) -> bool:
        """Whether the PACS returns the same to each part."""
        return self._stale >= _MOST_STALE or self._outside >= _MOST_IGNORED

    def see_cut(self, *, brought_new: bool) -> None:
        """Learn that a part is incomplete."""
        self._stale = 0 if brought_new else self._stale + 1

    def see_outside(self) -> None:
        """Learn that matches of a part have other dates."""
        self._outside += 1

    def see_ignored(self) -> None:
        """Learn that the PACS finds nothing by dates, or by times."""
        self._outside = _MOST_IGNORED

    def may_be_the_open_end(self) -> bool:
        """Whether to try dates at both ends after the PACS refused a range; true a few times."""
        self._refused += 1
        return self._refused <= _MOST_IGNORED

    def believe(self, span: Span, answer: FindResult, expected: float, most: int) -> bool:
        """Count an answer as complete; return whether to verify it: if it looks odd, and now and then.

        Parameters
        ----------
        span, answer
            The part.
        expected
            The expected number of matches.
        most
            The limit of the PACS; 0 if it is unknown.
        """
        self.believed.append((span, answer))
        self._lengths[len(answer)] += 1
        is_low = len(answer) + 3 * sqrt(expected) < expected
        is_often = self._lengths[len(answer)] >= FEW and 2 * len(answer) >= most > 0
        is_turn = (len(self.believed) <= _TURN or len(self.believed) % _TURN == 0) and len(answer) >= FEW
        may = 2 * self._proofs <= _FREE_PROOFS + len(self.believed) // 16
        return (is_low or is_often or is_turn) and may

    def see_verified(self) -> None:
        """Count a verification, because there should be few of them."""
        self._proofs += 1
