"""Prints the table of a command: for a person, for a file, or for the next program of a pipe."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import pandas as pd

from dicomove.words import GOOD

_BRIEF: Final = [
    *("cohort_row", "AccessionNumber", "StudyInstanceUID", "ModalitiesInStudy", "studies", "studies_complete"),
    *("outcome", "action", "status", "error", "total", "completed", "failed", "expected", "received", "on_disk"),
    *("missing", "bytes", "duration_s"),
]
_ONLY_OF_A_RECEIVER: Final = ("received", "missing", "on_disk")
_MOST_ADVICES: Final = 10
#: A keyword of a function, with its value if it has one.
_KEYWORD: Final = re.compile(
    r"""\b(?P<name>[a-z_]+)\b(?P<equals>=)?(?(equals)(?P<value>"[^"]*"|'[^']*'|-?[0-9.]*[0-9]|\.{3})?)"""
)
#: The outcomes of rows for which dicomove could do nothing.
_NOTHING_DONE: Final = {"unreachable", "not_attempted"}


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
    return exit_code(table)


def check_output(chosen: Namespace) -> None:
    """Refuse an output file that cannot be written, before the command begins.

    Raises
    ------
    OSError
        The output is a folder, or its folder does not exist or cannot be written.
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
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        message = f"--output {path}: it cannot be written"
        raise PermissionError(message)


def in_shell(message: str, chosen: Namespace) -> str:
    """Return a message with keywords of Python replaced by the options of a command.

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

    return _KEYWORD.sub(option, message).replace("dicomove.find", "dicomove find")


def write(table: pd.DataFrame, chosen: Namespace, *, feeds: bool = False) -> bool:
    """Write a table to the output that the arguments name; return false if they name none."""
    if chosen.json:
        written = table.to_json(orient="records", lines=True, date_format="iso")
        if chosen.output in (None, "-"):
            print(written, end="")
        else:
            Path(chosen.output).write_text(written, encoding="utf-8")
    elif chosen.output == "-" or (feeds and not chosen.output and is_redirected(sys.stdout)):
        table.to_csv(sys.stdout, index=False)
    elif chosen.output:
        table.to_csv(chosen.output, index=False)
    else:
        return False
    return True


def is_redirected(stream: TextIO) -> bool:
    """Whether this stream goes to another program or to a file."""
    try:
        mode = os.fstat(stream.fileno()).st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)
    except (OSError, ValueError):
        return False


def exit_code(table: pd.DataFrame) -> int:
    """Return 0 if every row is complete or matched, 3 if nothing could be done, and otherwise 1."""
    outcomes = set(table["outcome"])
    if outcomes <= GOOD:
        return 0
    return 3 if outcomes <= _NOTHING_DONE else 1


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
    print(shown.to_string(formatters={"StudyInstanceUID": _shortened}))


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


def _shortened(uid: object) -> str:
    return str(uid) if len(str(uid)) < 14 else f"…{str(uid)[-12:]}"
