"""The table of a command: reads it from a file or from standard input; prints it for a person, a file, or a pipe."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
import shlex
import stat
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TextIO, TypeGuard

import pandas as pd

from dicomove.cohort import read_cohort
from dicomove.columns import free_name
from dicomove.errors import CohortError
from dicomove.words import GOOD

#: The exit codes; `main` describes them.
COMPLETE, SOME_NOT, NOTHING = 0, 1, 3

_STANDARD_INPUT: Final = "standard input"
_BRIEF: Final = [
    *("cohort_row", "AccessionNumber", "StudyInstanceUID", "ModalitiesInStudy", "studies", "studies_complete"),
    *("outcome", "action", "status", "error", "total", "completed", "failed", "expected", "received", "on_disk"),
    *("missing", "bytes", "duration_s"),
]
_OTHER_FORMATS: Final = {".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".parquet", ".json"}
_ONLY_OF_A_RECEIVER: Final = ("received", "missing", "on_disk")
_MOST_ADVICES: Final = 10
#: A keyword of a function, with its value if it has one.
_KEYWORD: Final = re.compile(
    r"""\b(?P<name>[a-z_]+)\b(?P<equals>=)?(?(equals)(?P<value>"[^"]*"|'[^']*'|-?[0-9.]*[0-9]|\.{3})?)"""
)
_LONG_UID: Final = re.compile(r"(?<![0-9.])[0-9.]{2,}([0-9.]{12})(?![0-9])")
#: Control characters can change what a terminal shows. Lines of a message stay lines.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
#: The outcomes of rows for which dicomove could do nothing.
_NOTHING_DONE: Final = {"unreachable", "not_attempted"}


def table_of(chosen: Namespace) -> pd.DataFrame:
    """Return the table that the arguments name; ``-`` is CSV, or what ``--json`` prints, from standard input."""
    if chosen.table != "-":
        return _read(chosen.table, chosen.table)
    given = sys.stdin.buffer.read() if isinstance(sys.stdin, io.TextIOWrapper) else sys.stdin.read().encode()
    if given.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"["):
        given = as_csv(given.decode("utf-8-sig", "replace")).encode()
    with TemporaryDirectory(prefix="dicomove-") as folder:
        path = Path(folder, "standard_input.csv")
        path.write_bytes(given)
        return _read(path, _STANDARD_INPUT)


def _read(path: str | Path, name: str) -> pd.DataFrame:
    """Read a table; an error begins with its name."""
    try:
        return read_cohort(path)
    except CohortError as error:
        message = f"{name}: {error}"
        raise CohortError(message) from error


def as_csv(text: str) -> str:
    r"""Return JSON objects, one after another or in lists, as CSV, which is then read like any other CSV.

    Raises
    ------
    CohortError
        The text is not JSON, or has something else than objects.

    Examples
    --------
    >>> as_csv('{"mrn": "007", "visits": 2}\n{"mrn": "008", "arm": null}')
    'mrn,visits,arm\r\n007,2,\r\n008,,\r\n'
    """
    rows = list(_objects(text))
    written = io.StringIO()
    writer = csv.DictWriter(written, dict.fromkeys(name for row in rows for name in row), restval="")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return written.getvalue()


def _objects(text: str) -> Iterator[dict[str, Any]]:
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        try:
            found, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            message = f"{_STANDARD_INPUT}: line {error.lineno} is not valid JSON: {error.msg}"
            raise CohortError(message) from None
        for one in found if isinstance(found, list) else [found]:
            if not isinstance(one, dict):
                message = f"{_STANDARD_INPUT}: JSON is read as one object for each row, as --json prints it"
                raise CohortError(message)
            yield one
        while place < len(text) and text[place].isspace():
            place += 1


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def report(table: pd.DataFrame, chosen: Namespace, *, feeds: bool = False) -> int:
    """Print or write a table, and print its counts and advice; return the exit code.

    Parameters
    ----------
    table
        The table, with the column ``outcome``.
    chosen
        The arguments.
    feeds
        Whether to write the table as CSV if standard output is a pipe or a file.
    """
    stream = sys.stdout
    if write(table, chosen, feeds=feeds):
        stream = sys.stderr if chosen.output in (None, "-") else sys.stdout
    else:
        show(table)
    print(summary(table), file=stream)
    print(in_shell(advice(table), chosen), file=stream)
    return _exit_code(table)


def check_output(chosen: Namespace) -> None:
    """Refuse an output file that cannot be written, before the command begins.

    Raises
    ------
    OSError
        The output is a folder, or its folder does not exist or cannot be written.
    ValueError
        The suffix is that of another format.
    """
    output = getattr(chosen, "output", None)
    if output is None or str(output) == "-":
        return
    path = Path(output)
    if path.is_dir():
        message = f"--output {path}: this is a folder, and not a file"
        raise IsADirectoryError(message)
    if not path.parent.is_dir():
        message = f"--output {path}: there is no folder {path.parent}"
        raise FileNotFoundError(message)
    if hasattr(chosen, "json") and path.suffix.lower() in _OTHER_FORMATS - ({".json"} if chosen.json else set()):
        message = f"--output {path}: the table is written as {'JSON' if chosen.json else 'CSV'}: give it another suffix"
        raise ValueError(message)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        message = f"--output {path}: it cannot be written"
        raise PermissionError(message)


def printable(text: str) -> str:
    r"""Return text of a PACS, of a file or of its name without control characters, for a terminal.

    Examples
    --------
    >>> printable("\x1b[2Jall complete\n")
    '?[2Jall complete\n'
    """
    return _CONTROL.sub("?", text)


