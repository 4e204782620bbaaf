"""Splits the series of a study by modality and number, and the instances of a series by number.

C-FIND has no ranges of numbers, so each number needs a C-FIND of its own. Only incomplete lists are split in this way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from dicomove.columns import whole_number
from dicomove.dimse import FindResult
from dicomove.search.asked import Asked, has_failed

#: After so many numbers in a row without a match, the search ends.
_MOST_MISSES: Final = {"SeriesNumber": 20, "InstanceNumber": 50}
_MODALITIES: Final = (
    *("CT", "MR", "CR", "DX", "US", "PT", "NM", "XA", "RF", "MG", "SR", "PR", "KO", "OT", "SC", "SEG", "DOC"),
    *("RTSTRUCT", "RTDOSE", "RTPLAN", "RTIMAGE", "REG", "ECG", "ES", "XC", "IVUS", "OPT", "OP", "SM", "PX", "IO", "GM"),
)


@dataclass
class ByNumber:
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

    asked: Asked
    name: str
    missing: Callable[[], int | None]
    #: The keys that the PACS respects.
    heeded: tuple[str, ...] = ()
    failed: FindResult | None = None
    parts: int = 0

    def ask_for(self) -> None:
        """Ask for the missing matches, until nothing is missing."""
        if self.name == "SeriesNumber" and not self.asked.keys.get("Modality"):
            self._by_modality(sorted({match.get("Modality", "") for match in self.asked.found.values()} - {""}))
        if not self._is_done and not self.asked.keys.get(self.name):
            self._by_number()
        if self.heeded[:1] == ("Modality",):
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
            if answer is None or not self._is_heeded(answer, "Modality", modality, known):
                return
            if known and "Modality" not in self.heeded:
                self.heeded = (*self.heeded, "Modality")

    def _by_number(self) -> None:
        """Ask for three known numbers as a test, then for unknown ones between and beyond, then for all known ones."""
        known = self._numbers()
        for number in dict.fromkeys([*known[:1], *known[len(known) // 2 :][:1], *known[-1:]]):
            if not self._ask_number(number):
                return
        if known and not self.failed:
            self.heeded = (*self.heeded, self.name)
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
        return answer is not None and self._is_heeded(answer, self.name, str(number), known)

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

    def _is_heeded(self, answer: FindResult, name: str, value: str, known: set[str]) -> bool:
        """Whether the PACS returned only requested matches, and all known ones among them."""
        plain = value.lstrip("0") or "0"
        fits = all((match.get(name, "").strip().lstrip("0+") or "0") == plain and match.get(name) for match in answer)
        if fits and (known <= self.asked.uids(answer) or self.asked.is_cut(answer)):
            return True
        self.heeded = tuple(one for one in self.heeded if one != name)
        return False
