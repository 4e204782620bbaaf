"""The attributes that a caller names: by keyword, by tag, or by the path through the sequences that hold them. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from pydicom.datadict import dictionary_VR, keyword_dict

Path = tuple[int, ...]
"""The tags from the data set down to the attribute; all but the last are sequences."""

_TAG: Final = re.compile(r"\(?\s*([0-9a-fA-F]{4})\s*,?\s*([0-9a-fA-F]{4})\s*\)?")
_BULK: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "OB or OW"})


def tags_of(key: str) -> Path:
    """Return the tags of a key.

    Parameters
    ----------
    key
        A keyword, a tag, or several of them with ``.`` between them.

    Raises
    ------
    ValueError
        It is not one: the message says what is wrong, and gives the nearest keyword.

    Examples
    --------
    >>> [f"{tag:08x}" for tag in tags_of("SharedFunctionalGroupsSequence.PixelMeasuresSequence.SliceThickness")]
    ['52009229', '00289110', '00180050']
    >>> [f"{tag:08x}" for tag in tags_of("(0019,100c)")]
    ['0019100c']
    >>> tags_of("Modalty")
    Traceback (most recent call last):
    ValueError: the key 'Modalty' cannot be read: 'Modalty' is not the keyword of an attribute; did you mean 'Modality'?
    """
    path = tuple(_tag(key, part.strip()) for part in key.split("."))
    for tag in path[:-1]:
        if _vr(tag) not in ("SQ", None):
            _refuse(key, f"{_name(tag)} is not a sequence: only the last part of a path has a value")
    if _vr(path[-1]) == "SQ":
        _refuse(key, f"{_name(path[-1])} is a sequence: name an attribute in it, {key}.<keyword>")
    if _vr(path[-1]) in _BULK:
        _refuse(key, f"{_name(path[-1])} holds bytes, and no value for a table")
    return path


def wanted_tags(paths: Iterable[Path]) -> list[int]:
    """Return the tags of the data set itself that are read for these paths, with the creators of private ones.

    Examples
    --------
    >>> [f"{tag:08x}" for tag in wanted_tags([(0x00080060,), (0x0019100C,)])]
    ['00080060', '00190010', '0019100c']
    """
    first = {path[0] for path in paths}
    # Without its creator, pydicom does not know what a private attribute in Implicit VR is.
    creators = {tag & 0xFFFF0000 | (tag & 0xFF00) >> 8 for tag in first if _is_private(tag) and tag & 0xFF00}
    return sorted(first | creators)


def _tag(key: str, part: str) -> int:
    found = _TAG.fullmatch(part)
    if found:
        return int("".join(found.groups()), 16)
    if part and part in keyword_dict:
        return keyword_dict[part]
    near = difflib.get_close_matches(part, [known for known in keyword_dict if known], 1)
    hint = f"; did you mean {near[0]!r}?" if near else ", and tags are written as (0019,100c)"
    return _refuse(key, f"{part!r} is not the keyword of an attribute{hint}")


def _vr(tag: int) -> str | None:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return None


def _name(tag: int) -> str:
    return next(
        (known for known, value in keyword_dict.items() if value == tag), f"({tag >> 16:04x},{tag & 0xFFFF:04x})"
    )


def _is_private(tag: int) -> bool:
    return bool(tag >> 16 & 1)


def _refuse(key: str, reason: str) -> int:
    message = f"the key {key!r} cannot be read: {reason}"
    raise ValueError(message)
