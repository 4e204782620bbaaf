"""All answers to one C-FIND, also from a PACS that gives a limited number of them at a time.

An answer that may have been cut off is proved: the search is asked once more in parts. If these bring more, the search
is cut into pieces by date and time until each piece has fewer answers than the PACS gives.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.caps import Caps, Match
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
    whole = _span(keys)
    if whole is None:
        return ask(keys)
    search = _Search(ask, {**keys, **_further(keys)}, caps, whole, by_time=not keys.get("StudyTime"))
    first = search.asked({})
    return search.in_pieces(first, today) if search.is_cut_off(first) else first


@dataclass
class _Search:
    ask: Callable[[Keys], FindResult]
    keys: Keys
    caps: Caps
    whole: Piece
    by_time: bool
    found: dict[str, dict[str, str]] = field(default_factory=dict)

    def asked(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches."""
        result = self.ask({**self.keys, **keys})
        for match in result:
            self.found.setdefault(match.get(_UNIQUE, ""), match)
        return result

    def is_cut_off(self, first: FindResult) -> bool:
        """Whether there are more matches than came."""
        if first.cancelled:
            return False
        if first.error:
            return first.error in _TOO_MANY and self._smaller_ones_work(first)
        if self.caps.reached(first.matches):
            return True
        if not self.caps.doubted(first.matches, self.keys):
            return False
        known = set(self.found)
        is_answered = self._ask_again_in_parts(first)
        more = [match for uid, match in self.found.items() if uid not in known]
        if more:
            self.caps.learn(first.matches, more)
        elif is_answered:
            self.caps.prove(first.matches, self.keys)
        return bool(more)

    def in_pieces(self, first: FindResult, today: dt.date) -> FindResult:
        """Ask piece by piece."""
        most = self.caps.most or max(len(first), self.caps.most_of_a_patient or _UNKNOWN_CAP)
        cutter = Cutter(self.whole, most, self._moments(), today=today, by_time=self.by_time)
        last, number, stale, hidden = first, 0, 0, False
        while (piece := cutter.next()) is not None and stale < _MOST_STALE:
            known = len(self.found)
            last, number = self.asked(piece.keys), number + 1
            inside = [one for one in map(_moment, last) if one is None or piece.holds(one)]
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
        said = f"{self._limit()}: it was asked in {number} parts, by date and time"
        whole = replace(
            last, matches=tuple(self.found.values()), error=None, error_comment=None, advice=sentences(said)
        )
        return replace(whole, error="capped", advice=sentences(said, ADVICE["capped"])) if hidden else whole

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
        return bool(parts) and self.asked(parts[0].keys).error is None

    def _ask_again_in_parts(self, first: FindResult) -> bool:
        """Ask for parts, until one has a new match or all have fewer than the answer; return whether all answered."""
        todo = list(self._proofs(first))
        for _ in range(_MOST_PROOFS):
            if not todo:
                return True
            piece, known = todo.pop(), len(self.found)
            part = self.asked(piece.keys)
            if part.error or part.cancelled:
                return False
            if len(self.found) > known:
                return True
            if part.matches and len(part) >= len(first):
                todo += self._parts(piece, _sorted(map(_moment, part)))
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
        return [one for one in map(_moment, self.found.values()) if one]


def _sorted(moments: Iterable[Moment | None]) -> list[Moment]:
    return sorted((one for one in moments if one), key=lambda one: (one[0], one[1] or 0))


def _moment(match: Match) -> Moment | None:
    return moment(match.get("StudyDate", ""), match.get("StudyTime", ""))


def _span(keys: Keys) -> Piece | None:
    """Return what can be cut: a search for studies that names none by its UID or accession number."""
    dates = keys.get("StudyDate") or ""
    exact = str(keys.get("AccessionNumber") or "")
    names_one = keys.get(_UNIQUE) or (exact and {"*", "?"}.isdisjoint(exact))
    if keys["QueryRetrieveLevel"] != "STUDY" or names_one or not isinstance(dates, str):
        return None
    return span(dates)


def _further(keys: Keys) -> dict[str, str]:
    """Return the keys that show whether an answer is whole."""
    wanted = {"StudyDate": "", "StudyTime": ""} | (
        {"NumberOfPatientRelatedStudies": ""} if keys.get("PatientID") else {}
    )
    return {name: value for name, value in wanted.items() if name not in keys}
