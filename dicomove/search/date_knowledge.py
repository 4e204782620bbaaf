"""What a search by date has learnt: whether the PACS uses dates, and which parts to verify. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.limits import FEW
from dicomove.search.spans import Span

#: After so many parts without a new match, the PACS counts as ignoring the keys.
_MOST_STALE: Final = 40
_MOST_IGNORED: Final = 3
#: The first parts and then each part after so many are verified, while few verifications were necessary.
_TURN: Final = 16
_FREE_PROOFS: Final = 40

Part = tuple[Span, FindResult]


@dataclass
class DateKnowledge:
    """What a search by date has learnt so far.

    Attributes
    ----------
    believed
        The parts that count as complete.
    """

    believed: list[Part] = field(default_factory=list)
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
