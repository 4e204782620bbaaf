"""The values of a data set's attributes, as text and as numbers.

Headers are not trustworthy: an invalid value is returned as text unchanged, or as no number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicomove.headers.keys import Path, Step

_NAN: Final = float("nan")
_ASCII: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_CHARACTERS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_LONGEST_BYTES: Final = 64
_FILE_META: Final = 0x0002


def values_at(found: Dataset, path: Path) -> Iterator[str]:
    """Return the values at a path, from every item of the sequences on it."""
    tag = _tag_of(found, path[0])
    if tag is None:
        return
    if len(path) > 1:
        items = found[tag].value if tag in found else ()
        for item in items if isinstance(items, Sequence) and not isinstance(items, str | bytes) else ():
            if isinstance(item, Dataset):
                yield from values_at(item, path[1:])
        return
    value = text_of(getattr(found, "file_meta", found) if tag >> 16 == _FILE_META else found, tag)
    if value:
        yield value


def _tag_of(found: Dataset, step: Step) -> int | None:
    """Return the tag of a step; the data set reserves the block of a private one for its creator."""
    if isinstance(step, int):
        return step
    pairs = zip(step.creators(), step.tags(), strict=True)
    return next((tag for creator, tag in pairs if creator in found and text_of(found, creator) == step.creator), None)


def joined(values: Iterator[str]) -> str | None:
    r"""Return the different values in their order, joined by a backslash; ``None`` if there are none.

    Examples
    --------
    >>> joined(iter(["1.5", "3", "1.5"])), joined(iter([]))
    ('1.5\\3', None)
    """
    return "\\".join(dict.fromkeys(values)) or None


def text_of(found: Dataset, tag: int) -> str | None:
    """Return a value as text, with its parts joined by a backslash; ``None`` if it is absent or empty."""
    if tag not in found:
        return None
    element = found.get_item(tag)
    if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
        fast = _fast(element, tag)
        if fast is not None:
            return fast or None
    value = found[tag].value
    if value is None or (isinstance(value, Sequence) and not len(value)):
        return None
    if isinstance(value, bytes):
        return _of_bytes(value)
    parts = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    return (
        "\\".join(number_text(str(part).strip()) if _is_number(part) else str(part).strip() for part in parts) or None
    )


def number_text(value: str) -> str:
    """Return a number in one spelling, so that ``"5.000"`` and ``"5"`` do not count as two values.

    Examples
    --------
    >>> number_text("5.0000"), number_text("-0.75 "), number_text("1e-3"), number_text("five")
    ('5', '-0.75', '0.001', 'five')
    >>> number_text("20261126000000000001")
    '20261126000000000001'
    """
    if value.isdecimal() and len(value) < _LONGEST_BYTES:
        return str(int(value))
    try:
        return repr(float(value)).removesuffix(".0")
    except ValueError:
        return value


def _fast(element: RawDataElement, tag: int) -> str | None:
    """Return a value without pydicom's slow conversion; ``None`` if it needs that conversion."""
    raw, vr = element.value or b"", element.VR
    if vr is None or vr == "UN":
        vr = _known(tag) or ""
    if vr == "US" and len(raw) == 2:
        return str(int.from_bytes(raw, "little" if element.is_little_endian else "big"))
    if not (vr in _ASCII or vr in _CHARACTERS) or not raw.isascii() or b"\x1b" in raw:
        return None
    text = raw.decode("ascii").strip("\0 ")
    if vr == "DS" or vr == "IS":
        return "\\".join(number_text(part.strip()) for part in text.split("\\"))
    return "\\".join(part.strip() for part in text.split("\\")) if "\\" in text else text


def _known(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (hasattr(value, "original_string") and not isinstance(value, str))


def _of_bytes(value: bytes) -> str:
    text = value.rstrip(b"\0 ")
    if text.isascii() and text.decode("ascii").isprintable():
        return text.decode("ascii").strip()
    return f"0x{value.hex()}" if len(value) <= _LONGEST_BYTES else f"{len(value)} bytes"


def items_of(found: Dataset, tag: int) -> Sequence[Dataset]:
    """Return the items of a sequence; none if it is absent."""
    items = found[tag].value if tag in found else ()
    return items if isinstance(items, Sequence) and not isinstance(items, str | bytes) else ()


def numbers_of(found: Dataset, tag: int, count: int) -> list[float]:
    """Return this many numbers; if the value has another number of them, all are NaN."""
    try:
        numbers = [float(part) for part in (text_of(found, tag) or "").split("\\")]
    except (ValueError, TypeError, struct.error):
        numbers = []
    return numbers if len(numbers) == count else [_NAN] * count
