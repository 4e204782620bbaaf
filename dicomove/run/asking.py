"""Pauses in C-FIND for a PACS that does not answer it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

#: A question about a row: the number of its instances, or the list of them.
Question = Literal["counts", "instances"]
ALL: Final = frozenset[Question](get_args(Question))

#: After so many questions in a row without an answer, a pause begins: each of them may cost the whole ``idle_timeout``.
_MOST_IN_A_ROW: Final = 3
#: The longest pause, in multiples of the time that the last lost question took: so a run spends at most a ninth of its
#: time on lost questions.
_MOST_TIMES: Final = 8
_LONGEST_PAUSE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that was sent to the PACS.

    Attributes
    ----------
    question
        The kind of question.
    lost_s
        Seconds that the run waited in vain; ``None`` if the PACS answered. A refusal is an answer.
    """

    question: Question
    lost_s: float | None = None


class Asking:
    """Decides which questions may be sent now. An answer, also a refusal, ends the pause.

    `now` is the time in seconds of the monotonic clock.

    Examples
    --------
    >>> asking = Asking()
    >>> asking.learn([Asked("counts", 60.0)] * 3, now=0.0)
    >>> sorted(asking.allowed(now=59.0)), sorted(asking.allowed(now=60.0))
    (['instances'], ['counts', 'instances'])
    """

    def __init__(self) -> None:
        self._in_a_row: dict[Question, int] = {}
        self._until: dict[Question, float] = {}

    def allowed(self, now: float) -> frozenset[Question]:
        """Return the questions that may be sent."""
        return ALL - {one for one, until in self._until.items() if now < until} if self._until else ALL

    def learn(self, asked: Iterable[Asked], now: float) -> None:
        """Take note of questions, and of whether the PACS answered them."""
        for one in asked:
            if one.lost_s is None:
                self._in_a_row[one.question] = 0
                self._until.pop(one.question, None)
                continue
            in_a_row = self._in_a_row.get(one.question, 0) + 1
            self._in_a_row[one.question] = in_a_row
            if in_a_row >= _MOST_IN_A_ROW:
                times = min(2 ** (in_a_row - _MOST_IN_A_ROW), _MOST_TIMES)
                self._until[one.question] = now + min(one.lost_s * times, _LONGEST_PAUSE_S)
