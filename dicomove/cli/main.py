"""Runs one command, and returns the exit code."""

from __future__ import annotations

import difflib
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from dicomove.cli.arguments import take_words
from dicomove.cli.output import check_output, in_shell
from dicomove.cli.parser import parser
from dicomove.errors import (
    AssociationError,
    DicomoveError,
    DicomoveWarning,
    JournalError,
    ReceiverError,
    StatusError,
)

#: The exit codes; `main` describes them.
COMPLETE: Final = 0
SOME_NOT: Final = 1
USAGE: Final = 2
NOTHING: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    The exit code is 0 if every row is complete (`find`: matched; `verify`: every file is unchanged), 1 if some are not,
    2 if the command is wrong, and 3 if nothing could be done: the PACS or the receiver cannot be reached, or a folder
    has no images. It is also 1 if the next program of a pipe did not read the whole table.
    """
    known = parser()
    chosen, more = known.parse_known_args(arguments)
    if any(word.startswith("-") and word != "-" for word in more):
        chosen.parser.error(f"unrecognized arguments: {' '.join(more)}{_suggestion(chosen, more)}")
    try:
        take_words(chosen, more)
        check_output(chosen)
        with _plain_warnings(chosen):
            return _run(chosen)
    except BrokenPipeError:
        _discard_output()
        return SOME_NOT
    except (AssociationError, StatusError, ReceiverError, JournalError) as error:
        print(f"dicomove: {in_shell(str(error), chosen)}", file=sys.stderr)
        return NOTHING
    except (DicomoveError, OSError, LookupError, ValueError, ImportError) as error:
        print(f"dicomove: {in_shell(_message(error), chosen)}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("dicomove: stopped", file=sys.stderr)
        return SOME_NOT


def _message(error: Exception) -> str:
    """Return the message of an error; for an error of the operating system, with its file and without its number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _suggestion(chosen: Namespace, words: Sequence[str]) -> str:
    """Return the known option that is most like the first unknown one."""
    wrong = next(word for word in words if word.startswith("-") and word != "-").partition("=")[0]
    options = [f"--{name.replace('_', '-')}" for name in vars(chosen)]
    near = difflib.get_close_matches(wrong, options, n=1, cutoff=0.7)
    return f"; do you mean {near[0]}?" if near else ""


def _run(chosen: Namespace) -> int:
    code = int(chosen.run(chosen))
    sys.stdout.flush()
    return code


@contextmanager
def _plain_warnings(chosen: Namespace) -> Iterator[None]:
    """Print only the text of our own warnings: a line of Python code does not help a user of the shell."""
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> str:
        if issubclass(category, DicomoveWarning):
            return f"dicomove: {in_shell(str(message), chosen)}\n"
        return usual(message, category, *place, **more)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _discard_output() -> None:
    """Discard the rest of standard output: otherwise Python complains about the broken pipe when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
