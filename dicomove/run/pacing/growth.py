"""Finds the best number of associations: it tries more of them, or one fewer, and keeps the better number.

It begins with one, like TCP's slow start, and doubles the number while the throughput rises clearly. When it no longer
does, the best number is near, and steps of one find it.

If n associations bring T instances per second, each instance takes n / T seconds (J. Little, Operations Research 9,
1961). So an additional association that does not raise the throughput makes every response slower, also for the other
users of the PACS. That is why it is given up again.
"""

from __future__ import annotations

import math
from typing import Final

from dicomove.run.pacing.throughput import Measured

#: The throughput has to rise by this factor to keep one more association.
_WORTH: Final = 1.03
#: In standard errors: a difference that decides at once, and one that decides at the end of a measurement.
_CLEAR: Final = 2.5
_CLEAR_IN_THE_END: Final = 1.5
#: Twice as many associations could double the throughput. They are kept if they bring this part of that gain; the
#: second part suffices if the measurement is still in doubt after some seconds.
_WORTH_DOUBLING: Final = 0.5
_WORTH_IN_DOUBT: Final = 0.25
_IN_DOUBT_S: Final = 3.0
#: A measurement ends at this relative error: with the first association, while the number doubles, and later.
_NOISE_AT_FIRST: Final = 0.15
_NOISE_DOUBLING: Final = 0.08
_NOISE: Final = 0.015
#: The seconds of a measurement: the least while the number doubles, the least later, and the most.
_LEAST_DOUBLING_S: Final = 0.5
_LEAST_S: Final = 2.0
_LONGEST_S: Final = 60.0
#: A measurement that took less than this part of the time of another one was less precise.
_MUCH_LESS: Final = 0.6
#: A relative change of the response times that counts.
_CHANGED: Final = 0.25
#: Seconds until one more is tried again, and one fewer: at first, and at the most.
_MORE_S: Final = (15.0, 300.0)
_FEWER_S: Final = (120.0, 600.0)
#: Seconds until one more is tried again after the PACS refused one.
_REFUSED_S: Final = 240.0
#: Refusals within so many seconds belong to the same trial.
_TOGETHER_S: Final = 5.0


