"""All answers to one C-FIND, also from a PACS that gives a limited number of them at a time.

An answer that may have been cut off is proved: the search is asked once more in parts. If these bring more, the search
is cut into pieces by date and time until each piece has fewer answers than the PACS gives. The series of a study and
the instances of a series are held against the number of them that the PACS tells.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from dicomove.columns import whole_number
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.caps import Caps, Match, may_be_cut
from dicomove.search.pieces import Cutter, Moment, Piece, moment, span
from dicomove.words import ADVICE

#: How a PACS may answer a search that has too many matches.
_TOO_MANY: Final = {"out_of_resources", "unable_to_process", "cancelled_by_pacs"}
#: The number of matches in a piece, as long as the PACS has shown no limit.
_UNKNOWN_CAP: Final = 500
#: From so many answers on, some parts are asked once more, and not all.
_MANY: Final = 2_000
#: After so many parts that brought nothing new, the PACS is known to ignore the keys.
_MOST_PROOFS: Final = 16
_MOST_STALE: Final = 40
_UNIQUE: Final = "StudyInstanceUID"
#: They name what is above the level of a search, and narrow nothing.
_UPPER: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")

Keys = Mapping[str, str | list[str]]


def ask_whole(ask: Callable[[Keys], FindResult], keys: Keys, caps: Caps, today: dt.date) -> FindResult:
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

    Returns
    -------
    FindResult
        With the error ``capped`` where there are more answers than could be asked for.
    """
    level = str(keys["QueryRetrieveLevel"])
    axis = _AXES[level]
    whole = _span(keys, axis)
    if whole is None:
        return ask(keys)
    by_time = bool(axis.time) and not keys.get(axis.time)
    search = _Search(ask, {**keys, **_further(keys, axis)}, caps.of(level), whole, axis, by_time=by_time)
    first = search.asked({})
    if not search.is_cut_off(first):
        return first
    return search.in_pieces(first, today) if axis.date else search.capped(first, "")


@dataclass(frozen=True)
class _Axis:
    """By what a search at a level is cut, and who counts what it has.

    Attributes
    ----------
    unique, date, time
        Keywords; a level without a date cannot be cut.
    counted_by, above, upper
        The number of the answers that belong to one of the level above, this level, and its unique key.
    plural
        What the answers are.
    """

    unique: str
    date: str = ""
    time: str = ""
    counted_by: str = ""
    above: str = ""
    upper: str = ""
    plural: str = ""


_AXES: Final = {
    "PATIENT": _Axis("PatientID", "PatientBirthDate", plural="patients"),
    "STUDY": _Axis("StudyInstanceUID", "StudyDate", "StudyTime", plural="studies"),
    "SERIES": _Axis(
        *("SeriesInstanceUID", "SeriesDate", "SeriesTime"),
        counted_by="NumberOfStudyRelatedSeries",
        above="STUDY",
        upper="StudyInstanceUID",
        plural="series",
    ),
    "IMAGE": _Axis(
        "SOPInstanceUID",
        counted_by="NumberOfSeriesRelatedInstances",
        above="SERIES",
        upper="SeriesInstanceUID",
        plural="instances",
    ),
}
#: What to do about a list that cannot be completed, by the level; of studies, `ADVICE` has it.
_CAPPED: Final = {
    "patients": "There may be patients that the PACS does not tell: ask by PatientID, or for studies by date.",
    "series": "There are series that the PACS does not tell: ask by Modality or SeriesNumber, or move the whole study.",
    "instances": "There are instances that the PACS does not tell: move the whole series.",
    "studies": ADVICE["capped"],
}


