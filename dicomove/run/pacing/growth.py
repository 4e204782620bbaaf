"""How many associations a PACS gives the most with: more are tried, and one fewer, and kept where that is better.

It begins as TCP does (slow start): with one, and twice as many as long as they bring clearly more. Where they do not,
the number is near, and is found in steps of one.

Where n associations bring T instances per second, each instance takes n / T seconds (J. Little, Operations Research 9,
1961). So one more association that does not raise the throughput raises the response times, for us and for all others
who use the PACS. That is why it goes: a good guest takes the fewest associations with which the PACS gives what it can.
"""

from __future__ import annotations

import math
from typing import Final

from dicomove.run.pacing.throughput import Measured

#: One more association has to bring so much more.
_WORTH: Final = 1.03
#: Of standard errors: a difference that is clear at once, and one that is clear in the end.
_CLEAR: Final = 2.5
_CLEAR_IN_THE_END: Final = 1.5
#: So much of what further associations could bring, they have to bring: then again twice as many are tried; and so much
#: where that is in doubt after some seconds, or for one more.
_WORTH_DOUBLING: Final = 0.5
_WORTH_IN_DOUBT: Final = 0.25
_IN_DOUBT_S: Final = 3.0
#: At which it is measured well enough: with the first one, while it doubles, and later.
_NOISE_AT_FIRST: Final = 0.15
_NOISE_DOUBLING: Final = 0.08
_NOISE: Final = 0.015
#: For how long it is measured: at least while it doubles, at least later, and at most.
_LEAST_DOUBLING_S: Final = 0.5
_LEAST_S: Final = 2.0
_LONGEST_S: Final = 60.0
#: What was measured for such a part of the time was not measured as well.
_MUCH_LESS: Final = 0.6
#: The response times of a PACS that changed by such a part have changed.
_CHANGED: Final = 0.25
#: Seconds until one more is tried again, and one fewer: the first time, and at the most.
_MORE_S: Final = (15.0, 300.0)
_FEWER_S: Final = (120.0, 600.0)
#: After a PACS refused one.
_REFUSED_S: Final = 240.0
#: Those of one trial are refused within so many seconds.
_TOGETHER_S: Final = 5.0


