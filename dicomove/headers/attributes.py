"""Attributes: parses ``keys=``, and returns the values of a data set's attributes as text and numbers. Pure.

A key is a keyword, a tag, or the path through the sequences that contain the attribute. Headers are not trustworthy:
an invalid value is returned as text unchanged, or as no number.
"""

from __future__ import annotations

import difflib
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

_NAN: Final = float("nan")
_ASCII: Final = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"})
_CHARACTERS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_LONGEST_BYTES: Final = 64
_FILE_META: Final = 0x0002


@dataclass(frozen=True, slots=True)
class Private:
    """A private attribute, by its creator: its block differs from file to file (PS3.5 7.8.1).

    Attributes
    ----------
    group, creator, element
        The group, the text of the creator, and the last two digits of the element.
    """

    group: int
    creator: str
    element: int

    def creators(self) -> list[int]:
        """Return the tags where its creator may be."""
        return [self.group << 16 | block for block in _BLOCKS]

    def tags(self) -> list[int]:
        """Return the tags where the attribute may be, in the order of the creators' tags."""
        return [self.group << 16 | block << 8 | self.element for block in _BLOCKS]


Step = int | Private
Path = tuple[Step, ...]
"""The tags from the data set down to the attribute; all but the last are sequences."""

_BLOCKS: Final = range(0x10, 0x100)
_BETWEEN: Final = re.compile(r"\.(?![^{}]*\})")
_PRIVATE: Final = re.compile(r"\(\s*([0-9a-fA-F]{3}[13579bBdDfF])\s*,\s*\{([^{}\\]+)\}\s*([0-9a-fA-F]{2})\s*\)")
_TAG: Final = re.compile(r"\(?\s*([0-9a-fA-F]{4})\s*,?\s*([0-9a-fA-F]{4})\s*\)?")
_BULK: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "OB or OW"})


def tags_of(key: str) -> Path:
    """Return the tags of a key.

    Parameters
    ----------
    key
        A keyword, a tag, a private attribute with its creator in braces, or a path of these, joined by ``.``.

    Raises
    ------
    ValueError
        The key is invalid. The message gives the reason and the nearest keyword.

    Examples
    --------
    >>> [f"{tag:08x}" for tag in tags_of("SharedFunctionalGroupsSequence.PixelMeasuresSequence.SliceThickness")]
    ['52009229', '00289110', '00180050']
    >>> [f"{tag:08x}" for tag in tags_of("(0019,100c)")]
    ['0019100c']
    >>> tags_of("(0019,{SIEMENS MR HEADER}0c)")
    (Private(group=25, creator='SIEMENS MR HEADER', element=12),)
    >>> tags_of("Modalty")
    Traceback (most recent call last):
    ValueError: the key 'Modalty' cannot be read: 'Modalty' is not the keyword of an attribute; did you mean 'Modality'?
    """
    path = tuple(_step(key, part.strip()) for part in _BETWEEN.split(key))
    for tag in path[:-1]:
        if _vr(tag) not in ("SQ", None):
            _refuse(key, f"{_name(tag)} is not a sequence: only the last part of a path has a value")
    if _vr(path[-1]) == "SQ":
        _refuse(key, f"{_name(path[-1])} is a sequence: name an attribute in it, {key}.<keyword>")
    if _vr(path[-1]) in _BULK:
        _refuse(key, f"{_name(path[-1])} holds bytes, and no value for a table")
    return path


def wanted_tags(paths: Iterable[Path]) -> list[int]:
    """Return the tags at the top of the data set that these paths need, with the creators of private ones.

    Examples
    --------
    >>> [f"{tag:08x}" for tag in wanted_tags([(0x00080060,), (0x0019100C,)])]
    ['00080060', '00190010', '0019100c']
    """
    steps = {path[0] for path in paths}
    first = {step for step in steps if isinstance(step, int)}
    # pydicom needs the creator to know the VR of a private attribute in Implicit VR.
    creators = {tag & 0xFFFF0000 | (tag & 0xFF00) >> 8 for tag in first if _is_private(tag) and tag & 0xFF00}
    blocks = {tag for step in steps if isinstance(step, Private) for tag in (*step.creators(), *step.tags())}
    return sorted(first | creators | blocks)


def _step(key: str, part: str) -> Step:
    private = _PRIVATE.fullmatch(part)
    if private:
        group, creator, element = private.groups()
        return Private(int(group, 16), creator.strip(), int(element, 16))
    return _tag(key, part)


def _tag(key: str, part: str) -> int:
    found = _TAG.fullmatch(part)
    if found:
        return int("".join(found.groups()), 16)
    if part and part in keyword_dict:
        return keyword_dict[part]
    near = difflib.get_close_matches(part, [known for known in keyword_dict if known], 1)
    hint = f"; did you mean {near[0]!r}?" if near else ", and tags are written as (0019,100c)"
    return _refuse(key, f"{part!r} is not the keyword of an attribute{hint}")


def _vr(tag: Step) -> str | None:
    if isinstance(tag, Private):
        return None
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _name(tag: Step) -> str:
    keywords = (known for known, value in keyword_dict.items() if value == tag)
    return next(keywords, f"({tag >> 16:04x},{tag & 0xFFFF:04x})" if isinstance(tag, int) else str(tag))


def _is_private(tag: int) -> bool:
    return bool(tag >> 16 & 1)


def _refuse(key: str, reason: str) -> int:
    message = f"the key {key!r} cannot be read: {reason}"
    raise ValueError(message)


def values_at(found: Dataset, path: Path) -> Iterator[str]:
    """Return the values at a path, from every item of the sequences on it."""
    tag = _tag_of(found, path[0])
    if tag is None:
        return
    if len(path) > 1:
        for item in items_of(found, tag):
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
        "\\".join(_number_text(str(part).strip()) if _is_number(part) else str(part).strip() for part in parts) or None
    )


def _number_text(value: str) -> str:
    """Return a number in one spelling, so that ``"5.000"`` and ``"5"`` do not count as two values.

    Examples
    --------
    >>> _number_text("5.0000"), _number_text("-0.75 "), _number_text("1e-3"), _number_text("five")
    ('5', '-0.75', '0.001', 'five')
    >>> _number_text("20261126000000000001")
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
        vr = _vr(tag) or ""
    if vr == "US" and len(raw) == 2:
        return str(int.from_bytes(raw, "little" if element.is_little_endian else "big"))
    if not (vr in _ASCII or vr in _CHARACTERS) or not raw.isascii() or b"\x1b" in raw:
        return None
    text = raw.decode("ascii").strip("\0 ")
    if vr == "DS" or vr == "IS":
        return "\\".join(_number_text(part.strip()) for part in text.split("\\"))
    return "\\".join(part.strip() for part in text.split("\\")) if "\\" in text else text


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
