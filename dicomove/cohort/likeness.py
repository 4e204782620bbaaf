"""Distinguishes equal text, which people cannot tell apart, from look-alikes; compares the names of persons. Pure.

*Equal text* is canonically equivalent (Unicode Standard Annex 15, NFC). Invisible characters, the kind of a blank, and
the choice between the hyphens ``-``, U+2010 and U+2011 do not matter. Padding does not count.

*Look-alikes* are not equal. `difference` says how they differ: case, width, accents, leading zeros, the number of
blanks, dashes, quotation marks, letters of another alphabet, O and 0. An archive may use them for two patients.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import combinations
from typing import Final

from dicomove.cohort.values import EDGES, INVISIBLE

# Invisible characters that the spelling needs: an archive stores such a name with them.
_NEEDED: Final = {
    "[\u200c\u200d]": "ARABIC|SYRIAC|MANDAIC|NKO|MONGOLIAN|DEVANAGARI|BENGALI|GURMUKHI|GUJARATI|ORIYA|TAMIL|TELUGU|"
    "KANNADA|MALAYALAM|SINHALA|MYANMAR|KHMER|TIBETAN|BALINESE|JAVANESE",
    "[\u180b-\u180f]": "MONGOLIAN",
    "[\U000e0100-\U000e01ef]": "CJK",
}
# Braille's empty cell looks like a blank.
_BLANKS: Final = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")
_HYPHENS: Final = re.compile("[\u2010\u2011]")

_DASHES: Final = re.compile("[\u02d7\u058a\u1806\u2012-\u2015\u2043\u2212\u2796\u2e3a\u2e3b\ufe58\ufe63\uff0d]")
_QUOTES: Final = re.compile('["`\u00ab\u00b4\u00bb\u02b9-\u02bd\u2018-\u201f\u2032-\u2036\u2039\u203a\uff07\uff40]')
_POINTS: Final = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652\u0670]")
_LEADING_ZEROS: Final = re.compile("(?<![0-9])0+(?=[0-9])")

# Letters with a stroke and similar ones, which Unicode does not decompose.
_STROKES: Final[Mapping[int, str]] = {
    **{ord(letter): bare for letter, bare in zip("łŁøØđĐħĦıŧŦðÐ", "lLoOdDhHitTdD", strict=True)},
    **{ord(letter): bare for letter, bare in zip("æÆœŒþÞ", ("ae", "AE", "oe", "OE", "th", "Th"), strict=True)},
}
_UMLAUTS: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ø": "oe", "Ø": "Oe", "å": "aa", "Å": "Aa"}
)
# From the confusables of Unicode Technical Standard 39: letters of other alphabets that look like Latin ones in every
# usual typeface, and the characters that Arabic and Persian keyboards write for the same letter.
_OTHER_ALPHABETS: Final = str.maketrans(
    "АВЕЅІЈКМНОРСТУХѕіјаеорсухѡԁһԛԝӀ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοακιρχ" + "ϲՏօ" + "یىکہە",
    "ABESIJKMHOPCTYXsijaeopcyxwdhqwI" + "ABEZHIKMNOPTYXoakipx" + "cSo" + "ييكهه",
)
_O_AND_ZERO: Final = str.maketrans("OoIl|", "00111")
# A quick test, coarser than all of the above together: texts that differ here are not look-alikes.
_COARSE: Final = str.maketrans(
    {
        **{
            unicodedata.normalize("NFKD", chr(other)).casefold(): chr(latin).casefold()
            for other, latin in _OTHER_ALPHABETS.items()
        },
        **{chr(letter).casefold(): bare.casefold() for letter, bare in _STROKES.items()},
    }
)
_IGNORED: Final = frozenset("0o1ilae")

#: Initials, and names in other scripts, are not compared.
_PART: Final = re.compile("[a-z0-9]{2,}")
_DIGIT: Final = re.compile("[0-9]")
#: The similarity from which one text may be a misspelling of the other (Ratcliff and Metzener, 1988).
_ALIKE: Final = 0.75
#: The similarity from which two names may have the same parts, written together or apart.
_SAME: Final = 0.9


def without_invisible(text: str) -> str:
    r"""Return a text without invisible characters: marks of direction, zero widths, soft hyphens, selectors.

    Invisible characters that a script needs for its spelling stay: joiners between Arabic or Indic letters, selectors
    after Mongolian letters and Chinese characters. Two names that differ only in these are equal text.

    Examples
    --------
    >>> without_invisible("\u202aA123\u202c"), without_invisible("علی\u200cرضا") == "علی\u200cرضا"
    ('A123', True)
    """
    return text if text.isascii() else INVISIBLE.sub(_kept_if_needed, text)


def invisible_in(text: str) -> list[str]:
    r"""Name the characters that `without_invisible` removes, each once, in the order of the text.

    Examples
    --------
    >>> invisible_in("\u202aA\u00ad123\u202c")
    ['U+202A LEFT-TO-RIGHT EMBEDDING', 'U+00AD SOFT HYPHEN', 'U+202C POP DIRECTIONAL FORMATTING']
    """
    if text.isascii():
        return []
    found = [match.group() for match in INVISIBLE.finditer(text) if not _kept_if_needed(match)]
    return [_named(character) for character in dict.fromkeys(found)]


def odd_in(text: str) -> list[str]:
    r"""Name the characters that only look like those of a plain identifier.

    They explain why an archive does not find a text that looks right.

    Examples
    --------
    >>> odd_in("\u0410-12\uff13"), odd_in("А\u0411В-1")  # the second is a Russian word, not a mistake
    (['U+0410 CYRILLIC CAPITAL LETTER A', 'U+FF13 FULLWIDTH DIGIT THREE'], [])
    """
    if text.isascii():
        return []
    shown = plain(text)
    is_latin = all(_script(letter) == "LATIN" for letter in _latin(shown) if letter.isalpha())
    odd = [character for character in shown if not character.isascii() and _latin(character).isascii()]
    return [_named(character) for character in dict.fromkeys(odd) if is_latin or not character.isalpha()]


def as_key(text: str) -> str:
    r"""Return a text as dicomove sends it: composed, with plain blanks and hyphens, without invisible characters.

    Examples
    --------
    >>> as_key("Mu\u0308ller^\u200eA\u00a0B"), as_key("A\u20111")
    ('Müller^A B', 'A-1')
    """
    return (text if text.isascii() and "\t" not in text else _plain(without_invisible(text))).strip(EDGES)


def plain(text: str) -> str:
    r"""Return the form of a text for comparison: equal for two texts that people cannot tell apart.

    Examples
    --------
    >>> plain(" \ufeffA\u202f1\0"), plain("علی\u200cرضا") == plain("علیرضا"), plain("Mu\u0308ller") == plain("Müller")
    ('A 1', True, True)
    """
    return (text if text.isascii() and "\t" not in text else _plain(INVISIBLE.sub("", text))).strip(EDGES)


def difference(asked: str, answered: str) -> str | None:
    """Say how two look-alikes differ, without their values; ``None`` if they are equal, or not look-alikes.

    Parameters
    ----------
    asked, answered
        Single values; a text with a wildcard has no look-alikes.

    Examples
    --------
    >>> difference("0012345", "12345"), difference("MÜLLER", "Mueller")
    ('leading zeros', 'umlauts written with an e and upper and lower case')
    >>> difference("А-1", "A1"), difference("A1", "A2")  # the first A is Cyrillic
    ('letters of another alphabet that look the same and punctuation', None)
    """
    first, second = plain(asked), plain(answered)
    has_wildcard = not set("*?").isdisjoint(first + second)
    if first == second or not (first and second) or has_wildcard or _coarse(first) != _coarse(second):
        return None
    return next(
        (listed([name for name, _ in folds]) for folds in _SETS if _folded(first, folds) == _folded(second, folds)),
        None,
    )


def _kept_if_needed(match: re.Match[str]) -> str:
    """Return the invisible character if the spelling around it needs it."""
    text, at, character = match.string, match.start(), match.group()
    before, after = _script(text[at - 1 : at]), _script(text[at + 1 : at + 2])
    for characters, scripts in _NEEDED.items():
        if re.match(characters, character):
            joins = character in ("\u200c", "\u200d")
            is_needed = re.fullmatch(scripts, before) and (not joins or re.fullmatch(scripts, after))
            return character if is_needed else ""
    return ""


def _script(character: str) -> str:
    is_letter = character != "" and unicodedata.category(character)[0] in ("L", "M")
    return re.split("[ -]", unicodedata.name(character, ""))[0] if is_letter else ""


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _plain(text: str) -> str:
    return _HYPHENS.sub("-", _BLANKS.sub(" ", unicodedata.normalize("NFC", text)))


def _latin(text: str) -> str:
    return _digits(_width(_quotes(_dashes(text))).translate(_OTHER_ALPHABETS))


def _width(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _other_alphabets(text: str) -> str:
    return text.translate(_OTHER_ALPHABETS)


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


def _dashes(text: str) -> str:
    return _DASHES.sub("-", text)


def _quotes(text: str) -> str:
    return _QUOTES.sub("'", text)


def _umlauts(text: str) -> str:
    return unicodedata.normalize("NFC", text).translate(_UMLAUTS)


def without_accents(text: str) -> str:
    """Return a text without accents, and letters with a stroke without it.

    Examples
    --------
    >>> without_accents("Jörg Łucja")
    'Jorg Lucja'
    """
    return unicodedata.normalize("NFC", _POINTS.sub("", unicodedata.normalize("NFD", text)).translate(_STROKES))


def _o_and_zero(text: str) -> str:
    return text.translate(_O_AND_ZERO)


def _blanks(text: str) -> str:
    return "".join(text.split())


def _punctuation(text: str) -> str:
    return "".join(
        character
        for character in text
        if unicodedata.category(character)[0] not in ("P", "S") or _stands_for_letters(character)
    )


def _stands_for_letters(symbol: str) -> bool:
    """Tell whether a symbol stands for letters or digits, as a circled number does."""
    return any(map(str.isalnum, _width(symbol)))


def _leading_zeros(text: str) -> str:
    return _LEADING_ZEROS.sub("", text)


# `_folded` applies them in this order. If several would explain a difference, `difference` names the first.
_FOLDS: Final[Sequence[tuple[str, Callable[[str], str]]]] = (
    ("a dash of another kind", _dashes),
    ("quotation marks of another kind", _quotes),
    ("full-width or other forms of letters", _width),
    ("letters of another alphabet that look the same", _other_alphabets),
    ("digits of another script", _digits),
    ("umlauts written with an e", _umlauts),
    ("accents", without_accents),
    ("upper and lower case", str.casefold),
    ("blanks", _blanks),
    ("punctuation", _punctuation),
    ("leading zeros", _leading_zeros),
    ("O and 0, or I, l and 1", _o_and_zero),
)
# Texts that differ in more than three ways are not look-alikes.
_SETS: Final = [folds for count in (1, 2, 3) for folds in combinations(_FOLDS, count)]


def _folded(text: str, folds: Sequence[tuple[str, Callable[[str], str]]]) -> str:
    for _, fold in folds:
        text = fold(text)
    return text


def listed(names: Sequence[str]) -> str:
    """Return names as a part of a sentence."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _coarse(text: str) -> str:
    # Some quotation marks count as letters, and would stay.
    bare = _POINTS.sub("", _quotes(unicodedata.normalize("NFKD", _digits(text)))).casefold().translate(_COARSE)
    return "".join(character for character in bare if character.isalnum() and character not in _IGNORED)


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
