"""Decodes the text of a peer by its bytes (PS3.5 6.1), also if its Specific Character Set is wrong.

Each value is judged alone, because archives combine answers from several sources. The rules, in this order:

1. With escape sequences (code extensions), each part has the encoding of its escape sequence.
2. Bytes that are valid UTF-8 are UTF-8, unless they read well in the declared character set but not in UTF-8. Two bytes
   of Thai, GB18030 or capital Polish may be valid UTF-8 by chance.
3. Otherwise the declared character set counts, if the bytes are valid in it and have no control characters. Latin-1 is
   read as Windows-1252, which has all of its letters.
4. Otherwise the Windows encoding of that alphabet, or Windows-1252, if the text reads well in it.
5. Otherwise Windows-1252, or Latin-1, which decodes every byte.

A value *reads well* if its letters beyond ASCII belong to one alphabet, also within a word, with ordinary punctuation
around them. If the last character was cut, a replacement character shows it; no other byte is lost.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

_ESCAPE: Final = b"\x1b"
_UTF_8: Final = "utf-8"
_LATIN: Final = "cp1252"

_NORMAL: Final = re.compile("[^A-Z0-9]")
_REGISTERED: Final = re.compile("(?:ISO)?(?:2022)?(?:IR)?([0-9]{1,3})")
_ISO_8859: Final = re.compile("(?:ISO|IR)*8859([2-9]|1[0-6])")
_WINDOWS: Final = re.compile("(?:WINDOWS|WIN|CP|IBM)?(125[0-8]|874|932|949|950)")
# The names that other systems have for character sets; those of DICOM come from pydicom.
_SPELLINGS: Final = {
    **{_NORMAL.sub("", name): encoding.lower() for name, encoding in python_encoding.items()},
    **dict.fromkeys(("UTF8", "ISOIR192", "ISO2022IR192", "UNICODE", "UNICODE11UTF8", "ISO10646", "65001"), _UTF_8),
    **dict.fromkeys(("LATIN1", "ISO88591", "ISOIR88591", "88591", "ISO88591"), "latin_1"),
    **dict.fromkeys(("GB2312", "CP936", "WINDOWS936", "EUCCN"), "gbk"),
    **dict.fromkeys(("SHIFTJIS", "SJIS", "MS932"), "cp932"),
    **dict.fromkeys(("LATIN9", "ISOIR203", "ISO2022IR203"), "iso8859_15"),
    **dict(
        zip(("LATIN2", "LATIN3", "LATIN4", "LATIN5"), ("iso8859_2", "iso8859_3", "iso8859_4", "iso8859_9"), strict=True)
    ),
    **dict(
        zip(("TIS620", "EUCJP", "EUCKR", "ISO2022JP"), ("iso_ir_166", "euc_jp", "euc_kr", "iso2022_jp"), strict=True)
    ),
    "ANSI": _LATIN,
    "KOI8R": "koi8_r",
    "BIG5": "big5",
}

# The alphabets by the first words of their letters' names in Unicode.
_ALPHABETS: Final = {
    "LATIN|FEMININE|MASCULINE": ["iso8859_2", "iso8859_3", "iso8859_4", "iso8859_9", "iso8859_15", "cp1252", "cp1250"],
    "CYRILLIC": ["iso_ir_144", "iso8859_5", "cp1251", "koi8_r"],
    "GREEK": ["iso_ir_126", "iso8859_7", "cp1253"],
    "ARABIC": ["iso_ir_127", "iso8859_6", "cp1256"],
    "HEBREW": ["iso_ir_138", "iso8859_8", "cp1255"],
    "THAI": ["iso_ir_166", "iso8859_11", "cp874"],
    "CJK|HIRAGANA|KATAKANA|HALFWIDTH|FULLWIDTH": ["shift_jis", "cp932", "euc_jp", "iso2022_jp", "iso2022_jp_2"],
    "HANGUL|CJK": ["euc_kr", "cp949"],
    "CJK": ["gb18030", "gbk", "iso_ir_58", "big5", "cp950"],
}
_ALPHABET_OF: Final = {encoding: alphabet for alphabet, encodings in _ALPHABETS.items() for encoding in encodings}
_ON_WINDOWS: Final = {
    "iso8859_2": "cp1250",
    "iso_ir_148": "cp1254",
    "iso_ir_144": "cp1251",
    "iso_ir_126": "cp1253",
    "iso_ir_127": "cp1256",
    "iso_ir_138": "cp1255",
    "iso_ir_166": "cp874",
    "euc_kr": "cp949",
    **dict.fromkeys(("shift_jis", "iso2022_jp", "iso2022_jp_2"), "cp932"),
}
_NO_LETTERS: Final = {"iso8859", _UTF_8}
_CONTROLS: Final = re.compile("[\x80-\x9f]")
_CUT: Final = {"unexpected end of data", "incomplete multibyte sequence"}
_JIS_X_0201: Final = re.compile(rb"[\x00-\x7f\xa1-\xdf]*")
# A word of two alphabets. "CT\u5e73\u626b" does not count: abbreviations occur beside words of any alphabet.
_MIXED: Final = re.compile(
    "[a-z]{0}|{0}[a-z]|[A-Z]{0}+[A-Z]|[A-Z]{0}(?!{0})|(?<!{0}){0}[A-Z]".replace("{0}", r"[^\W\d_A-Za-z]")
)
_PUNCTUATION: Final = {"Zs", "Nd", "Po", "Pi", "Pf", "Pd", "Ps", "Pe"}

_PARTS: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_RESETS: Final = re.compile(rb"[\\^=\t\n\f\r]")
_KEEP_ESCAPES: Final = {"iso2022_jp", "iso2022_jp_2"}  # Python's codecs read them
_DESIGNATIONS: Final = {**CODES_TO_ENCODINGS, b"\x1b%G": _UTF_8}


@lru_cache(maxsize=256)
def encodings(charset: bytes) -> tuple[str, ...]:
    r"""Return Python's names for the values of a Specific Character Set (0008,0005), in any spelling.

    An unknown value counts as the default repertoire.

    Examples
    --------
    >>> encodings(b"ISO-IR 144 \0"), encodings(b"utf8"), encodings(rb"\ISO2022IR87"), encodings(b"?")
    (('iso_ir_144',), ('utf-8',), ('iso8859', 'iso2022_jp'), ('iso8859',))
    """
    return tuple(_encoding(term) for term in charset.decode("latin-1").split("\\"))


def decode(value: bytes, declared: Sequence[str] = ("iso8859",)) -> str:
    r"""Return the text of a value; this works for every byte string.

    Parameters
    ----------
    value
        The bytes, with their padding.
    declared
        The result of `encodings`.

    Examples
    --------
    >>> decode("Müller".encode(), encodings(b"ISO_IR 100")), decode(b"\x8ei\x9ekova", encodings(b"ISO_IR 100"))
    ('Müller', 'Žižkova')
    """
    if _ESCAPE not in value:
        return value.decode("ascii") if value.isascii() else _unescaped(value, declared)
    return "".join(_part(part, declared) for part in _PARTS.findall(value))


def printable(value: bytes) -> str:
    r"""Return the text of a value without a character set, in one line, without characters that act on a terminal.

    Examples
    --------
    >>> printable(b"Ger\xe4t \x1b[31m gest\xf6rt\r\n")
    'Gerät [31m gestört'
    """
    return " ".join("".join(one if one.isprintable() else " " for one in decode(value)).split())


def _encoding(term: str) -> str:
    name = _NORMAL.sub("", term.upper())
    if name in _SPELLINGS:
        return _SPELLINGS[name]
    if match := _ISO_8859.fullmatch(name):
        return f"iso8859_{match[1]}"
    if match := _WINDOWS.fullmatch(name):
        return f"cp{match[1]}"
    match = _REGISTERED.fullmatch(name)
    return _SPELLINGS.get(f"ISO2022IR{match[1]}", "iso8859") if match else "iso8859"


def _part(part: bytes, declared: Sequence[str]) -> str:
    """Decode the bytes after one escape sequence; an unknown escape sequence does not change."""
    size = 0 if part[:1] != _ESCAPE else 4 if part[:3] in (b"\x1b$(", b"\x1b$)") else 3
    encoding = _DESIGNATIONS.get(part[:size])
    if not size or not encoding:
        return decode(part, declared) if not size else part.decode("latin-1")
    try:
        if encoding in _KEEP_ESCAPES:
            return part.decode(encoding)
        end = next((reset.start() for reset in _RESETS.finditer(part, size)), len(part))
        return part[size:end].decode(encoding) + decode(part[end:], declared)
    except UnicodeError:
        return part.decode("latin-1")


def _unescaped(value: bytes, declared: Sequence[str]) -> str:
    in_utf_8 = _decoded(value, _UTF_8)
    if declared[0] == _UTF_8 and in_utf_8 is not None:
        return in_utf_8
    named = [_LATIN if encoding == "latin_1" else encoding for encoding in declared if encoding not in _NO_LETTERS]
    said = {encoding: text for encoding in named or [_LATIN] if (text := _decoded(value, encoding)) is not None}
    if in_utf_8 is not None and not any(_speaks_against(in_utf_8, text, encoding) for encoding, text in said.items()):
        return in_utf_8
    # Text without an escape sequence has the first character set; if that is ASCII, it may have any of them.
    is_first = declared[0] not in _NO_LETTERS
    on_windows = {
        encoding: _decoded(value, encoding) for encoding in (*map(_ON_WINDOWS.get, named), _LATIN) if encoding
    }
    likely = [text for encoding, text in said.items() if is_first or _reads_well(text, _alphabet(encoding))]
    likely += [text for encoding, text in on_windows.items() if text and _reads_well(text, _alphabet(encoding))]
    likely += [text for text in (on_windows[_LATIN], value.decode("latin-1")) if text is not None]
    return next((text for text in likely if not _CONTROLS.search(text)), likely[-1])


def _speaks_against(in_utf_8: str, text: str, encoding: str) -> bool:
    """Tell whether a value reads well in a declared character set but not in UTF-8.

    Beside Latin letters, any other text is more likely than a series of accented capitals and signs.
    """
    alphabet = _alphabet(encoding)
    if not _reads_well(text, alphabet):
        return False
    if alphabet != _alphabet(_LATIN):
        return not _reads_well(in_utf_8, alphabet)
    return not any(_reads_well(in_utf_8, other, signs=True) for other in _ALPHABETS)


def _alphabet(encoding: str) -> str:
    return _ALPHABET_OF.get(encoding, _ALPHABET_OF[_LATIN])


def _decoded(value: bytes, encoding: str) -> str | None:
    """Return the text, whose last character may be cut; ``None`` if the bytes have another encoding."""
    if encoding == "shift_jis" and not _JIS_X_0201.fullmatch(value):
        return None
    bare = value.rstrip(b" \0")
    try:
        return bare.decode(encoding)
    except LookupError:
        return None
    except UnicodeDecodeError as error:
        is_cut = error.end == len(bare) and error.reason in _CUT
        begin = bare[: error.start]
        return begin.decode(encoding) + "\ufffd" if is_cut and not begin.isascii() else None


def _reads_well(text: str, alphabet: str, *, signs: bool = False) -> bool:
    composed = unicodedata.normalize("NFC", text.removesuffix("\ufffd"))
    if not all(character.isascii() or _belongs(character, alphabet, signs=signs) for character in composed):
        return False
    mixes = alphabet != _alphabet(_LATIN) and _MIXED.search(composed)
    climbs = any(one.islower() and two.isupper() and not (one + two).isascii() for one, two in pairwise(composed))
    return not (mixes or climbs)


def _belongs(character: str, alphabet: str, *, signs: bool) -> bool:
    kind = unicodedata.category(character)
    if kind[0] in "LM":
        return re.match(rf"(?:{alphabet})\b", unicodedata.name(character, "")) is not None
    return kind in _PUNCTUATION or (signs and kind[0] in "SN")
