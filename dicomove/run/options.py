"""The arguments of `move` that hold for all rows, checked."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Final, Literal, TypedDict, get_args

from dicomove.pacs import Pacs, ae_title
from dicomove.receiver import Receiver
from dicomove.run.executors import Distributed
from dicomove.run.inventory import Verify, check_verify
from dicomove.run.pacing import Hours, Retry
from dicomove.run.schedule import Manners
from dicomove.run.tasks import Order

OnFailure = Literal["continue", "stop"]
Destination = str | Receiver | Sequence[Receiver]

_NOT_WRITTEN: Final = ("journal", "executor")


class Keywords(TypedDict, total=False):
    """The keywords of `Options`."""

    concurrency: int
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of `move` of these names, which says what they mean.

    Raises
    ------
    ValueError
        One that cannot be right.
    """

    concurrency: int = 1
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

    def __post_init__(self) -> None:
        check_verify(self.verify)
        _check_whole("concurrency", self.concurrency, "of associations, at least 1")
        if self.max_failures is not None:
            _check_whole("max_failures", self.max_failures, "of rows, at least 1, or None for no limit")
        _check_number("delay", self.delay, "of seconds, at least 0", least=0)
        for name in ("total_timeout", "max_instances_per_second"):
            if getattr(self, name) is not None:
                _check_number(name, getattr(self, name), "above 0, or None for no limit")
        if self.outage_timeout not in ("auto", None):
            _check_number("outage_timeout", self.outage_timeout, "of seconds, 'auto', or None for no limit", least=0)
        if self.on_failure not in get_args(OnFailure):
            message = f"on_failure={self.on_failure!r} is not one of {', '.join(get_args(OnFailure))}"
            raise ValueError(message)

    def manners(self) -> Manners:
        """Return how the PACS is to be treated."""
        return Manners(
            concurrency=int(self.concurrency),
            delay=self.delay,
            max_instances_per_second=self.max_instances_per_second,
            hours=Hours.parse(self.hours) if isinstance(self.hours, str) else self.hours,
            retry=Retry(attempts=self.retry) if isinstance(self.retry, int) else self.retry,
            outage_timeout=self.outage_timeout,
            on_failure=self.on_failure,
            max_failures=self.max_failures,
        )

    def written(self) -> dict[str, object]:
        """Return the options as the journal keeps them."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _NOT_WRITTEN}
        return {
            name: value if isinstance(value, int | float | str | None) else str(value) for name, value in values.items()
        }


def order_of(pacs: Pacs, destination: Destination, options: Options) -> Order:
    """Return the order of a run.

    Raises
    ------
    AddressError
        The destination is no AE title.
    ValueError
        It is a list of something else than receivers, or two of them have one AE title.
    """
    seconds, verify = options.total_timeout, options.verify
    if isinstance(destination, str) or not isinstance(destination, Receiver | Sequence):
        return Order(pacs, (ae_title(destination, "destination"),), total_timeout=seconds, verify=verify)
    given = (destination,) if isinstance(destination, Receiver) else destination
    receivers = tuple(receiver for receiver in given if isinstance(receiver, Receiver))
    titles = tuple(receiver.ae_title for receiver in receivers)
    if not receivers or len(set(titles)) != len(given):
        message = "destination: a list of receivers, each with an AE title of its own, by which the PACS knows it"
        raise ValueError(message)
    runs = tuple(receiver.begin_run() for receiver in receivers)
    return Order(pacs, titles, receivers, runs, total_timeout=seconds, verify=verify)


def _check_whole(name: str, value: object, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 1:
        message = f"{name}={value!r}: a whole number {what}"
        raise ValueError(message)


def _check_number(name: str, value: object, what: str, least: float | None = None) -> None:
    is_number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not (value > 0 if least is None else value >= least):  # type: ignore[operator]  # it is a number
        message = f"{name}={value!r}: a number {what}"
        raise ValueError(message)
