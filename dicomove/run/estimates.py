"""How long a move is likely to take, from what earlier runs took, and over how many windows of its hours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import pandas as pd

from dicomove.run.pacing import Hours
from dicomove.run.sizes import Sizes

_STEP: Final = timedelta(minutes=15)
_LONGEST: Final = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one row is likely to bring: the bytes with the range of their spread, and the seconds."""

    bytes: int | None = None
    bytes_low: int | None = None
    bytes_high: int | None = None
    duration_s: float | None = None


def estimate(instances: int | None, modalities: str, sizes: Sizes, instances_per_s: float | None) -> Estimate:
    """Return the estimate for instances that are still to come; nothing of an unknown number.

    Examples
    --------
    >>> estimate(100, "CT", Sizes([]), 50.0)
    Estimate(bytes=53000000, bytes_low=26500000, bytes_high=106000000, duration_s=2.0)
    """
    if instances is None:
        return Estimate()
    size = sizes.of(modalities)
    median, low, high = (int(instances * value) for value in (size.median, size.low, size.high))
    return Estimate(median, low, high, instances / instances_per_s if instances_per_s else None)


def rate_of(results: pd.DataFrame, concurrency: int) -> float | None:
    """Return the instances per second of a run, from its result table; ``None`` where it moved nothing.

    Examples
    --------
    >>> told = {"attempts": [1, 0], "completed": [100, 7], "received": [None, None], "duration_s": [4.0, None]}
    >>> rate_of(pd.DataFrame(told), concurrency=2)
    50.0
    """
    moved = results[(results["attempts"] > 0) & (results["duration_s"] > 0)]
    instances = moved["received"].fillna(moved["completed"]).fillna(0).sum()
    seconds = float(moved["duration_s"].sum()) / max(1, concurrency)
    return float(instances) / seconds if instances and seconds else None


def windows_needed(hours: Hours | None, seconds: float | None, now: datetime) -> int | None:
    """Return in how many windows of the hours so much work fits: nights, where the windows are those of nights.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 6, 15, 12, tzinfo=UTC)
    >>> windows_needed(Hours.parse("20:00-06:00 UTC"), 25 * 3600, noon)
    3
    """
    if hours is None or seconds is None:
        return None
    windows, left, at, was_open = 0, seconds, now, False
    while left > 0 and at - now < _LONGEST:
        is_open = hours.is_open(at)
        windows += is_open and not was_open
        left -= _STEP.total_seconds() if is_open else 0
        was_open, at = is_open, at + _STEP
    return windows
