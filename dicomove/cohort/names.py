"""Tells whether two names may belong to one person, in different spellings. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import SequenceMatcher
from typing import Final

from dicomove.cohort.likeness import without_accents

#: Initials, and names in other scripts, are not compared.
_PART: Final = re.compile("[a-z0-9]{2,}")
_DIGIT: Final = re.compile("[0-9]")
#: The similarity from which one text may be a misspelling of the other (Ratcliff and Metzener, 1988).
_ALIKE: Final = 0.75
#: The similarity from which two names may have the same parts, written together or apart.
_SAME: Final = 0.9


def is_other_name(there: str, named: Collection[str]) -> bool:
    """Return whether a name belongs to another person than all names of the rows.

    Two names may belong to one person if two parts of one name, or all of its parts, are similar to parts of the other,
    in any order. A part has at least two Latin letters or digits. Parts with digits are similar only if they are equal.
    A name without such a part is not compared.

    Parameters
    ----------
    there
        The name at the PACS.
    named
        The names of the rows.

    Examples
    --------
    >>> is_other_name("MUELLER^HANS^PETER", ["Müller, Hans"]), is_other_name("VANDENBERG^JAN", ["van den Berg, Jan"])
    (False, False)
    >>> is_other_name("DOE^JANE", ["DOE^JOHN"]), is_other_name("DOE^JANE", ["Doe, J."])
    (True, False)
    >>> is_other_name("山田^太郎", ["DOE^JANE"]), is_other_name("Yamada^Tarou=山田^太郎", ["DOE^JANE"])
    (False, True)
    >>> is_other_name("SUBJECT^0001", ["Subject 0001"]), is_other_name("SUBJECT^0001", ["SUBJECT^0002"])
    (False, True)
    """
    parts = _parts(there)
    return bool(parts) and all(other and not _may_be_one(parts, other) for other in map(_parts, named))


def _parts(name: str) -> list[str]:
    return list(dict.fromkeys(_PART.findall(without_accents(name).casefold())))


def _may_be_one(first: list[str], second: list[str]) -> bool:
    fewer, more = sorted((first, second), key=len)
    found = sum(any(_is_alike(part, other) for other in more) for part in fewer)
    return found >= min(2, len(fewer)) or _is_alike("".join(first), "".join(second), _SAME)


def _is_alike(first: str, second: str, least: float = _ALIKE) -> bool:
    if _DIGIT.search(first + second):
        return first == second
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= least
