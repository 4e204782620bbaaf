"""The script of a user that `tests.test_durable` watches: it notes when the result of a row is shown."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dicomove.events import Event, RowFinished
from dicomove.testing import Synthetic
from tests import receiving

SOURCE = Synthetic(studies=3, series=2, instances=4, size=2000)


def main(folder: str, shown: str) -> None:
    """Move three studies, one after the other."""
    table = receiving.studies(SOURCE, 3)
    note = os.open(shown, os.O_CREAT | os.O_WRONLY)

    def show(event: Event) -> None:
        if isinstance(event, RowFinished):
            os.write(note, table["StudyInstanceUID"][event.position].encode())

    with receiving.receiver(Path(folder)) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        results = receiving.move(table, pacs, receiver, journal=None, progress=show)
    if set(results["outcome"]) != {"complete"}:
        sys.exit(results.to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