class _Turn:
    """The time of the next trial. Each trial in vain doubles the wait."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._first_s, self._most_s = first_s, most_s
        self._wait_s, self._at = first_s, -math.inf

    def is_due(self, now: float) -> bool:
        return now >= self._at

    def in_vain(self, now: float) -> None:
        self._at = now + self._wait_s
        self._wait_s = min(self._most_s, 2 * self._wait_s)

    def refused(self, now: float) -> None:
        self._wait_s = max(self._wait_s, _REFUSED_S)
        self.in_vain(now)

    def begin_again(self, now: float, *, at_once: bool = False) -> None:
        self._wait_s = self._first_s
        self._at = now if at_once else now + self._first_s


class Growth:
    """The number of associations: it begins with one.

    Parameters
    ----------
    most
        The limit of the user.

    Attributes
    ----------
    number
        The present number.

    Examples
    --------
    >>> growth = Growth(8)
    >>> growth.look(Measured(per_second=40, error=1, each=40, seconds=2), now=2.0)
    True
    >>> growth.number
    2
    >>> growth.look(Measured(per_second=39, error=0.5, each=19.5, seconds=5), now=9.0)
    True
    >>> growth.number
    1
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.number = 1
        #: The number of associations on trial; -1 while one fewer is on trial.
        self._step = 0
        #: Whether the number still doubles.
        self._doubles = True
        #: The measurement with the number before the trial, or an earlier one with the same number.
        self._before: Measured | None = None
        self._noise = _NOISE_AT_FIRST
        self._more, self._fewer = _Turn(*_MORE_S), _Turn(*_FEWER_S)
        self._refused_until = -math.inf

    def __repr__(self) -> str:
        return f"<Growth: {self.number} of {self._most} associations>"

    def is_on_trial(self, now: float) -> bool:
        """Return whether some associations are on trial, or were until the PACS refused some of them a moment ago."""
        return self._step > 0 or now < self._refused_until

    def look(self, measured: Measured | None, now: float) -> bool:
        """Decide with a measurement; return whether it was sufficient, so that the next one begins."""
        if measured is None or measured.seconds < (_LEAST_DOUBLING_S if self._doubles else _LEAST_S):
            return False
        longest_s = _IN_DOUBT_S if self._doubles and not self._step else _LONGEST_S
        is_enough = measured.noise <= self._noise or measured.seconds >= longest_s
        if self._step and self._before:
            judge = self._judge_doubling if self._doubles else self._judge
            return judge(self._before, measured, now, is_enough=is_enough)
        if is_enough:
            self._measured(measured, now)
        return is_enough

    def refused(self, now: float) -> None:
        """Take note that the PACS refused an association, or is out of resources."""
        if self._step > 0:
            self._refused_until = now + _TOGETHER_S
        self.number = max(1, self.number - 1)
        self._step, self._before, self._doubles = 0, None, False
        self._more.refused(now)

    def _judge_doubling(self, before: Measured, after: Measured, now: float, *, is_enough: bool) -> bool:
        gain, error = _gain(before, after, self._worth_a_part(_WORTH_DOUBLING))
        is_in_doubt = after.seconds >= _IN_DOUBT_S and abs(gain) < _CLEAR * error
        is_likely = after.per_second > self._worth_a_part(_WORTH_IN_DOUBT) * before.per_second
        if gain > _CLEAR_IN_THE_END * error or (is_enough and gain > 0) or (is_in_doubt and is_likely):
            self._fewer.begin_again(now)
            self._end_trial(after)
            self._try(self.number)
        elif after.seconds < _LEAST_S or not (is_enough or gain < -_CLEAR * error):
            return False
        elif before.seconds < _MUCH_LESS * after.seconds and abs(gain) < _CLEAR * error:
            self._go_back()
        else:
            self._doubled_in_vain(before, after, now)
        return True

    def _doubled_in_vain(self, before: Measured, after: Measured, now: float) -> None:
        """Go on in steps of one, from the better number of both."""
        self._doubles = False
        gain, error = _gain(before, after, _WORTH)
        if gain > _CLEAR_IN_THE_END * error:
            self._fewer.begin_again(now, at_once=True)
            if after.per_second > self._worth_a_part(_WORTH_IN_DOUBT) * before.per_second:
                self._more.begin_again(now, at_once=True)
            else:
                self._more.in_vain(now)
            self._end_trial(None)
        else:
            if self._step > 1:
                self._more.begin_again(now, at_once=True)
            else:
                self._more.in_vain(now)
            self._go_back()

    def _worth_a_part(self, part: float) -> float:
        """Return the growth of the throughput if the associations on trial bring this part of the possible gain."""
        return 1 + part * self._step / (self.number - self._step)

    def _judge(self, before: Measured, after: Measured, now: float, *, is_enough: bool) -> bool:
        tries_more = self._step > 0
        gain, error = _gain(before, after, _WORTH) if tries_more else _gain(after, before, _WORTH)
        if not is_enough and abs(gain) < _CLEAR * error:
            return False
        if tries_more:
            is_worth_it = gain > _CLEAR_IN_THE_END * error
            if not is_worth_it and abs(gain) < _CLEAR * error and before.seconds < _MUCH_LESS * after.seconds:
                self._go_back()  # the measurement before the trial was too short for this comparison
            else:
                self._tried_more(after, now, is_worth_it=is_worth_it)
        else:
            self._tried_fewer(after, now, is_worth_it=gain > 0)
        return True

    def _go_back(self) -> None:
        """End a trial with the number before it."""
        self.number -= self._step
        self._end_trial(None)

    def _tried_more(self, measured: Measured, now: float, *, is_worth_it: bool) -> None:
        if is_worth_it:
            self._more.begin_again(now, at_once=True)
            self._fewer.begin_again(now)
            self._end_trial(measured)
            self._try(1)
        else:
            self._more.in_vain(now)
            self._go_back()

    def _tried_fewer(self, measured: Measured, now: float, *, is_worth_it: bool) -> None:
        if is_worth_it:
            self._fewer.in_vain(now)
            self._go_back()
        else:
            self._more.in_vain(now)
            self._fewer.begin_again(now)
            self._end_trial(measured)
            self._try(-1)

    def _measured(self, measured: Measured, now: float) -> None:
        before = self._before
        self._end_trial(measured)
        change = _change(before, measured) if before else 0.0
        if change:
            self._more.begin_again(now, at_once=change > 0)
        if change < 0:
            self._try(-1)
        elif self._more.is_due(now):
            self._try(self.number if self._doubles else 1)
        if not self._step and self._fewer.is_due(now):
            self._try(-1)

    def _end_trial(self, measured: Measured | None) -> None:
        self._step, self._before = 0, measured

    def _try(self, step: int) -> None:
        step = min(step, self._most - self.number)
        self._doubles &= step > 0
        if step and self.number + step >= 1:
            self._step, self._noise = step, _NOISE_DOUBLING if self._doubles else _NOISE
            self.number += step


def _gain(fewer: Measured, more: Measured, worth: float) -> tuple[float, float]:
    """Return how far more associations exceed `worth` times the throughput of fewer, and the standard error of that."""
    return more.per_second - worth * fewer.per_second, math.hypot(more.error, worth * fewer.error)


def _change(before: Measured, after: Measured) -> float:
    """Return the change in the throughput of one association; 0 if it is not clear."""
    difference = after.each - before.each
    noise = math.hypot(before.noise, after.noise) * before.each
    return difference if abs(difference) > max(_CHANGED * before.each, _CLEAR * noise) else 0.0
