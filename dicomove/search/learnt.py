"""What the parts of a search have told: whether dates tell them apart, and which of them are worth a proof. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import sqrt
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.caps import FEW
from dicomove.search.pieces import Piece

#: After so many parts that brought nothing new, the PACS is known to ignore the keys.
_MOST_STALE: Final = 40
_MOST_IGNORED: Final = 3
#: The first parts and then every one of so many are proved, as long as the proofs are few beside the parts.
_TURN: Final = 16
_FREE_PROOFS: Final = 40

Part = tuple[Piece, FindResult]


@dataclass
class Learnt:
    """What was learnt from the parts so far.

    Attributes
    ----------
    believed
        The parts that were taken for whole.
    """

    believed: list[Part] = field(default_factory=list)
    _lengths: Counter[int] = field(default_factory=Counter)
    _stale: int = 0
    _outside: int = 0
    _refused: int = 0
    _proofs: int = 0

    @property
    def is_useless(self) -> bool:
        """Whether the PACS gives the same to each part."""
        return self._stale >= _MOST_STALE or self._outside >= _MOST_IGNORED

    def see_cut(self, *, brought_new: bool) -> None:
        """Learn of a part that lacks something."""
        self._stale = 0 if brought_new else self._stale + 1

    def see_outside(self) -> None:
        """Learn of a part whose matches have other dates."""
        self._outside += 1

    def see_ignored(self) -> None:
        """Learn that the PACS finds nothing by dates, or by times."""
        self._outside = _MOST_IGNORED

    def may_be_the_open_end(self) -> bool:
        """Whether to try dates at both ends for a range that was refused: a few times."""
        self._refused += 1
        return self._refused <= _MOST_IGNORED

    def believe(self, piece: Piece, answer: FindResult, expected: float, most: int) -> bool:
        """Take an answer for whole; tell whether that is worth a proof: where it looks odd, and now and then.

        Parameters
        ----------
        piece, answer
            The part.
        expected
            How many matches it was thought to have.
        most
            The matches that the PACS gives at the most; 0 where that is not known.
        """
        self.believed.append((piece, answer))
        self._lengths[len(answer)] += 1
        is_low = len(answer) + 3 * sqrt(expected) < expected
        is_often = self._lengths[len(answer)] >= FEW and 2 * len(answer) >= most > 0
        is_turn = (len(self.believed) <= _TURN or len(self.believed) % _TURN == 0) and len(answer) >= FEW
        may = 2 * self._proofs <= _FREE_PROOFS + len(self.believed) // 16
        return (is_low or is_often or is_turn) and may

    def see_proof(self) -> None:
        """Count a proof: they are to be few beside the parts."""
        self._proofs += 1
