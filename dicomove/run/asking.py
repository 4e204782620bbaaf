"""When a PACS that left C-FINDs without an answer is asked again. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

#: What is asked of a PACS about a row: how many instances it has, or a list of them.
Question = Literal["counts", "instances"]
ALL: Final = frozenset[Question](get_args(Question))

#: So many in a row may be lost before the PACS is spared: each may cost the whole ``idle_timeout``.
_MOST_IN_A_ROW: Final = 3
#: The PACS is spared so many times as long as the last loss took: of the run, at most a ninth is spent on losses.
_MOST_TIMES: Final = 8
_LONGEST_PAUSE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one question.

    Attributes
    ----------
    question
        Which.
    lost_s
        Seconds that were spent on a C-FIND without an answer; ``None`` where there was one, a refusal included.
    """

    question: Question
    lost_s: float | None = None


class Asking:
    """What may be asked now. An answer, also a refusal, makes up for all losses before it.

    Every method takes the time, in seconds of the monotonic clock.

    Examples
    --------
    >>> asking = Asking()
    >>> asking.learn([Told("counts", 60.0)] * 3, now=0.0)
    >>> sorted(asking.allowed(now=59.0)), sorted(asking.allowed(now=60.0))
    (['instances'], ['counts', 'instances'])
    """

    def __init__(self) -> None:
        self._in_a_row: dict[Question, int] = {}
        self._until: dict[Question, float] = {}

    def allowed(self, now: float) -> frozenset[Question]:
        """Return what may be asked."""
        return ALL - {one for one, until in self._until.items() if now < until} if self._until else ALL

    def learn(self, told: Iterable[Told], now: float) -> None:
        """Take in what became of some questions."""
        for one in told:
            if one.lost_s is None:
                self._in_a_row[one.question] = 0
                self._until.pop(one.question, None)
                continue
            in_a_row = self._in_a_row.get(one.question, 0) + 1
            self._in_a_row[one.question] = in_a_row
            if in_a_row >= _MOST_IN_A_ROW:
                times = min(2 ** (in_a_row - _MOST_IN_A_ROW), _MOST_TIMES)
                self._until[one.question] = now + min(one.lost_s * times, _LONGEST_PAUSE_S)
