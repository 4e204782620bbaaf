"""The keywords of `move` that hold for all rows: their types, defaults and checks."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Final, Literal, TypedDict, TypeVar, get_args

from dicomove.errors import check_word
from dicomove.run.attempt.inventory import Verify
from dicomove.run.pacing import Hours, Retry
from dicomove.run.pacing.retry import OnFailure

Method = Literal["move", "get", "auto"]
Nearline = Literal["last", "skip", "as_is"]
F = TypeVar("F", bound=Callable[..., object])
_LIMITS: Final = {
    "max_studies": "studies",
    "max_instances": "instances",
    "max_bytes": "bytes",
    "max_per_row": "instances",
}
_NOT_WRITTEN: Final = ("journal", "executor")


@dataclass(frozen=True, slots=True)
class Distributed:
    """An executor whose workers are on other machines.

    Parameters
    ----------
    executor
        The executor, for example Dask's ``client.get_executor()``.
    host
        The address at which the workers reach this machine. They authenticate with a random key, which they get with
        the task.
    """

    executor: Executor
    host: str = "127.0.0.1"


class MoveOptions(TypedDict, total=False):
    """The keywords of `Options`, for functions that pass them on."""

    concurrency: int | Literal["auto"]
    max_concurrency: int
    delay: float
    total_timeout: float | None
    verify: Verify
    retry: Retry | int | None
    journal: str | os.PathLike[str] | Literal[False] | None
    hours: Hours | str | None
    max_instances_per_second: float | None
    outage_timeout: float | Literal["auto"] | None
    on_failure: OnFailure
    max_failures: int | None
    executor: Executor | Distributed | None
    method: Method
    nearline: Nearline
    max_studies: int | None
    max_instances: int | None
    max_bytes: int | None
    max_per_row: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The keywords of `move`, whose docstring says what they mean.

    Raises
    ------
    ValueError
        A keyword has an impossible value.
    """

    concurrency: int | Literal["auto"] = 1
    max_concurrency: int = 8
    delay: float = 0
    total_timeout: float | None = None
    verify: Verify = "auto"
    retry: Retry | int | None = None
    journal: str | os.PathLike[str] | Literal[False] | None = None
    hours: Hours | str | None = None
    max_instances_per_second: float | None = None
    outage_timeout: float | Literal["auto"] | None = "auto"
    on_failure: OnFailure = "continue"
    max_failures: int | None = None
    executor: Executor | Distributed | None = None
    method: Method = "move"
    nearline: Nearline = "last"
    max_studies: int | None = None
    max_instances: int | None = None
    max_bytes: int | None = None
    max_per_row: int | None = None

    def __post_init__(self) -> None:
        check_word("verify", self.verify, get_args(Verify))
        if self.concurrency != "auto":
            _check_whole("concurrency", self.concurrency, "of associations, at least 1, or 'auto'")
        _check_whole("max_concurrency", self.max_concurrency, "of associations, at least 1")
        if self.max_failures is not None:
            _check_whole("max_failures", self.max_failures, "of rows, at least 1, or None for no limit")
        for name, what in _LIMITS.items():
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), f"of {what}, at least 1, or None for no limit")
        _check_number("delay", self.delay, "of seconds, at least 0", least=0)
        for name in ("total_timeout", "max_instances_per_second"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), "above 0, or None for no limit")
        if self.outage_timeout not in ("auto", None):
            _check_number("outage_timeout", self.outage_timeout, "of seconds, 'auto', or None for no limit", least=0)
        check_word("on_failure", self.on_failure, get_args(OnFailure))
        check_word("method", self.method, get_args(Method))
        check_word("nearline", self.nearline, get_args(Nearline))
        _check_kind("retry", self.retry, (Retry, Integral), "a number of attempts, a Retry, or None")
        _check_kind("hours", self.hours, (Hours, str), "a text such as '22:00-06:00', an Hours, or None for any time")
        _check_journal(self.journal)
        executor = getattr(self.executor, "executor", self.executor)
        if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
            _check_kind("executor", self.executor, (), "a concurrent.futures.Executor, a Distributed, or None")
        self.read_hours()
        self.read_retry()

    @classmethod
    def of(cls, options: MoveOptions) -> Options:
        """Return the options that a caller gave.

        Raises
        ------
        TypeError
            One of them does not exist.
        """
        names = [field.name for field in fields(cls)]
        for wrong in options.keys() - set(names):
            near = get_close_matches(wrong, [*names, "level", "query_model", "progress"], 1)
            hint = f": do you mean {near[0]!r}?" if near else "; move has " + ", ".join(names)
            message = f"there is no parameter {wrong!r}{hint}"
            raise TypeError(message)
        return cls(**options)

    def most_associations(self) -> int:
        """Return the largest number of simultaneous associations."""
        return int(self.max_concurrency if self.concurrency == "auto" else self.concurrency)

    def read_hours(self) -> Hours | None:
        """Return the hours, also if they were given as text."""
        return Hours.parse(self.hours) if isinstance(self.hours, str) else self.hours

    def read_retry(self) -> Retry | None:
        """Return the `Retry`, also if only a number of attempts was given."""
        return self.retry if self.retry is None or isinstance(self.retry, Retry) else Retry(attempts=int(self.retry))

    @property
    def has_limits(self) -> bool:
        """Whether the user limits what the run may bring."""
        return any(getattr(self, name) is not None for name in _LIMITS)

    @property
    def counts_instances(self) -> bool:
        """Whether these limits need the numbers of instances."""
        return any(limit is not None for limit in (self.max_instances, self.max_bytes, self.max_per_row))

    def written(self) -> dict[str, object]:
        """Return the options as the journal keeps them."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_WRITTEN}
        return {
            name: value if isinstance(value, int | float | str | None) else str(value) for name, value in values.items()
        }


def shows_options(function: F) -> F:
    """Show each keyword of `Options` in the signature of a function that ends with `progress` and ``**options``.

    `help`, Jupyter and `inspect.signature` then show the keywords; type checkers read `MoveOptions`.
    """
    signature = inspect.signature(function)
    *own, progress, _ = signature.parameters.values()
    shown = inspect.signature(Options).parameters.values()
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in shown]
    function.__signature__ = signature.replace(parameters=[*own, *named, progress])  # type: ignore[attr-defined]  # PEP 362
    return function


def _check_journal(journal: object) -> None:
    if journal is None or journal is False or (isinstance(journal, str | os.PathLike) and os.fspath(journal)):
        return
    message = f"journal={journal!r}: a path, False for no journal, or None"
    raise ValueError(message)


def _check_kind(name: str, value: object, kinds: tuple[type, ...], what: str) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, kinds)):
        message = f"{name}={value!r}: {what}"
        raise ValueError(message)


def _check_whole(name: str, value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        message = f"{name}={value!r}: a whole number {what}"
        raise ValueError(message)


def _check_number(name: str, value: object, what: str, least: float | None = None) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not (value > 0 if least is None else value >= least):  # type: ignore[operator]  # it is a number
        message = f"{name}={value!r}: a number {what}"
        raise ValueError(message)
