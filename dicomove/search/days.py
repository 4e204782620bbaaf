"""A search in parts by date and time, and the proof that each part is whole.

A part with fewer answers than the PACS gives is believed. Some are proved: they are asked once more, in halves. A PACS
whose limit varies, or which stops to answer after so many answers, is found out by that, and then every part is proved.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.asked import TOO_MANY, Asked, has_failed, is_refused
from dicomove.search.caps import FEW, Match
from dicomove.search.hidden import Keys
from dicomove.search.learnt import Learnt, Part
from dicomove.search.pieces import Cutter, Moment, Piece, in_order, moment

#: The number of matches in a piece, as long as the PACS has shown no limit.
_UNKNOWN_CAP: Final = 500


@dataclass
class ByDate:
    """Asks for a search in parts.

    Attributes
    ----------
    asked
        Asks.
    date, time
        The keywords.
    by_time
        Whether a day may be cut.
    today
        The date of today.
    """

    asked: Asked
    date: str
    time: str
    by_time: bool
    today: dt.date

    def __post_init__(self) -> None:
        #: The parts of which more is to be told than date and time can ask for.
        self.left: list[Piece] = []
        self.parts = 0
        #: Whether the PACS ignores dates, and whether it has stopped to answer.
        self.is_ignored = self.is_silent = False
        #: Whether some parts may lack what has no time.
        self.cut_days = False
        self._learnt = Learnt()

    def ask_for(self, whole: Piece, first: FindResult) -> FindResult:
        """Ask for all parts; return the last answer, which has an error where the network failed."""
        caps = self.asked.caps
        most = caps.most or max(len(first), caps.most_of_a_patient or _UNKNOWN_CAP)
        early = self._known()
        cutter = Cutter(whole, most, [known for known, _ in early], today=self.today, by_time=self.by_time)
        answer = first
        while (piece := cutter.next()) is not None and not self.is_useless:
            known = len(self.asked.found)
            answer = self.part(piece)
            if has_failed(answer):
                return answer
            if self.asked.is_cut(answer) or self._lacks(piece, answer, early):
                self._learnt.see_cut(brought_new=len(self.asked.found) > known)
                self._cut(piece, answer, cutter)
            else:
                self._believe(piece, answer, cutter.expected(piece))
                cutter.is_complete(piece, [one for one in map(self.moment, answer) if one and piece.holds(one)])
            cutter.lower(caps.most)
        self.cut_days = cutter.cut_days
        self.is_ignored = self.is_useless
        return self._end(answer)

    def settle(self, parts: list[Part]) -> FindResult | None:
        """Prove parts, and cut those that lack something until each is proved; return an answer that failed."""
        todo = list(parts)
        while todo and not self.is_useless:
            piece, answer = todo.pop()
            if len(answer) < FEW and not self.asked.is_cut(answer):
                continue
            halves = self._halves(piece, answer)
            if not halves:
                self.left.append(piece)
                continue
            answers = [self.part(half) for half in halves]
            if failed := next((one for one in answers if has_failed(one)), None):
                return failed
            if not self._repeats(answer, answers):
                self._learnt.see_cut(brought_new=True)
                self._learn(answer, answers)
                todo += zip(halves, answers, strict=True)
                self.cut_days |= piece.first == piece.last
            elif any(len(one) == len(answer) > 0 for one in answers):
                todo += [(half, one) for half, one in zip(halves, answers, strict=True) if len(one) == len(answer)]
                self._learnt.see_cut(brought_new=False)
        self.is_ignored |= self.is_useless
        return None

    def part(self, piece: Piece) -> FindResult:
        """Ask for a part."""
        self.parts += 1
        answer = self.asked(self.keys(piece))
        is_half_open = piece.is_open and not piece.is_all
        if is_refused(answer) and is_half_open and self._learnt.may_be_the_open_end():
            answer = self._closed(piece, answer)
        if 10 * sum(one is not None and not piece.holds(one) for one in map(self.moment, answer)) > len(answer) + 9:
            self._learnt.see_outside()
        return answer

    def _closed(self, piece: Piece, refused: FindResult) -> FindResult:
        """Ask for a part with dates at both ends; if that has an answer, the PACS takes no ranges with an open end."""
        self.parts += 1
        answer = self.asked(self.keys(piece.closed(self.today.toordinal())))
        self.asked.caps.closes_ranges |= answer.error is None
        return refused if answer.error else answer

    def keys(self, piece: Piece) -> Keys:
        """Return the keys that ask for a part."""
        if self.asked.caps.closes_ranges and piece.is_open and not piece.is_all:
            piece = piece.closed(self.today.toordinal())
        names = {"StudyDate": self.date, "StudyTime": self.time}
        return {names[name]: value for name, value in piece.keys.items()}

    def moment(self, match: Match) -> Moment | None:
        """Return the moment of a match."""
        return moment(match.get(self.date, ""), match.get(self.time, ""))

    def moments(self) -> list[Moment]:
        """Return the moments of all matches."""
        return [one for one in map(self.moment, self.asked.found.values()) if one]

    @property
    def is_useless(self) -> bool:
        """Whether the PACS gives the same to each part, or nothing more."""
        return self._learnt.is_useless or self.is_silent

    def _known(self) -> list[tuple[Moment, str]]:
        found = [(self.moment(match), uid) for uid, match in self.asked.found.items()]
        return [(known, uid) for known, uid in found if known]

    def _cut(self, piece: Piece, answer: FindResult, cutter: Cutter) -> None:
        """Have a part asked in smaller ones; remember it where date and time cannot tell all of it."""
        times = [known[1] for known in map(self.moment, answer) if known and piece.holds(known)]
        is_day = piece.first == piece.last and piece.has_whole_days
        if is_day and self.by_time and times and None in times:
            self.left.append(piece)
            if all(time is None for time in times):
                return
        tells_limit = bool(answer.matches) and self.asked.caps.hides is None
        if not cutter.is_cut_off(piece, None if tells_limit else self.asked.longest):
            self.left.append(piece)

    def _lacks(self, piece: Piece, answer: FindResult, early: list[tuple[Moment, str]]) -> bool:
        """Whether an answer lacks a match that is known and belongs to it, and that a smaller part has."""
        given = self.asked.uids(answer)
        lacking = next(((known, uid) for known, uid in early if uid not in given and piece.holds(known)), None)
        if lacking is None:
            return False
        (day, minute), uid = lacking
        smaller = Piece(day, day) if minute is None or not self.by_time else Piece(day, day, minute, minute)
        if smaller != piece and uid in self.asked.uids(self.part(smaller)):
            self.asked.caps.is_unsteady = True
            return True
        if uid in self.asked.uids(self._fresh(piece)):
            return True
        early.remove(lacking)  # its date is not what the PACS compares
        return False

    def _fresh(self, piece: Piece) -> FindResult:
        """Ask once more on a fresh association; where that brings more, the PACS counts by association."""
        self.asked.renew()
        known, answer = len(self.asked.found), self.part(piece)
        if answer.matches and (len(self.asked.found) > known or not self.asked.caps.needs_fresh_associations):
            self.asked.caps.needs_fresh_associations = self.asked.caps.is_unsteady = True
        return answer

    def _believe(self, piece: Piece, answer: FindResult, expected: float) -> None:
        """Take an answer for whole; prove it where it looks odd, and now and then."""
        is_worth_it = self._learnt.believe(piece, answer, expected, self.asked.caps.most or 0)
        if is_worth_it and not self.asked.caps.is_unsteady:
            self._prove(piece, answer)

    def _prove(self, piece: Piece, answer: FindResult) -> None:
        halves = self._halves(piece, answer)
        answers = [self.part(half) for half in halves]
        self._learnt.see_proof()
        if any(map(has_failed, answers)):
            return
        if halves and not self._repeats(answer, answers):
            self._learn(answer, answers)
            self.asked.caps.is_unsteady = True
        elif not answer.matches:
            self._listen()

    def _repeats(self, answer: FindResult, answers: list[FindResult]) -> bool:
        """Whether the halves of a part have just what it has."""
        again = self.asked.uids(match for one in answers for match in one)
        return again == self.asked.uids(answer) and not any(one.error in TOO_MANY for one in answers)

    def _learn(self, answer: FindResult, answers: list[FindResult]) -> None:
        """Learn from an answer that lacks matches which its parts have."""
        given = self.asked.uids(answer)
        more = [match for one in answers for match in one if self.asked.uid(match) not in given]
        if answer.matches and more:
            self.asked.caps.learn(answer.matches, more)

    def _halves(self, piece: Piece, answer: FindResult) -> tuple[Piece, ...]:
        """Return two parts of a part, with about as many matches."""
        if piece.first == piece.last and not self.by_time:
            return ()
        inside = in_order(one for one in map(self.moment, answer) if one and piece.holds(one))
        if inside:
            return piece.parts_at(inside[len(inside) // 2])
        return () if piece.is_open else piece.halves()

    def lacking(self, piece: Piece, answer: FindResult) -> int:
        """Return how many of the known matches of a part an answer does not give again."""
        given = self.asked.uids(answer)
        return sum(uid not in given and piece.holds(known) for known, uid in self._known())

    def forgets(self, lacking: int) -> bool:
        """Whether the PACS does not give again so many of the matches that it has given; see why."""
        if lacking > len(self._known()) // 2:
            self._listen()
        # One alone may have a date that is not what the PACS compares.
        self.asked.caps.is_unsteady |= lacking > 1
        return lacking > 1

    def _listen(self) -> None:
        """Notice that the PACS has stopped to answer: it does not find what it has told before."""
        (day, minute), _ = next(iter(self._known()), ((0, None), ""))
        one = Piece(day, day) if minute is None or not self.by_time else Piece(day, day, minute, minute)
        answer = self.part(one) if day else None
        if answer is not None and not answer.matches and not answer.error:
            again = self._fresh(one)
            if not again.matches and not again.error:
                still = self.asked({})
                self.is_silent = not still.matches and not still.error
                if not self.is_silent:  # it gives the whole, and it is dates or times that it does not take
                    self._learnt.see_ignored()

    def _end(self, answer: FindResult) -> FindResult:
        if self.asked.found and not self.is_useless:
            self._listen()
        if self.asked.caps.is_unsteady and not self.is_useless:
            return self.settle(self._learnt.believed) or answer
        return answer
