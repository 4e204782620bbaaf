"""Rows that an earlier run with the same journal completed, if their files are still on disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from dicomove.cohort import Identifier
from dicomove.files import file_sha256
from dicomove.frozen import changed, in_bulk
from dicomove.results import Row, resumed
from dicomove.run.inventory import Verify
from dicomove.run.patients import Named
from dicomove.run.requests import RunSettings, Task
from dicomove.run.row_cells import RowCells
from dicomove.run.rows import RowResults
from dicomove.store import Journal, Key, Stored, cohort_sha256


@in_bulk()
def completed(journal: Journal, keys: Collection[Key]) -> dict[Key, tuple[Row, datetime]]:
    """Return the rows that an earlier run completed, and when."""
    found = journal.earlier(keys).items()
    return {key: (earlier.row, earlier.at) for key, earlier in found if earlier.row.outcome == "complete"}


def still_on_disk(journal: Journal, keys: Collection[Key], settings: RunSettings) -> dict[Key, Row]:
    """Return the rows that an earlier run completed, if what it stored is still on disk.

    Parameters
    ----------
    journal
        The journal.
    keys
        The keys of this run's tasks.
    settings
        With receivers, the files on disk are checked: their sizes, and with ``verify="hash"`` their bytes.
    """
    earlier = completed(journal, keys)
    if not settings.receivers:
        with in_bulk():
            return {key: resumed(*found) for key, found in earlier.items()}
    stored = journal.instances(list(earlier))
    folders = [receiver.folder for receiver in settings.receivers]
    there = _there(stored, folders, settings.verify)
    return {
        key: resumed(*found) for key, found in earlier.items() if key in there and len(stored[key]) == found[0].received
    }


def renamed(
    journal: Journal, table: pd.DataFrame, names: Mapping[Key, tuple[Identifier, Collection[str], Named]]
) -> set[Key]:
    """Return the keys whose rows name other patients or accession numbers now than in the run that completed them.

    The PACS was never asked whether the new ones belong to the study.

    Parameters
    ----------
    journal
        The journal.
    table
        The caller's table.
    names
        For each key its identifier, and the patients and further keys of its rows, as in `RowCells`.
    """
    others = {key for key, (_, patients, named) in names.items() if patients or named}
    if others:
        others -= journal.of_cohort(others, cohort_sha256(table))  # mostly no row has changed
    for before, keys in journal.tables(others) if others else ():
        cells, rows = RowCells(before), _positions(keys)
        for key, positions in rows.items():
            identifier, patients, named = names[key]
            then = set(cells.patients(identifier, positions)), set(cells.named(identifier, positions))
            if then == (set(patients), set(named)):
                others.discard(key)
    return others


def _positions(keys: Sequence[Key]) -> dict[Key, list[int]]:
    positions: dict[Key, list[int]] = {}
    for position, key in enumerate(keys):
        positions.setdefault(key, []).append(position)
    return positions


def _there(stored: Mapping[Key, Sequence[Stored]], folders: Sequence[Path], verify: Verify) -> set[Key]:
    def is_there(key: Key) -> bool:
        return all(any(_is(folder, file, verify) for folder in folders) for file in stored[key])

    keys = [key for key, files in stored.items() if files]
    with ThreadPoolExecutor() as pool:
        return {key for key, found in zip(keys, pool.map(is_there, keys), strict=True) if found}


def _is(folder: Path, file: Stored, verify: Verify) -> bool:
    path, size, sha256 = file
    try:
        if (folder / path).stat().st_size != size:
            return False
        return verify != "hash" or file_sha256(folder / path) == sha256
    except OSError:
        return False


def not_completed(
    journal: Journal, table: pd.DataFrame, tasks: Sequence[Task], settings: RunSettings, results: RowResults
) -> list[Task]:
    """Return the tasks that no earlier run completed; the other rows get their result."""
    keys = [task.key for task in tasks]
    if settings.archive:  # the archive is asked about each row when its turn comes
        earlier = completed(journal, keys)
        return [replace(task, earlier=earlier.get(task.key)) for task in tasks]
    done = still_on_disk(journal, keys, settings)
    asked_anew = [task for task in tasks if task.key in done and task.asks_patient]
    anew = renamed(journal, table, {task.key: (task.identifier, task.patients, task.named) for task in asked_anew})
    for task in tasks:
        if task.key in done and task.key not in anew:
            results.set_row(task, done[task.key])
    left = [task for task in tasks if task.key not in done or task.key in anew]
    begun = journal.known([task.key for task in left])
    earlier = {} if settings.receivers else completed(journal, anew)
    return [
        changed(task, look_first=task.look_first or task.key in begun, earlier=earlier.get(task.key)) for task in left
    ]
