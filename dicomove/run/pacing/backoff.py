"""Waiting times that grow: the strategies of tenacity, asked without its loops.

tenacity retries a function in place, and sleeps meanwhile. A run has other rows to move in that time, so only the
strategies are used: objects that tell from the number of an attempt how long to wait. Each ``tenacity.wait_*`` will do,
their sums, and functions of the caller's that take a `tenacity.RetryCallState`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState, Retrying

#: Seconds, or a strategy that tells them.
Wait = float | Callable[[RetryCallState], float]

#: No strategy makes a run wait for longer than a day; an infinite wait would be a run that hangs.
LONGEST_S: Final = 86_400.0

_RETRYING: Final = Retrying()


def pause_s(wait: Wait, attempt: int) -> float:
    """Return the seconds to wait after an attempt: none of them negative, none longer than a day.

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
    """Raise a `ValueError` for what is no waiting time.

    Parameters
    ----------
    wait
        Seconds, or a strategy.
    name
        What the caller calls it.
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
        # Here, and not hours later, when the first row has failed.
        message = (
            f"{wanted}: this one gave no number for a first attempt ({type(error).__name__}: {error}). It is told the "
            "number of the attempt, and nothing else: there is no exception and no function to look at"
        )
        raise ValueError(message) from error


def described(wait: object) -> str:
    """Return a waiting time as text that is the same in each run, as a record of options needs it.

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
