"""Parses ``keys=``: attributes by keyword, by tag, or by the path through the sequences that contain them. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_dict


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
