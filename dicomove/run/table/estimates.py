"""Estimates of the bytes and seconds of a move, from usual sizes, those of a folder, and the latest run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Final

import pandas as pd
from pydicom.uid import UID

from dicomove.run.pacing import Hours

_LONGEST: Final = timedelta(days=400)
#: Median sizes of one instance, for a first guess. They are uncompressed, unless compression is usual.
USUAL: Final[Mapping[str, int]] = {
    "CT": 530_000,
    "MR": 330_000,
    "PT": 70_000,
    "NM": 500_000,
    "CR": 9_000_000,
    "DX": 14_000_000,
    "MG": 26_000_000,
    "RF": 2_000_000,
    "XA": 12_000_000,
    "US": 1_400_000,
    "SC": 1_000_000,
    "OT": 1_000_000,
    "SR": 20_000,
    "PR": 10_000,
    "KO": 10_000,
}
_OTHER: Final = 1_000_000
_FEW: Final = 20
#: Words in the names of SOP classes, and the modality that they mean; the first ones that fit count.
_CLASSES: Final = (
    (" SR ", "SR"),  # also of a Mammography CAD SR
    ("CT Image", "CT"),
    ("MR Image", "MR"),
    ("Positron Emission", "PT"),
    ("PET Image", "PT"),
    ("Nuclear Medicine", "NM"),
    ("Computed Radiography", "CR"),
    ("Mammography", "MG"),
    ("Tomosynthesis", "MG"),
    ("Digital X-Ray", "DX"),
    ("X-Ray Angiographic", "XA"),
    ("Radiofluoroscopic", "RF"),
    ("Ultrasound", "US"),
    ("Secondary Capture", "SC"),
    ("Presentation State", "PR"),
    ("Key Object", "KO"),
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate for one row: the bytes, the range in which they are likely to be, and the seconds."""

    bytes: int | None = None
    bytes_low: int | None = None
    bytes_high: int | None = None
    duration_s: float | None = None


def estimate(instances: int | None, modalities: str, sizes: Sizes, instances_per_s: float | None) -> Estimate:
    """Return the estimate for instances that are still to come; it is empty if their number is unknown.

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
    """Return the instances per second of a run, from its result table; ``None`` if it moved nothing.

    Examples
    --------
    >>> run = {"attempts": [1, 0], "completed": [100, 7], "received": [None, None], "duration_s": [4.0, None]}
    >>> rate_of(pd.DataFrame(run), concurrency=2)
    50.0
    """
    moved = results[(results["attempts"] > 0) & (results["duration_s"] > 0)]
    instances = moved["received"].fillna(moved["completed"]).fillna(0).sum()
    seconds = float(moved["duration_s"].sum()) / max(1, concurrency)
    return float(instances) / seconds if instances else None


def windows_needed(hours: Hours | None, seconds: float | None, now: datetime) -> int | None:
    """Return how many windows of the hours (nights, say) the work needs.

    Examples
    --------
    >>> from datetime import UTC
    >>> noon = datetime(2026, 6, 15, 12, tzinfo=UTC)
    >>> windows_needed(Hours.parse("20:00-06:00 UTC"), 25 * 3600, noon)
    3
    """
    if hours is None or seconds is None:
        return None
    windows, left, at = 0, seconds, now
    while left > 0 and at - now < _LONGEST:
        windows, at = windows + 1, hours.opens_at(at)
        while left > 0 and at - now < _LONGEST and hours.is_open(at):
            change = hours.next_change(at)
            left, at = left - (change - at).total_seconds(), change
    return windows


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes of one instance: the median, and the range that contains half of all instances."""

    median: float
    low: float
    high: float


class Sizes:
    """Sizes of instances: from a folder, or else usual ones.

    Parameters
    ----------
    stored
        The SOP class and the bytes of each instance of a folder.

    Examples
    --------
    >>> sizes = Sizes([])
    >>> round(sizes.of("CT").median)
    530000
    """

    def __init__(self, stored: Iterable[tuple[str, int]]) -> None:
        seen: dict[str, list[int]] = {}
        for sop_class, size in stored:
            seen.setdefault(modality_of(sop_class), []).append(size)
        self._learnt = {name: _size(sizes) for name, sizes in seen.items() if len(sizes) >= _FEW}

    def of(self, modalities: str) -> Size:
        r"""Return the size of an instance of a modality, or of several: the largest part of a study decides.

        Examples
        --------
        >>> Sizes([]).of("PR\\CT") == Sizes([]).of("CT")
        True
        """
        name = _main(modalities)
        usual = USUAL.get(name, _OTHER)
        return self._learnt.get(name) or Size(usual, usual / 2, usual * 2)


def modality_of(sop_class: str) -> str:
    """Return the modality of a SOP class.

    Examples
    --------
    >>> modality_of("1.2.840.10008.5.1.4.1.1.2"), modality_of("1.2.3")
    ('CT', 'OT')
    """
    name = UID(sop_class).name
    return next((modality for words, modality in _CLASSES if words in name), "OT")


def _main(modalities: str) -> str:
    """Return the modality that usually has the largest part of the bytes."""
    names = [name.strip() for name in modalities.split("\\") if name.strip()]
    small = {"SR", "PR", "KO", "SC", "OT"}
    return next((name for name in names if name not in small), names[0] if names else "OT")


def _size(sizes: list[int]) -> Size:
    low, _, high = quantiles(sizes, n=4)
    return Size(median(sizes), low, high)


@dataclass(frozen=True, slots=True)
class Known:
    """Facts for the estimates: sizes of instances, the rate of the latest run, and the room on the disk."""

    sizes: Sizes
    instances_per_s: float | None
    free_bytes: int | None