def in_shell(message: str, chosen: Namespace) -> str:
    """Return a message for a terminal, with keywords of Python replaced by the options of a command.

    Examples
    --------
    >>> in_shell("max_age='1 day' is the age of answers: name it with journal=", Namespace(max_age="", journal=""))
    "--max-age '1 day' is the age of answers: name it with --journal"
    >>> in_shell("dicomove.find resolves patients first", Namespace())
    'dicomove find resolves patients first'
    """

    def option(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"] or ""
        if name not in vars(chosen) or not (found["equals"] or "_" in name):
            return found[0]
        words = ["--" + name.replace("_", "-")]
        if value and not (name == "broad" and "allow" in value):
            words.append(shlex.quote(value.strip("'\"")))
        return " ".join(words)

    return printable(_KEYWORD.sub(option, message).replace("dicomove.find", "dicomove find"))


def write(table: pd.DataFrame, chosen: Namespace, *, feeds: bool = False) -> bool:
    """Write a table to the output that the arguments name; return false if they name none."""
    if chosen.output not in (None, "-"):
        write_file(table, chosen, is_json=chosen.json)
    elif chosen.json or chosen.output == "-" or (feeds and _is_redirected(sys.stdout)):
        _write_stdout(table, is_json=chosen.json)
    else:
        return False
    return True


def write_file(table: pd.DataFrame, chosen: Namespace, *, is_json: bool = False) -> None:
    """Write a table to the output file; if that fails, write it to standard output, because a run may take a night."""
    try:
        _put(table, chosen.output, is_json=is_json)
    except OSError as error:
        why = error.strerror or str(error)
        print(f"dicomove: --output {chosen.output}: {why}; the table follows on standard output", file=sys.stderr)
        chosen.output, chosen.unwritten = "-", True
        _write_stdout(table, is_json=is_json)


def _write_stdout(table: pd.DataFrame, *, is_json: bool) -> None:
    _keep_characters()
    _put(table, sys.stdout, is_json=is_json)


def print_whole(text: str) -> None:
    """Print the content of a file, for a pipe or a file."""
    _keep_characters()
    print(text, end="")


def _keep_characters() -> None:
    if lacks_characters(sys.stdout):
        sys.stdout.reconfigure(encoding="utf-8")  # a cell must not change with the locale


def _put(table: pd.DataFrame, target: str | TextIO, *, is_json: bool) -> None:
    if is_json:
        names: list[str] = []
        for name in table.columns:
            names.append(free_name(str(name), names))
        # An object of JSON has each name once, but a table may have a column twice.
        table.set_axis(names, axis=1).to_json(target, orient="records", lines=True, date_format="iso")
        return
    # Python's csv module puts no quotes around a carriage return, and a reader would begin a row there.
    table.to_csv(target, index=False, quoting=csv.QUOTE_ALL if _has_returns(table) else csv.QUOTE_MINIMAL)


def _has_returns(table: pd.DataFrame) -> bool:
    texts = (table.iloc[:, place] for place, dtype in enumerate(table.dtypes) if dtype.kind == "O")
    headers = any("\r" in str(name) for name in table.columns)
    return headers or any(text.astype(str).str.contains("\r", regex=False).any() for text in texts)


def lacks_characters(stream: TextIO) -> TypeGuard[io.TextIOWrapper]:
    """Tell whether this stream cannot print every character, because of the locale."""
    return isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8"


def _is_redirected(stream: TextIO) -> bool:
    """Whether this stream goes to another program or to a file."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
    except (OSError, ValueError):
        return False


def _exit_code(table: pd.DataFrame) -> int:
    """Return `COMPLETE` if every row is complete or matched, `NOTHING` if nothing could be done, else `SOME_NOT`."""
    outcomes = set(table["outcome"])
    if outcomes <= GOOD:
        return COMPLETE
    return NOTHING if outcomes <= _NOTHING_DONE else SOME_NOT


def show(table: pd.DataFrame) -> None:
    """Print the most important columns."""
    empty = [name for name in _ONLY_OF_A_RECEIVER if name in table.columns and table[name].isna().all()]
    brief(table, [name for name in _BRIEF if name not in empty])


def brief(table: pd.DataFrame, names: Sequence[str]) -> None:
    """Print some columns, if the table has them."""
    shown = table[[name for name in names if name in table.columns]].copy()
    if "duration_s" in shown:
        shown["duration_s"] = shown["duration_s"].round(3)
    shown = shown.astype(object).where(shown.notna(), "")
    short = dict.fromkeys(("StudyInstanceUID", "path", "name", "arranged"), _shortened)
    if not table.empty:
        print(printable(shown.to_string(formatters=short)))


def summary(table: pd.DataFrame) -> str:
    """Return the number of rows of each outcome."""
    counts = ", ".join(f"{count} {word}" for word, count in table["outcome"].value_counts().items())
    resumed = int(table["resumed"].sum()) if "resumed" in table.columns else 0
    if resumed:
        counts = counts.replace(" complete", f" complete ({resumed} of them from an earlier run)", 1)
    return f"Rows: {counts or 'none'}."


def advice(table: pd.DataFrame) -> str:
    """Return each advice once, with its number of rows."""
    advised = table[table["advice"].notna()]
    counted = Counter(zip(advised["outcome"], advised["advice"], strict=True)).most_common()
    lines = [f"  {count} {outcome}: {advice}" for (outcome, advice), count in counted[:_MOST_ADVICES]]
    left = sum(count for _, count in counted[_MOST_ADVICES:])
    return "\n".join([*lines, f"  {left} more: see the column advice"] if left else lines)


def _shortened(text: object) -> str:
    """Return a UID, or a path with UIDs, of which only the ends are left."""
    return _LONG_UID.sub(r"…\1", str(text))
