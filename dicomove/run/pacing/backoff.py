"""Waiting times from numbers and from the strategies of tenacity, without its loops.

tenacity retries a function in place, and sleeps meanwhile. A run has other rows to move in that time, so it uses only
the strategies: objects that return the waiting time for the number of an attempt. These are ``tenacity.wait_*``, their
sums, and functions of the caller that take a `tenacity.RetryCallState`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState, Retrying

#: Seconds, or a strategy that returns them.
Wait = float | Callable[[RetryCallState], float]

#: The longest wait is a day, whatever the strategy: with an infinite wait, a run would hang.
LONGEST_S: Final = 86_400.0

_RETRYING: Final = Retrying()


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


def check_wait(wait: Wait, name: str) -> None:
    """Raise a `ValueError` for an invalid waiting time.

    Parameters
    ----------
    wait
        Seconds, or a strategy.
    name
        The name of the argument, for the message.
    """
    wanted = f"{name} is a number of seconds, or a strategy such as tenacity.wait_fixed(60)"
    if not callable(wait):
        if isinstance(wait, bool) or not isinstance(wait, int | float) or not 0 <= wait <= LONGEST_S:
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
