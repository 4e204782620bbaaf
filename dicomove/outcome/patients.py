"""Whether two PatientIDs are the same, and in what they differ: said without either of them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

#: PS3.5 6.2: an LO is padded with blanks; some writers take NUL.
_PADDING: Final = " \0"
NONE_AT_ALL: Final = "they have none"
ALTOGETHER: Final = "altogether"
#: Differences that are no matter of spelling.
UNLIKE: Final = frozenset({NONE_AT_ALL, ALTOGETHER})

_BLANKS: Final = re.compile(r"[\s\0]+")
#: What an issuer or a suffix of a site begins with.
_SUFFIX: Final = re.compile(r"[\^@&/_ -].*", re.DOTALL)


def stripped(patient_id: str) -> str:
    r"""Return a PatientID without its padding.

    Examples
    --------
    >>> stripped(" 007 \0")
    '007'
    """
    return patient_id.strip(_PADDING)


def difference(came: str, named: Collection[str]) -> str | None:
    """Return in what a PatientID differs from those that were named; ``None`` where it is one of them.

    Parameters
    ----------
    came
        That of an instance.
    named
        Those of the rows.

    Examples
    --------
    >>> difference("abc-7 ", ["ABC-7"]), difference("7", ["007"]), difference("7", ["7"])
    ('in upper and lower case', 'in leading zeros', None)
    >>> difference("", ["7"]), difference("8", ["7"])
    ('they have none', 'altogether')
    """
    came = stripped(came)
    known = {stripped(one) for one in named}
    if came in known or not known:
        return None
    if not came:
        return NONE_AT_ALL
    return next((words for words, alike in _ALIKE if alike(came) in map(alike, known)), ALTOGETHER)


def is_alike(came: str, named: Collection[str]) -> bool:
    """Return whether a PatientID is another spelling of one that was named."""
    return difference(came, named) not in (None, *UNLIKE)


def _same_case(value: str) -> str:
    return unicodedata.normalize("NFKC", value).casefold()


def _without_blanks(value: str) -> str:
    return _BLANKS.sub("", _same_case(value))


def _without_zeros(value: str) -> str:
    return _without_blanks(value).lstrip("0")


def _without_suffix(value: str) -> str:
    return _without_zeros(_SUFFIX.sub("", value))


_ALIKE: Final = (
    ("in upper and lower case", _same_case),
    ("in blanks", _without_blanks),
    ("in leading zeros", _without_zeros),
    ("in what follows it (an issuer, say)", _without_suffix),
)
