"""Formats a number in the same way as a spreadsheet (ECMA-376 18.8.31)."""

from __future__ import annotations

import re

UNKNOWN = "####"
"""The text for a number if its shown form is unknown."""

# Excel keeps 15 digits of a number. All further digits are lost.
_LARGEST = 10**15
_SECTION = re.compile(r'((?:"[^"]*"|\\.|[^;"\\])*)(?:;|$)')
_TOKEN = re.compile(r'"([^"]*)"|\\(.)|([_*]).|([0#?])|(.)', re.DOTALL)
_COLOUR_OR_LOCALE = re.compile(r"\[(?:[A-Za-z]+[0-9]*|\$[^\]]*)\]")
_DECIMALS = re.compile(r"\.([0#?]+)")
_PLAIN_NUMBER = re.compile(r"[#0?,]*[#0?](?:\.[0#?]+)?(?:E[+-]?0+)?%?")
_LITERALS = frozenset("-+/():!^&'~{}<>= ")


def shown(value: float, number_format: str) -> str:
    r"""Return a number as the spreadsheet shows it, or ``####`` if that is unknown.

    Parameters
    ----------
    value
        The number.
    number_format
        The format, as a spreadsheet stores it.

    Examples
    --------
    >>> shown(123, "000000"), shown(1234567, "#,##0"), shown(123, '"MRN-"0000'), shown(0.5, "# ?/?")
    ('000123', '1,234,567', 'MRN-0123', '####')
    """
    if abs(value) >= _LARGEST:
        return f"{value:.14E}"
    section = _section(value, _COLOUR_OR_LOCALE.sub("", number_format))
    if section.lower() in {"general", "standard", "@"}:
        return _general(value)
    # Blanks with the width of a character, and fillings, do not count as text.
    plain = re.sub(r"[_*].", "", section).strip()
    if _PLAIN_NUMBER.fullmatch(plain) and set(plain) - set("0#?"):
        return _number(value, plain)
    return _pattern(value, section)


def _section(value: float, number_format: str) -> str:
    sections: list[str] = _SECTION.findall(number_format)[:4]
    if len(sections) > 1 and sections[-1] == "":
        sections = sections[:-1] if not number_format.endswith(";") else sections
    place = 1 if value < 0 else 2 if value == 0 else 0
    return sections[place] if place < len(sections) and sections[place] else sections[0]


def _general(value: float) -> str:
    if isinstance(value, int) or value.is_integer():
        return str(int(value))
    return repr(value)


def _number(value: float, plain: str) -> str:
    decimals = _DECIMALS.search(plain)
    digits = len(decimals[1]) if decimals else 0
    if plain.endswith("%"):
        return f"{100 * value:.{digits}f}%"
    if "E" in plain:
        return f"{value:.{digits}E}"
    if plain.rstrip("0#?").endswith(",") and "." not in plain and plain.endswith(","):
        return UNKNOWN
    return f"{value:,.{digits}f}" if "," in plain else f"{value:.{digits}f}"


def _pattern(value: float, section: str) -> str:
    """Return the digits in the places of the format, with the text between them."""
    parts: list[str | None] = []  # None is a place for a digit
    zeros = 0
    for quoted, escaped, width, place, other in _TOKEN.findall(section):
        if place:
            parts.append(None)
            zeros += place == "0"
        elif other and other not in _LITERALS:
            return UNKNOWN
        elif not width:
            parts.append(quoted or escaped or other)
    if not zeros or value < 0 or ("/" in section and "?" in section):
        return UNKNOWN
    return _placed(parts, f"{value:.0f}".zfill(zeros))


def _placed(parts: list[str | None], digits: str) -> str:
    places = parts.count(None)
    # Digits without their own place go to the first place.
    first = max(len(digits) - places, 0)
    fitted = [digits[: first + 1], *digits[first + 1 :]] if len(digits) >= places else list(digits)
    fitted = [""] * (places - len(fitted)) + fitted
    following = iter(fitted)
    return "".join(next(following) if part is None else part for part in parts)
