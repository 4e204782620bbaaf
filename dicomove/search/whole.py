"""All answers to one C-FIND, also from a PACS that gives a limited number of them at a time.

An answer that may have been cut off is proved: the search is asked once more in parts. If these bring more, the search
is cut into pieces by date and time until each piece has fewer answers than the PACS gives; what is left then, or has no
date, by the characters of PatientID and AccessionNumber. The series of a study and the instances of a series are held
against the number of them that the PACS tells.
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
from dicomove.search.asked import Asked, has_failed, has_too_many, is_refused
from dicomove.search.below import ask_below
from dicomove.search.caps import FEW, Caps, Match
from dicomove.search.days import ByDate
from dicomove.search.hidden import HONEST, MOST, MOST_LATER, Keys, is_broad
from dicomove.search.levels import AXES, CAPPED, Axis, limit
from dicomove.search.pieces import Moment, Piece, in_order, span
from dicomove.search.texts import ByText

#: From so many answers on, some parts are asked once more, and not all.
_MANY: Final = 2_000
#: After so many parts that brought nothing new, the PACS is known to ignore the keys.
_MOST_PROOFS: Final = 16
#: What has no date is searched for in all of a search of so many full answers, and in samples of a larger one.
_MOST_SWEPT: Final = 40
_MOST_LEFT: Final = 8
_SUCCESS: Final = "0x0000"
_LONG_AGO: Final = dt.date(1900, 1, 1).toordinal()


def ask_whole(
    ask: Callable[[Keys], FindResult],
    keys: Keys,
    caps: Caps,
    today: dt.date,
    renew: Callable[[], object] = lambda: None,
) -> FindResult:
    """Return all answers to a search.

    Parameters
    ----------
    ask
        Sends one C-FIND.
    keys
        The keys of the search.
    caps
        What was learnt about the PACS.
    today
        The date of today.
    renew
        Ends the association, so that the next C-FIND has a fresh one.

    Returns
    -------
    FindResult
        With the error ``capped`` where there are more answers than could be asked for.
    """
    level = str(keys["QueryRetrieveLevel"])
    axis = AXES[level]
    whole = _span(keys, axis)
    if whole is None:
        return ask(keys)
    asked = Asked(ask, renew, {**keys, **_further(keys, axis)}, caps.of(level), axis, today)
    by_date = ByDate(asked, axis.date, axis.time, bool(axis.time) and not keys.get(axis.time), today)
    first = asked({})
    if has_failed(first):
        return first
    if axis.counted_by:
        return ask_below(asked, axis, by_date, whole, first)
    search = _Search(asked, whole, axis, by_date)
    first = search.believed(first)
    return search.in_pieces(first) if search.is_cut_off(first) else search.as_it_is(first)


@dataclass
class _Search:
    """A search for studies or patients."""

    asked: Asked
    whole: Piece
    axis: Axis
    by_date: ByDate

    def __post_init__(self) -> None:
        self.by_text = ByText(self.asked, self.axis.texts)

    def believed(self, first: FindResult) -> FindResult:
        """Return the first answer; with an error where the PACS says Success, and hides that there are more matches."""
        caps = self.asked.caps
        if first.error or caps.hides is not None or len(first) >= FEW or not is_broad(self.asked.keys):
            return first
        most = MOST if caps.honest < HONEST else 0 if first.matches else MOST_LATER
        if not self.asked.denies({}, first, most):
            caps.honest += 1
            return first
        again = self.asked({})
        if again.error or len(again) > len(first):
            return again  # studies have come meanwhile
        caps.hides = len(again)
        return replace(again, error="out_of_resources")

    def is_cut_off(self, first: FindResult) -> bool:
        """Whether there are more matches than came."""
        caps = self.asked.caps
        if first.error:
            return caps.hides is not None or self._smaller_ones_work(first)
        if caps.reached(first.matches):
            return not self._has_all_counted()
        if not caps.doubted(first.matches, self.asked.keys):
            return False
        known, was_unsteady = set(self.asked.found), caps.is_unsteady
        is_answered = self._ask_again_in_parts(first)
        more = [match for uid, match in self.asked.found.items() if uid not in known]
        if more:
            caps.learn(first.matches, more)
        is_odd = self.by_date.is_silent or (caps.is_unsteady and not was_unsteady)
        if is_answered and not more and not is_odd:
            caps.prove(first.matches, self.asked.keys)
        return bool(more) or is_odd

    def as_it_is(self, first: FindResult) -> FindResult:
        """Return an answer that has all matches; say where the PACS counts more of them."""
        number = self._counted()
        if first.error or number is None or number <= len(first):
            return first
        said = f"the PACS counts {number} studies of the patient, and lists {len(first)}, also in parts"
        return replace(first, advice=sentences(first.advice or "", said))

    def in_pieces(self, first: FindResult) -> FindResult:
        """Ask piece by piece."""
        last = self.by_date.ask_for(self.whole, first)
        if has_failed(last):
            return replace(last, matches=tuple(self.asked.found.values()))
        if first.error and not self.asked.longest:  # smaller ones do not work either
            return replace(first, matches=tuple(self.asked.found.values()))
        is_whole, notes = self._rest() if not self._has_all_counted() else (True, [])
        if self.by_text.failed:
            return replace(self.by_text.failed, matches=tuple(self.asked.found.values()))
        number = self.by_date.parts + self.by_text.parts
        ways = [
            *(["date and time" if self.axis.time else "date"]),
            *(self.by_text.used[:1] if self.by_text.parts else []),
        ]
        said = f"{limit(self.asked.caps)}: it was asked in {number} parts, by {', and by '.join(ways)}"
        everything = replace(first, matches=tuple(self.asked.found.values()), error=None, error_comment=None)
        if is_whole:
            return replace(
                everything, status=last.status if last.error is None else _SUCCESS, advice=sentences(said, *notes)
            )
        return replace(everything, error="capped", advice=sentences(said, *notes, CAPPED[self.axis.plural]))

    def _rest(self) -> tuple[bool, list[str]]:
        """Ask for what dates and times cannot tell; return whether all is known, and what is to be said."""
        by_date = self.by_date
        if by_date.is_silent:
            return False, ["the PACS gives nothing more: ask again later"]
        undated = len(by_date.moments()) < len(self.asked.found)
        is_small = len(self.asked.found) <= _MOST_SWEPT * max(self.asked.caps.most or self.asked.longest, 1)
        if undated or by_date.is_ignored or is_small or len(by_date.left) > _MOST_LEFT:
            is_needed = undated or by_date.is_ignored or bool(by_date.left) or self.asked.caps.hides is not None
            return self._swept(is_needed=is_needed)
        for piece in by_date.left:
            scope = {name: str(value) for name, value in by_date.keys(piece).items()}
            if not self.by_text.ask_for(scope, partial(self._is_in, piece)):
                return False, []
        samples = max(_MOST_SWEPT // 2, by_date.parts // 40)
        if self.by_text.tells_more(samples):
            return self._swept(is_needed=True)
        return True, [f"what has no date was looked for in {samples} samples"] if self.by_text.parts else []

    def _swept(self, *, is_needed: bool) -> tuple[bool, list[str]]:
        known = len(self.asked.found)
        if self.by_text.ask_for({}, lambda _: True):
            return True, []
        if is_needed or len(self.asked.found) > known:
            return False, []
        return True, [f"{self.axis.plural} without a date may be lacking: the PACS does not tell them in parts"]

    def _is_in(self, piece: Piece, match: Match) -> bool:
        known = self.by_date.moment(match)
        return known is not None and piece.holds(known)

    def _counted(self) -> int | None:
        """Return how many studies the patient has, where the PACS counts just what was asked for."""
        asked = {name for name, value in self.asked.keys.items() if value and name != "QueryRetrieveLevel"}
        if asked != {"PatientID"} or self.axis.plural != "studies":
            return None
        numbers = [whole_number(match.get("NumberOfPatientRelatedStudies")) for match in self.asked.found.values()]
        return max((number for number in numbers if number is not None), default=None)

    def _has_all_counted(self) -> bool:
        return self._counted() == len(self.asked.found)

    def _smaller_ones_work(self, first: FindResult) -> bool:
        """Whether the PACS answers a part of a search that it does not answer to the end."""
        if not has_too_many(first):
            return False
        if first.matches:
            self.asked.caps.learn(first.matches, ())
            return True
        day = min(max(self.by_date.today.toordinal() - 1, self.whole.first), self.whole.last)
        one = Piece(day, day)
        smaller = one.halves()[:1] if one == self.whole else (one,)
        return all(self.by_date.part(part).error is None for part in smaller)

    def _ask_again_in_parts(self, first: FindResult) -> bool:
        """Ask for parts, until one has a new match or all have fewer than the answer; return whether all answered."""
        todo, lacking, is_stuck = list(self._proofs(first)), 0, False
        for _ in range(_MOST_PROOFS):
            if not todo:
                break
            piece, known = todo.pop(), len(self.asked.found)
            part = self.by_date.part(piece)
            if is_refused(part):
                return self.by_text.ask_ends(first.matches)
            if part.error or part.cancelled:
                return False
            if len(self.asked.found) > known:
                return True
            lacking = max(lacking, self.by_date.lacking(piece, part))
            if part.matches and len(part) >= len(first):
                smaller = self._parts(piece, in_order(one for one in map(self.by_date.moment, part) if one))
                is_stuck |= not smaller
                todo += smaller
        if len(first) <= _MANY and self.by_date.forgets(lacking):
            return True
        return self._is_proved_by_text(first, needed=bool(todo) or is_stuck or self.by_date.is_useless)

    def _is_proved_by_text(self, first: FindResult, *, needed: bool) -> bool:
        """Ask by text for what dates do not prove; return whether that has an answer."""
        if needed:
            return self.by_text.ask_ends(first.matches)
        undated = [match for match in first if self.by_date.moment(match) is None]
        if len(undated) == len(first):
            self.by_date.part(Piece(_LONG_AGO, self.whole.last))
        return len(undated) < FEW or self.by_text.ask_ends(undated)

    def _proofs(self, first: FindResult) -> Iterator[Piece]:
        known = in_order(self.by_date.moments())
        if len(first) <= _MANY or not known:
            yield from self._parts(self.whole, known)
            return
        (begin, _), (end, _) = known[0], known[-1]
        yield Piece(known[len(known) * 9 // 20][0], known[len(known) * 11 // 20][0])
        if end < self.whole.last:
            yield Piece(end + 1, self.whole.last)
        if begin > self.whole.first:
            yield Piece(self.whole.first, begin - 1)

    def _parts(self, piece: Piece, known: list[Moment]) -> tuple[Piece, ...]:
        is_day = piece.first == piece.last
        if not known or (is_day and not self.by_date.by_time):
            return ()
        # Not the middle, so that a limit which falls by half between two answers shows.
        return piece.parts_at(known[len(known) * 3 // 8])


def _span(keys: Keys, axis: Axis) -> Piece | None:
    """Return what may be cut: a search that names none of its answers by the UID or the accession number."""
    dates = (keys.get(axis.date) if axis.date else "") or ""
    exact = [str(keys.get(name) or "") for name in ("AccessionNumber", axis.unique)]
    if axis.counted_by:
        exact = exact[1:]
    names_one = any(value and {"*", "?"}.isdisjoint(value) for value in exact)
    return None if names_one or not isinstance(dates, str) else span(dates)


def _further(keys: Keys, axis: Axis) -> dict[str, str]:
    """Return the keys that show whether an answer is whole."""
    wanted = [name for name in (axis.date, axis.time, axis.counted_by, axis.number) if name]
    if keys.get("PatientID") and axis.plural == "studies":
        wanted.append("NumberOfPatientRelatedStudies")
    return {name: "" for name in wanted if name not in keys}
