"""How many bytes an instance is likely to have: what the folder has of its modality, or else what is usual. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Final

from pydicom.uid import UID

#: Median sizes of one instance, uncompressed unless it is usual to compress them; rough, for a first guess.
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
#: Words in the names of SOP classes, and the modality that they mean.
_CLASSES: Final = (
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
    (" SR ", "SR"),
    ("Presentation State", "PR"),
    ("Key Object", "KO"),
)


@dataclass(frozen=True, slots=True)
class Size:
    """The bytes of one instance: the median, and the range in which half of them lie."""

    median: float
    low: float
    high: float


class Sizes:
    """What is known of the sizes of instances.

    Parameters
    ----------
    stored
        The SOP class and the bytes of each instance of a folder.

    Examples
    --------
    >>> sizes = Sizes([])
    >>> round(sizes.of("CT").median)
    530000
    >>> sizes.is_learnt("CT")
    False
    """

    def __init__(self, stored: Iterable[tuple[str, int]]) -> None:
        seen: dict[str, list[int]] = {}
        for sop_class, size in stored:
            seen.setdefault(modality_of(sop_class), []).append(size)
        self._learnt = {name: _size(sizes) for name, sizes in seen.items() if len(sizes) >= _FEW}

    def is_learnt(self, modalities: str) -> bool:
        """Whether the size is that of instances in the folder."""
        return _main(modalities) in self._learnt

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
    """Return the modality that a SOP class means.

    Examples
    --------
    >>> modality_of("1.2.840.10008.5.1.4.1.1.2"), modality_of("1.2.3")
    ('CT', 'OT')
    """
    name = UID(sop_class).name
    return next((modality for words, modality in _CLASSES if words in f" {name} "), "OT")


def _main(modalities: str) -> str:
    """Return the modality of which a study has the most bytes, as far as is usual."""
    names = [name.strip() for name in modalities.split("\\") if name.strip()]
    small = {"SR", "PR", "KO", "SC", "OT"}
    return next((name for name in names if name not in small), names[0] if names else "OT")


def _size(sizes: list[int]) -> Size:
    low, _, high = quantiles(sizes, n=4)
    return Size(median(sizes), low, high)