@dataclass
class _Search:
    ask: Callable[[Keys], FindResult]
    keys: Keys
    caps: Caps
    whole: Piece
    axis: _Axis
    by_time: bool
    found: dict[str, dict[str, str]] = field(default_factory=dict)
    number: int | None = None

    def asked(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches."""
        result = self.ask({**self.keys, **keys})
        for match in result:
            self.found.setdefault(match.get(self.axis.unique, ""), match)
        return result

    def is_cut_off(self, first: FindResult) -> bool:
        """Whether there are more matches than came."""
        if first.cancelled:
            return False
        if first.error:
            return first.error in _TOO_MANY and self._smaller_ones_work(first)
        is_reached = self.caps.reached(first.matches)
        if not is_reached and not self.caps.doubted(first.matches, self.keys):
            return False
        self.number = self._counted(first)
        if self.number is not None:
            return self._is_below(self.number, first)
        if is_reached:
            return True
        if self.axis.unique != _UNIQUE and not self._moments():
            return may_be_cut(len(first))  # nothing can be asked that would prove the list
        known = set(self.found)
        is_answered = self._ask_again_in_parts(first)
        more = [match for uid, match in self.found.items() if uid not in known]
        is_round = self.axis.unique != _UNIQUE and may_be_cut(len(first))
        if more or is_round:
            self.caps.learn(first.matches, more)
        elif is_answered:
            self.caps.prove(first.matches, self.keys)
        return bool(more) or is_round

    def in_pieces(self, first: FindResult, today: dt.date) -> FindResult:
        """Ask piece by piece."""
        most = self.caps.most or max(len(first), self.caps.most_of_a_patient or _UNKNOWN_CAP)
        cutter = Cutter(self.whole, most, self._moments(), today=today, by_time=self.by_time)
        last, number, stale, hidden = first, 0, 0, False
        while (piece := cutter.next()) is not None and stale < _MOST_STALE:
            known = len(self.found)
            last, number = self._part(piece), number + 1
            inside = [one for one in map(self._moment, last) if one is None or piece.holds(one)]
            if last.error in _TOO_MANY or self.caps.reached(last.matches):
                # A PACS that ignores the keys gives the same answers to each piece.
                is_heeded = len(inside) == len(last)
                hidden |= not (is_heeded and cutter.is_cut_off(piece))
                stale = stale + 1 if len(self.found) == known else 0
            elif last.error or last.cancelled:
                return replace(last, matches=tuple(self.found.values()))
            else:
                cutter.is_complete(piece, [one for one in inside if one])
        hidden |= stale >= _MOST_STALE or (cutter.cut_days and any(minute is None for _, minute in self._moments()))
        # Without a date, an answer is in none of the parts: of studies it is the exception.
        hidden |= self.axis.unique != _UNIQUE and len(self._moments()) < len(self.found)
        if self.number is not None:
            hidden = len(self.found) < self.number
        said = f"{self._limit()}: it was asked in {number} parts, by {'date and time' if self.axis.time else 'date'}"
        whole = replace(
            last, matches=tuple(self.found.values()), error=None, error_comment=None, advice=sentences(said)
        )
        return self.capped(whole, said) if hidden else whole

    def capped(self, result: FindResult, said: str) -> FindResult:
        """Return the result as one that lacks matches."""
        counted = "" if self.number is None else f"the PACS lists {len(self.found)} of {self.number} {self.axis.plural}"
        return replace(result, error="capped", advice=sentences(said, counted, _CAPPED[self.axis.plural]))

    def _part(self, piece: Piece) -> FindResult:
        names = {"StudyDate": self.axis.date, "StudyTime": self.axis.time}
        return self.asked({names[name]: value for name, value in piece.keys.items()})

    def _counted(self, first: FindResult) -> int | None:
        """Return how many matches there are, where the PACS counts just what was asked for."""
        axis = self.axis
        narrows = {name for name, value in self.keys.items() if value} - {"QueryRetrieveLevel", *_UPPER}
        if not axis.counted_by or narrows or self.keys.get(axis.unique) or not self.keys.get(axis.upper):
            return None
        return _largest(first, axis.counted_by) or _largest(self.ask(self._above), axis.counted_by)

    @property
    def _above(self) -> dict[str, str | list[str]]:
        """The keys that ask for the number of matches, at the level above."""
        names = [name for name in _UPPER if self.keys.get(name)]
        return {
            "QueryRetrieveLevel": self.axis.above,
            **{name: self.keys[name] for name in names},
            self.axis.counted_by: "",
        }

    def _is_below(self, number: int, first: FindResult) -> bool:
        if number <= len(self.found):
            self.caps.prove(first.matches, self.keys)
            return False
        self.caps.learn(first.matches, ())
        return True

    def _limit(self) -> str:
        if self.caps.most:
            return f"the PACS gives at most {self.caps.most} answers"
        if self.caps.most_of_a_patient:
            return f"the PACS gives at most {self.caps.most_of_a_patient} answers of one patient"
        return "the PACS does not answer so broad a search"

    def _smaller_ones_work(self, first: FindResult) -> bool:
        """Whether the PACS answers a part of a search that it does not answer to the end."""
        if first.matches:
            self.caps.learn(first.matches, ())
            return True
        parts = self.whole.halves()
        return bool(parts) and bool(self.axis.date) and self._part(parts[0]).error is None

    def _ask_again_in_parts(self, first: FindResult) -> bool:
        """Ask for parts, until one has a new match or all have fewer than the answer; return whether all answered."""
        todo = list(self._proofs(first))
        for _ in range(_MOST_PROOFS):
            if not todo:
                return True
            piece, known = todo.pop(), len(self.found)
            part = self._part(piece)
            if part.error or part.cancelled:
                return False
            if len(self.found) > known:
                return True
            if part.matches and len(part) >= len(first):
                todo += self._parts(piece, _sorted(map(self._moment, part)))
        return not todo

    def _proofs(self, first: FindResult) -> Iterator[Piece]:
        known = _sorted(self._moments())
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
        if not known or (is_day and not self.by_time):
            return ()
        return piece.parts_at(known[len(known) // 2])

    def _moments(self) -> list[Moment]:
        return [one for one in map(self._moment, self.found.values()) if one]

    def _moment(self, match: Match) -> Moment | None:
        return moment(match.get(self.axis.date, ""), match.get(self.axis.time, ""))


def _largest(found: FindResult, keyword: str) -> int | None:
    numbers = [whole_number(match.get(keyword)) for match in found]
    return max((number for number in numbers if number is not None), default=None)


def _sorted(moments: Iterable[Moment | None]) -> list[Moment]:
    return sorted((one for one in moments if one), key=lambda one: (one[0], one[1] or 0))


def _span(keys: Keys, axis: _Axis) -> Piece | None:
    """Return what may be cut: a search that names none of its answers by the UID or the accession number."""
    dates = (keys.get(axis.date) if axis.date else "") or ""
    exact = [str(keys.get(name) or "") for name in ("AccessionNumber", axis.unique)]
    if axis.unique in ("SeriesInstanceUID", "SOPInstanceUID"):
        exact = exact[1:]
    names_one = any(value and {"*", "?"}.isdisjoint(value) for value in exact)
    return None if names_one or not isinstance(dates, str) else span(dates)


def _further(keys: Keys, axis: _Axis) -> dict[str, str]:
    """Return the keys that show whether an answer is whole."""
    wanted = [name for name in (axis.date, axis.time, axis.counted_by) if name]
    if keys.get("PatientID") and axis.unique == _UNIQUE:
        wanted.append("NumberOfPatientRelatedStudies")
    return {name: "" for name in wanted if name not in keys}
