"""`Retry`: which failures are tried again, and after how long. `Failures`: how many of them end a run.

A wait is a number, or a strategy of tenacity, without its loops. tenacity retries a function in place, and sleeps
meanwhile. A run has other rows to move in that time, so it uses only the strategies: objects that return the waiting
time for the number of an attempt. These are ``tenacity.wait_*``, their sums, and functions of the caller that take a
`tenacity.RetryCallState`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from tenacity import RetryCallState, Retrying, wait_exponential, wait_random_exponential

from dicomove.pacs import is_number
from dicomove.words import ENDED, FAILED, NEVER, OPTIONAL, RETRYABLE

#: Seconds, or a strategy that returns them.
Wait = float | Callable[[RetryCallState], float]
#: The longest wait is a day, whatever the strategy: with an infinite wait, a run would hang.
LONGEST_S: Final = 86_400.0
_RETRYING: Final = Retrying()
_MISSING: Final = "missing_instances"
# 10 to 12 s, 20 to 24 s, ... 10 min: the random part spreads the retries of rows that failed together.
_DEFAULT_WAIT: Final = wait_exponential(multiplier=10, max=540) + wait_random_exponential(multiplier=2, max=60)
OnFailure = Literal["continue", "stop"]


def pause_s(wait: Wait, attempt: int) -> float:
    """Return the seconds to wait after an attempt: from 0 to a day.

    Parameters
    ----------
    wait
        Seconds, or a strategy.
    attempt
        The number of the attempt that has failed, from 1.

    Examples
    --------
    >>> from tenacity import wait_exponential
    >>> [pause_s(wait_exponential(multiplier=1, max=60), attempt) for attempt in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 60.0]
    """
    if not callable(wait):
        return float(wait)
    state = RetryCallState(_RETRYING, None, (), {})
    state.attempt_number = attempt
    return min(max(0.0, float(wait(state))), LONGEST_S)


def _check_wait(wait: Wait) -> None:
    wanted = "wait is a number of seconds, or a strategy such as tenacity.wait_fixed(60)"
    if not callable(wait):
        if not is_number(wait) or not 0 <= wait <= LONGEST_S:
            message = f"{wanted}, from 0 to a day: not {wait!r}"
            raise ValueError(message)
        return
    try:
        pause_s(wait, 1)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        # Try the strategy now, and not hours later, after the first failure.
        message = (
            f"{wanted}: this one gave no number for a first attempt ({type(error).__name__}: {error}). It is told the "
            "number of the attempt, and nothing else: there is no exception and no function to look at"
        )
        raise ValueError(message) from error


def described(wait: object) -> str:
    """Return a waiting time as text for the journal, which is the same in each run.

    Parameters
    ----------
    wait
        Seconds, or a strategy.

    Examples
    --------
    >>> from tenacity import wait_fixed, wait_random
    >>> described(wait_fixed(5) + wait_random(0, 2))
    'wait_fixed(5.0) + wait_random(0.0, 2.0)'
    """
    if not callable(wait):
        return str(wait)
    name = getattr(wait, "__qualname__", type(wait).__qualname__)
    parts = getattr(wait, "wait_funcs", None)
    if parts is not None:
        return " + ".join(described(part) for part in parts)
    values = vars(wait).values() if hasattr(wait, "__dict__") and not hasattr(wait, "__qualname__") else ()
    if not values:
        return str(name)
    return f"{name}({', '.join(_value(value) for value in values)})"


def _value(value: object) -> str:
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else described(value)


@dataclass(frozen=True, slots=True, repr=False)
class Retry:
    """How often rows are tried, when, and for which errors.

    Parameters
    ----------
    attempts
        The largest number of attempts for a row, the first one included. An attempt that asks for missing instances may
        send several C-MOVEs. 1 means no retry.
    wait
        Seconds between two attempts of a row, or a strategy of `tenacity`: ``wait_fixed(60)``,
        ``wait_exponential(multiplier=10, max=600)``, ``wait_fixed(10) + wait_random(0, 5)``. By default the wait
        doubles from about 10 s to at most 10 min, with some chance in it. If a strategy raises an exception after a
        later attempt, the wait before is repeated.
    on
        The words of the ``error`` column that are tried again; by default, those that may pass (`RETRYABLE`).

    Raises
    ------
    ValueError
        An argument is invalid, or `on` has an unknown word or one that cannot pass.

    Examples
    --------
    >>> retry = Retry(attempts=3, wait=60)
    >>> retry.wants("interrupted", "idle_timeout", attempt=1)
    True
    >>> retry.wants("interrupted", "idle_timeout", attempt=3)
    False
    >>> retry.wants("failed", "destination_unknown", attempt=1)
    False
    """

    attempts: int = 3
    wait: Wait = _DEFAULT_WAIT
    on: Iterable[str] = RETRYABLE

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            message = f"attempts is a whole number from 1, the first attempt included: not {self.attempts!r}"
            raise ValueError(message)
        _check_wait(self.wait)
        object.__setattr__(self, "on", _checked(self.on))

    def __repr__(self) -> str:
        on = "" if self.on == RETRYABLE else f", on={sorted(self.on)}"
        return f"Retry(attempts={self.attempts}, wait={described(self.wait)}{on})"

    def wants(self, outcome: str, error: str | None, attempt: int) -> bool:
        """Return whether a row is to be tried again.

        A partial row lacks instances, so it counts as ``missing_instances``, too, whatever its own error.

        Parameters
        ----------
        outcome, error
            Of the attempt that has ended, as in the result table.
        attempt
            Its number, from 1.
        """
        if attempt >= self.attempts or outcome in ENDED or error is None:
            return False
        lacks = outcome == "partial" and error not in NEVER and _MISSING in self.on
        return error in self.on or lacks

    def pause_s(self, attempt: int) -> float:
        """Return the seconds to wait before the next attempt.

        A strategy that has no number for this attempt must not end the run: the wait before is repeated.

        Parameters
        ----------
        attempt
            The number of the attempt that has ended, from 1.
        """
        for latest in range(attempt, 0, -1):
            with suppress(Exception):  # a function of the caller may raise what it likes
                return pause_s(self.wait, latest)
        return pause_s(_DEFAULT_WAIT, attempt)


def _checked(on: Iterable[str]) -> frozenset[str]:
    known = RETRYABLE | OPTIONAL
    if isinstance(on, str):
        message = f"on is a list of words: [{on!r}], not {on!r}"
        raise ValueError(message)  # noqa: TRY004 - every argument that cannot be right is a ValueError
    words = frozenset(on)
    if words & NEVER:
        message = f"on: {', '.join(sorted(words & NEVER))} cannot pass, however often it is tried: leave it out"
        raise ValueError(message)
    if words - known:
        unknown = ", ".join(sorted(map(str, words - known)))
        message = f"on: {unknown} cannot be tried again; the possible words are {', '.join(sorted(known))}"
        raise ValueError(message)
    return words


class Failures:
    """Counts rows that failed, and tells when there are too many.

    Parameters
    ----------
    most
        The number of failed rows that ends the run; ``None`` is no limit.
    on_failure
        ``"continue"``, or ``"stop"``: the first row that fails ends the run.

    Examples
    --------
    >>> failures = Failures(2, "continue")
    >>> for outcome in ("failed", "complete", "empty", "partial"):
    ...     failures.count(outcome)
    >>> failures.counted, failures.exhausted
    (2, True)

    Attributes
    ----------
    counted
        How many rows have failed.
    """

    def __init__(self, most: int | None, on_failure: OnFailure) -> None:
        self._most = 1 if on_failure == "stop" else most
        self.counted = 0

    def __repr__(self) -> str:
        return f"<Failures: {self.counted} of {'any number' if self._most is None else self._most}>"

    @property
    def exhausted(self) -> bool:
        """Whether the run has to end."""
        return self._most is not None and self.counted >= self._most

    def count(self, outcome: str, rows: int = 1) -> None:
        """Take note of rows that will not be tried again.

        Parameters
        ----------
        outcome
            As in the result table.
        rows
            The number of rows with one request.
        """
        self.counted += rows * (outcome in FAILED)