class _Turn:
    """When something is tried again: later each time that it was in vain."""

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
        As many as the user allows.

    Attributes
    ----------
    number
        How many there should be now.

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
        #: How many more are tried now; -1 while one fewer is.
        self._step = 0
        #: Whether it still doubles.
        self._doubles = True
        #: What was measured with the number before it, or earlier with the same.
        self._before: Measured | None = None
        self._noise = _NOISE_AT_FIRST
        self._more, self._fewer = _Turn(*_MORE_S), _Turn(*_FEWER_S)
        self._refused_until = -math.inf

    def __repr__(self) -> str:
        return f"<Growth: {self.number} of {self._most} associations>"

    def is_on_trial(self, now: float) -> bool:
        """Return whether the last ones are on trial, or were until the PACS refused some of them just now."""
        return self._step > 0 or now < self._refused_until

    def look(self, measured: Measured | None, now: float) -> bool:
        """Decide with what was measured; return whether that was enough, so that the next span begins."""
        if measured is None or measured.seconds < (_LEAST_DOUBLING_S if self._doubles else _LEAST_S):
            return False
        longest_s = _IN_DOUBT_S if self._doubles and not self._step else _LONGEST_S
        is_enough = measured.noise <= self._noise or measured.seconds >= longest_s
        if self._step and self._before:
            judge = self._judge_doubling if self._doubles else self._judge
            return judge(self._before, measured, now, is_enough=is_enough)
        if is_enough:
            self._settled(measured, now)
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
            self._settle(after)
            self._try(self.number)
        elif after.seconds < _LEAST_S or not (is_enough or gain < -_CLEAR * error):
            return False
        elif before.seconds < _MUCH_LESS * after.seconds and abs(gain) < _CLEAR * error:
            self.number -= self._step
            self._settle(None)
        else:
            self._doubled_in_vain(before, after, now)
        return True

    def _doubled_in_vain(self, before: Measured, after: Measured, now: float) -> None:
        """Go on in steps of one, from where the PACS gave more: the best number is near."""
        self._doubles = False
        gain, error = _gain(before, after, _WORTH)
        if gain > _CLEAR_IN_THE_END * error:
            self._fewer.begin_again(now, at_once=True)
            if after.per_second > self._worth_a_part(_WORTH_IN_DOUBT) * before.per_second:
                self._more.begin_again(now, at_once=True)
            else:
                self._more.in_vain(now)
        else:
            self.number -= self._step
            if self._step > 1:
                self._more.begin_again(now, at_once=True)
            else:
                self._more.in_vain(now)
        self._settle(None)

    def _worth_a_part(self, part: float) -> float:
        """Return how much more the associations on trial bring, if they bring this part of what they could."""
        return 1 + part * self._step / (self.number - self._step)

    def _judge(self, before: Measured, after: Measured, now: float, *, is_enough: bool) -> bool:
        tries_more = self._step > 0
        gain, error = _gain(before, after, _WORTH) if tries_more else _gain(after, before, _WORTH)
        if not is_enough and abs(gain) < _CLEAR * error:
            return False
        if tries_more:
            is_worth_it = gain > _CLEAR_IN_THE_END * error
            if not is_worth_it and abs(gain) < _CLEAR * error and before.seconds < _MUCH_LESS * after.seconds:
                self._measure_again()
            else:
                self._tried_more(after, now, is_worth_it=is_worth_it)
        else:
            self._tried_fewer(after, now, is_worth_it=gain > 0)
        return True

    def _measure_again(self) -> None:
        """Go back without a verdict: the number before had not been measured well enough, since it was clear so."""
        self.number -= 1
        self._settle(None)

    def _tried_more(self, measured: Measured, now: float, *, is_worth_it: bool) -> None:
        if is_worth_it:
            self._more.begin_again(now, at_once=True)
            self._fewer.begin_again(now)
            self._settle(measured)
            self._try(1)
        else:
            self._more.in_vain(now)
            self.number -= 1
            self._settle(None)

    def _tried_fewer(self, measured: Measured, now: float, *, is_worth_it: bool) -> None:
        if is_worth_it:
            self._fewer.in_vain(now)
            self.number += 1
            self._settle(None)
        else:
            self._more.in_vain(now)
            self._fewer.begin_again(now)
            self._settle(measured)
            self._try(-1)

    def _settled(self, measured: Measured, now: float) -> None:
        before = self._before
        self._settle(measured)
        change = _change(before, measured) if before else 0.0
        if change:
            self._more.begin_again(now, at_once=change > 0)
        if change < 0:
            self._try(-1)
        elif self._more.is_due(now):
            self._try(self.number if self._doubles else 1)
        if not self._step and self._fewer.is_due(now):
            self._try(-1)

    def _settle(self, measured: Measured | None) -> None:
        self._step, self._before = 0, measured

    def _try(self, step: int) -> None:
        step = min(step, self._most - self.number)
        self._doubles &= step > 0
        if step and self.number + step >= 1:
            self._step, self._noise = step, _NOISE_DOUBLING if self._doubles else _NOISE
            self.number += step


def _gain(fewer: Measured, more: Measured, worth: float) -> tuple[float, float]:
    """Return by how much more associations bring more than so many times what fewer bring, and its standard error."""
    return more.per_second - worth * fewer.per_second, math.hypot(more.error, worth * fewer.error)


def _change(before: Measured, after: Measured) -> float:
    """Return by how much more an association brings than before; 0 where that is no clear change."""
    difference = after.each - before.each
    noise = math.hypot(before.noise, after.noise) * before.each
    return difference if abs(difference) > max(_CHANGED * before.each, _CLEAR * noise) else 0.0
