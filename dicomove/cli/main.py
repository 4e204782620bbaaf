"""Runs one command, and turns what happens into an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from dicomove.cli.arguments import take_words
from dicomove.cli.parser import parser
from dicomove.errors import AssociationError, DicomoveError, JournalError, ReceiverError, StatusError

#: Every row is complete (`find`: matched; `verify`: every file is unchanged); some are not; the command is wrong; or
#: nothing could be done.
COMPLETE: Final = 0
SOME_NOT: Final = 1
USAGE: Final = 2
NOTHING: Final = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    The exit code is 0 if every row is complete (`find`: matched; `verify`: every file is unchanged), 1 if some are not,
    2 if the command is wrong, and 3 if nothing could be done: the PACS or the receiver cannot be reached.
    """
    known = parser()
    chosen, more = known.parse_known_args(arguments)
    if any(word.startswith("-") and word != "-" for word in more):
        known.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        take_words(chosen, more)
        return int(chosen.run(chosen))
    except (AssociationError, StatusError, ReceiverError, JournalError) as error:
        print(f"dicomove: {error}", file=sys.stderr)
        return NOTHING
    except (DicomoveError, OSError, LookupError, ValueError, ImportError) as error:
        print(f"dicomove: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("dicomove: stopped", file=sys.stderr)
        return SOME_NOT
