"""Reads the rows of a text file: its encoding, its delimiter, and the lines above its rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from dicomove.cohort.files.stored_cells import Grid, places
from dicomove.cohort.keywords import keyword
from dicomove.errors import CohortError

_DELIMITERS: Final = ",;\t|"
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(.)"?[,;\t|]*', re.IGNORECASE)
_HEAD: Final = 40
_GZIP: Final = b"\x1f\x8b"
_BLANKS: Final = (
    "line {line} has several headers, with blanks between them: separate the columns with commas, semicolons, tabs or |"
)
#: R's write.table puts quotation marks around headers, and blanks between them.
_QUOTED_HEADERS: Final = re.compile(r'"[^"\r\n]*"(?: +"[^"\r\n]*")+ *$', re.MULTILINE)
_QUOTED: Final = re.compile(r'"[^"]*"')
_LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(raw: bytes, suffix: str, encoding: str, wanted: Iterable[str] = ()) -> Grid:
    """Return the rows of a CSV or TSV file.

    Parameters
    ----------
    raw
        The content of the file.
    suffix
        The suffix of its name: a .tsv file has tabs.
    encoding
        Its encoding.
    wanted
        Further headers that count as known, from ``columns=``.

    Raises
    ------
    CohortError
        The file is not text of this encoding, or not CSV.
    """
    if raw.startswith(_GZIP):
        msg = "the file is compressed (gzip): unpack it first"
        raise CohortError(msg)
    decoded, notes = decode(raw, encoding)
    if decoded.lstrip()[:200].lower().startswith(("<!doctype html", "<html", "<table", "<?xml", "{\\rtf", "%pdf")):
        msg = "the file does not hold rows of text: open it in a spreadsheet program and save it as .xlsx"
        raise CohortError(msg)
    decoded = _with_line_feeds(decoded)
    begin, separator = _first_row(decoded)
    named = separator or ("\t" if suffix == ".tsv" else None)
    delimiter = _delimiter(decoded[begin:], frozenset(wanted), named)
    first = decoded.count("\n", 0, begin) or decoded.count("\r", 0, begin)
    if delimiter != " " and _QUOTED_HEADERS.match(decoded, begin):
        raise CohortError(_BLANKS.format(line=first + 1))
    numbered = list(_parsed(decoded[begin:], delimiter, first))
    if any(line.startswith("#") for line in decoded[:begin].splitlines()):
        comments = [line for line, row in numbered if row[0].startswith("#") and not any(map(keyword, row))]
        numbered = [(line, row) for line, row in numbered if line not in set(comments)]
        notes += [f"comments (#) were left out, also below the header: {places(comments)}"] if comments else []
    kept = _without_empty_lines(numbered)
    _check_separated(kept, frozenset(wanted))
    with_rows = [line for line, row in kept if _contains_rows(row, delimiter)]
    if with_rows:
        notes += [f"a cell contains text that looks like rows (quotation mark not closed?): {places(with_rows)}"]
    return Grid(rows=[list(row) for _, row in kept], lines=[line for line, _ in kept], notes=notes)


def decode(raw: bytes, encoding: str) -> tuple[str, list[str]]:
    """Return the text of a file, and notes about its encoding.

    Raises
    ------
    CohortError
        The file has another encoding than the given one, or there is no such encoding.
    """
    try:
        is_utf_8 = codecs.lookup(encoding).name.startswith("utf-8")
    except LookupError:
        msg = f"there is no encoding {encoding!r}"
        raise CohortError(msg) from None
    # Spreadsheets call UTF-16 "Unicode text".
    marked = next((name for mark, name in _BYTE_ORDER_MARKS if raw.startswith(mark)), None)
    unmarked = None if marked or not is_utf_8 else _utf_16_without_mark(raw)
    found = marked or unmarked or encoding
    padding = "\x1a\0"  # old programs end a file with Ctrl-Z, or fill its last block with NULs
    said = f"the file does not name its encoding, and was read as {unmarked}: encoding={unmarked!r} confirms it"
    try:
        return raw.decode(found).removeprefix("\ufeff").rstrip(padding), [said] if unmarked else []
    except (UnicodeError, ValueError):
        if found != encoding or not is_utf_8:
            msg = f"the file is not encoded in {found}, or is incomplete"
            raise CohortError(msg) from None
    decoded, fallback = _decode_western(raw)
    told = f"the file is not encoded in UTF-8, and was read as {fallback}: encoding={fallback!r} confirms it"
    return decoded.rstrip(padding), [told]


def _with_line_feeds(decoded: str) -> str:
    r"""Return a text with the usual line ends, if its only ones are those of mainframes, or of Unicode.

    Examples
    --------
    >>> _with_line_feeds("PatientID\x85007"), _with_line_feeds("a\x85b\n")
    ('PatientID\n007', 'a\x85b\n')
    """
    if "\n" in decoded or "\r" in decoded:
        return decoded
    return re.sub("[\x85\u2028\u2029]", "\n", decoded)


def _utf_16_without_mark(raw: bytes) -> str | None:
    """Return the kind of UTF-16 if every other byte is zero, as for digits and delimiters, or None."""
    head = raw[:4096]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 10 < len(head) or min(even, odd) * 10 > max(even, odd):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _decode_western(raw: bytes) -> tuple[str, str]:
    # cp1252 has "…" in the place of NEL, the line end of mainframes.
    if b"\n" not in raw and b"\r" not in raw:
        return raw.decode("latin-1"), "latin-1"
    try:
        return raw.decode("cp1252"), "cp1252"
    except UnicodeDecodeError:
        return raw.decode("latin-1"), "latin-1"


def _first_row(decoded: str) -> tuple[int, str | None]:
    """Return the position of the first row, after empty lines, comments and ``sep=``, and the delimiter of ``sep=``."""
    separator = None
    begin = 0
    for match in _LINE.finditer(decoded):
        line = match.group().strip("\r\n")
        named = _SEPARATOR_LINE.fullmatch(line)
        if named and not separator:
            separator = named[1]
        elif line.strip() and not _is_comment(line, separator):
            break
        begin = match.end()
        if begin == len(decoded):
            break
    return begin, separator


def _is_comment(line: str, separator: str | None) -> bool:
    # "#PatientID,Accession" and "#,site" are headers, not comments.
    parts = re.split(rf"[{_DELIMITERS}{re.escape(separator or '')}]", line)
    return line.startswith("#") and not any(map(keyword, parts)) and (parts[0] != "#" or len(parts) == 1)


def _delimiter(decoded: str, wanted: frozenset[str], named: str | None) -> str:
    """Return the delimiter that gives the most known headers in one of the first rows.

    The one that the file names counts, unless the header does not contain it and another one separates known headers.
    """
    head = "".join(match.group() for match, _ in zip(_LINE.finditer(decoded), range(_HEAD), strict=False))
    first = next((line for line in re.split(r"[\r\n]+", head) if line.strip()), "")
    plain = _QUOTED.sub("", first)
    found = max(_DELIMITERS, key=lambda delimiter: (_headers(head, delimiter, wanted), plain.count(delimiter)))
    return named if named and (named in plain or _headers(head, found, wanted) < 2) else found


def _check_separated(numbered: Sequence[tuple[int, list[str]]], wanted: frozenset[str]) -> None:
    """Refuse a file whose columns are separated by another character, or by blanks.

    Raises
    ------
    CohortError
        A line has several known headers in one cell, and the line below it as many parts.
    """
    head = [(line, row[0].strip()) for line, row in numbered[:_HEAD] if row]
    if any(len(row) > 1 for _, row in numbered) or any(keyword(cell) or cell in wanted for _, cell in head):
        return
    for (line, cell), (_, below) in pairwise(head):
        for mark in sorted(set(re.findall(r"\W", cell))):
            is_between = cell.count(mark) == below.count(mark)
            if is_between and sum(bool(keyword(part)) for part in cell.split(mark)) > 1:
                msg = (
                    f"line {line} has several headers, with {mark!r} between them: separate the columns with commas, "
                    f"semicolons, tabs or |. If cells have one {mark!r} between them, write a line sep={mark} above"
                )
                raise CohortError(msg)
        parts, there = cell.split(), len(below.split())
        if sum(bool(keyword(part.strip('"'))) for part in parts) > 1 and there in (len(parts), len(parts) + 1):
            raise CohortError(_BLANKS.format(line=line))


def _headers(head: str, delimiter: str, wanted: frozenset[str]) -> int:
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter, skipinitialspace=True)
    most = 0
    try:
        for row in reader:
            most = max(most, sum(bool(keyword(cell) or cell.strip() in wanted) for cell in row))
    except csv.Error:
        return most
    return most


def _parsed(decoded: str, delimiter: str, before: int) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the line in which it begins.

    Parameters
    ----------
    decoded
        The text.
    delimiter
        Its delimiter.
    before
        The number of lines of the file before the text.

    Raises
    ------
    CohortError
        The text is not CSV.
    """
    # newline="" leaves line breaks inside of cells to the csv module.
    text = io.StringIO(decoded, newline="")
    try:
        reader = csv.reader(text, delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True)
    except (TypeError, ValueError):
        msg = f"{delimiter!r} cannot be a delimiter"
        raise CohortError(msg) from None
    begin = before + 1
    try:
        for row in reader:
            if row:
                yield begin, row
            begin = before + reader.line_num + 1
    except csv.Error as error:
        msg = f"line {begin} is not valid CSV: {error}"
        raise CohortError(msg) from None


def _contains_rows(row: Sequence[str], delimiter: str) -> bool:
    """Tell whether a cell of more than one line holds a line with as many delimiters as the row."""
    inner = (part for cell in row if "\n" in cell or "\r" in cell for part in re.split(r"\r\n|\r|\n", cell)[1:])
    return len(row) > 1 and any(part.count(delimiter) == len(row) - 1 for part in inner)


def _without_empty_lines(numbered: Sequence[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Return the rows without empty lines. A single empty cell is an empty line if other rows have several cells."""
    single = all(len(row) == 1 for _, row in numbered)
    begun = next((place for place, (_, row) in enumerate(numbered) if row != [""]), len(numbered))
    return [(line, row) for place, (line, row) in enumerate(numbered) if row != [""] or (single and place > begun)]
