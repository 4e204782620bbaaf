"""The series of a study and the instances of a series, compared with the PACS's own count of them.

A PACS may count more than it lists, because of deleted or hidden series, or old numbers. This is not a limit of its
answers: a search in parts by date, modality and number also lists no more. C-FIND has no ranges of numbers, so each
number needs a C-FIND of its own. Only incomplete lists are split in this way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from dicomove.columns import whole_number
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.limits import CAPPED, limit, may_be_cut
from dicomove.search.parts.by_date import ByDate
from dicomove.search.parts.hidden_matches import Axis, OneSearch, has_failed
from dicomove.search.parts.spans import Span

#: Unique keys of the levels above a search, which do not narrow it.
_UPPER: Final = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")

#: After so many numbers in a row without a match, the search ends.
_MOST_MISSES: Final = {"SeriesNumber": 20, "InstanceNumber": 50}
_MODALITIES: Final = (
    *("CT", "MR", "CR", "DX", "US", "PT", "NM", "XA", "RF", "MG", "SR", "PR", "KO", "OT", "SC", "SEG", "DOC"),
    *("RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "REG", "ECG", "ES", "XC", "IVUS", "OPT", "OP", "SM", "PX", "IO", "GM"),
)


def ask_by_number(asked: OneSearch, axis: Axis, by_date: ByDate, whole: Span, first: FindResult) -> FindResult:
    """Return all series of a study, or all instances of a series.

    Parameters
    ----------
    asked
        The search, with its first answer.
    axis
        The level.
    by_date
        Splits the search by date.
    whole
        The dates of the search.
    first
        The first answer.
    """
    search = _Search(asked, axis, by_date, first)
    return search.completed(whole) if search.may_lack() else search.first


@dataclass
class _Search:
    asked: OneSearch
    axis: Axis
    by_date: ByDate
    first: FindResult
    number: int | None = None

    def __post_init__(self) -> None:
        self.by_number = _ByNumber(self.asked, self.axis.number, self._missing)

    def may_lack(self) -> bool:
        """Whether there may be more matches."""
        limits, first = self.asked.limits, self.first
        is_doubted = limits.reached(first.matches) or limits.doubted(first.matches, self.asked.keys)
        if not (first.error or is_doubted or not first.matches):
            return False
        self.number = self._counted()
        if not first.matches and not first.error and not self.number:
            return False
        if self.number is not None and not first.error and self.number <= len(self.asked.found):
            limits.verified(first.matches, self.asked.keys)
            return False
        return True

    def completed(self, whole: Span) -> FindResult:
        """Return all matches, from a search in parts."""
        limits, known = self.asked.limits, len(self.asked.found)
        is_reached = limits.reached(self.first.matches) or bool(self.first.error)
        by_date = self._by_date(whole)
        if self._missing() != 0 and not by_date:
            self.by_number.ask_for()
        failed = self.by_number.failed
        everything = replace(self.first, matches=tuple(self.asked.found.values()))
        if failed or has_failed(everything):
            return replace(failed or everything, matches=everything.matches)
        more = list(everything.matches[known:])
        if more and known:
            limits.learn(everything.matches[:known], more)
        elif self._missing() == 0 or (by_date or self.by_number.searched_by):
            limits.verified(self.first.matches, self.asked.keys)
        return self._judged(everything, is_cut=bool(more) or is_reached, is_proved=by_date)

    def _judged(self, everything: FindResult, *, is_cut: bool, is_proved: bool) -> FindResult:
        parts = self.by_date.parts + self.by_number.parts
        said = f"{limit(self.asked.limits)}: it was asked in {parts} parts" if is_cut else ""
        is_contradicted = self.first.error is not None and self.number != len(self.asked.found)
        if (self._missing() == 0 and not is_contradicted) or (self.number is None and is_proved):
            return replace(everything, error=None, advice=sentences(said) if said else everything.advice)
        is_searched = is_proved or bool(self.by_number.searched_by)
        longest = self.asked.limits.longest
        counted = f"the PACS lists {len(self.asked.found)} of {self.number} {self.axis.plural}"
        is_round = may_be_cut(len(self.first))
        if is_cut or (not is_searched and longest <= len(self.first) and (is_round or self.number is not None)):
            said_count = counted if self.number is not None else ""
            return replace(everything, error="capped", advice=sentences(said, said_count, CAPPED[self.axis.plural]))
        if self.number is None:
            return everything
        ways = ", ".join([*(["date"] if is_proved else []), *self.by_number.searched_by])
        asked = f", also where it is asked by {ways}" if ways else ""
        more = f"the PACS counts {self.number} {self.axis.plural}, and lists {len(self.asked.found)}{asked}"
        return replace(everything, advice=sentences(f"{more}: it counts more than it lists"))

    def _by_date(self, whole: Span) -> bool:
        """Ask by date; return whether this found everything."""
        if not self.axis.date or len(set(self.by_date.moments())) < 2:
            return False
        if failed := self.by_date.verify([(whole, self.first)]):
            self.by_number.failed = failed
        is_complete = not self.by_date.left and not self.by_date.is_ignored
        return is_complete and len(self.by_date.moments()) == len(self.asked.found)

    def _missing(self) -> int | None:
        return None if self.number is None else max(self.number - len(self.asked.found), 0)

    def _counted(self) -> int | None:
        """Return the number of matches, if the PACS counts exactly this search."""
        axis, keys = self.axis, self.asked.keys
        narrows = {name for name, value in keys.items() if value} - {"QueryRetrieveLevel", *_UPPER}
        if narrows or keys.get(axis.unique) or not keys.get(axis.upper):
            return None
        return _largest(self.first, axis.counted_by) or _largest(self.asked.elsewhere(self._above), axis.counted_by)

    @property
    def _above(self) -> dict[str, str | list[str]]:
        """The keys of a C-FIND at the level above for the number of matches."""
        keys = self.asked.keys
        named = {name: keys[name] for name in _UPPER if keys.get(name)}
        return {"QueryRetrieveLevel": self.axis.above, **named, self.axis.counted_by: ""}


def _largest(found: FindResult, keyword: str) -> int | None:
    numbers = [whole_number(match.get(keyword)) for match in found]
    return max((number for number in numbers if number is not None), default=None)


@dataclass
class _ByNumber:
    """Splits a list by modality and number.

    Attributes
    ----------
    asked
        The search.
    name
        ``"SeriesNumber"`` or ``"InstanceNumber"``.
    missing
        Returns the number of missing matches, according to the count of the PACS.
    """

    asked: OneSearch
    name: str
    missing: Callable[[], int | None]
    #: The keys that the PACS respects.
    searched_by: tuple[str, ...] = ()
    failed: FindResult | None = None
    parts: int = 0

    def ask_for(self) -> None:
        """Ask for the missing matches, until nothing is missing."""
        if self.name == "SeriesNumber" and not self.asked.keys.get("Modality"):
            self._by_modality(sorted({match.get("Modality", "") for match in self.asked.found.values()} - {""}))
        if not self._is_done and not self.asked.keys.get(self.name):
            self._by_number()
        if self.searched_by[:1] == ("Modality",):
            self._by_modality(_MODALITIES)

    @property
    def _is_done(self) -> bool:
        return self.missing() == 0 or self.failed is not None

    def _by_modality(self, modalities: list[str] | tuple[str, ...]) -> None:
        for modality in modalities:
            if self._is_done:
                return
            known = {uid for uid, match in self.asked.found.items() if match.get("Modality") == modality}
            answer = self._part("Modality", modality)
            if answer is None or not self._is_searched_by(answer, "Modality", modality, known):
                return
            if known and "Modality" not in self.searched_by:
                self.searched_by = (*self.searched_by, "Modality")

    def _by_number(self) -> None:
        """Ask for three known numbers as a test, then for unknown ones between and beyond, then for all known ones."""
        known = self._numbers()
        for number in dict.fromkeys([*known[:1], *known[len(known) // 2 :][:1], *known[-1:]]):
            if not self._ask_number(number):
                return
        if known and not self.failed:
            self.searched_by = (*self.searched_by, self.name)
        before = len(self.asked.found)
        misses = 0
        for number in self._unknown(known):
            if self._is_done or not self._ask_number(number):
                return
            misses = misses + 1 if len(self.asked.found) == before else 0
            before = len(self.asked.found)
            if number > max(self._numbers(), default=0) and misses >= _MOST_MISSES[self.name] + (self.missing() or 0):
                break
        for number in known if self.missing() else ():
            if self._is_done or not self._ask_number(number):
                return

    def _ask_number(self, number: int) -> bool:
        known = {uid for uid, match in self.asked.found.items() if whole_number(match.get(self.name)) == number}
        answer = self._part(self.name, str(number))
        return answer is not None and self._is_searched_by(answer, self.name, str(number), known)

    def _unknown(self, known: list[int]) -> Iterator[int]:
        there = set(known)
        number = 0
        while True:
            if number not in there:
                yield number
            number += 1

    def _numbers(self) -> list[int]:
        numbers = (whole_number(match.get(self.name)) for match in self.asked.found.values())
        return sorted({number for number in numbers if number is not None and number >= 0})

    def _part(self, name: str, value: str) -> FindResult | None:
        self.parts += 1
        answer = self.asked({name: value})
        if has_failed(answer):
            self.failed = answer
            return None
        return answer

    def _is_searched_by(self, answer: FindResult, name: str, value: str, known: set[str]) -> bool:
        """Whether the PACS returned only requested matches, and all known ones among them."""
        plain = value.lstrip("0") or "0"
        fits = all((match.get(name, "").strip().lstrip("0+") or "0") == plain and match.get(name) for match in answer)
        if fits and (known <= self.asked.uids(answer) or self.asked.is_cut(answer)):
            return True
        self.searched_by = tuple(one for one in self.searched_by if one != name)
        return False
