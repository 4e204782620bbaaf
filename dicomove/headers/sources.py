"""The files to index: of a folder, a manifest or results; and the rows of the results that asked for each file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pandas as pd

from dicomove.cohort import keyword_columns
from dicomove.files import SERVICE_FOLDER, user_path
from dicomove.store import is_indexed, read_instances, read_journal

Found = Mapping[str, tuple[int, int]]
"""Size and time of change of files, by their paths below a folder."""

Source = str | os.PathLike[str] | pd.DataFrame

#: The first bytes of a journal.
_SQLITE: Final = b"SQLite format 3"
#: Files that dicomove or the writer of a medium puts beside images.
_NOT_IMAGES: Final = frozenset({"DICOMDIR", "manifest-sha256.txt", SERVICE_FOLDER})

#: Size and time of change of a file that is absent or cannot be opened.
_NOTHING: Final = (0, 0)
_LEVELS: Final = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True, slots=True)
class _Asked:
    """The rows that asked, by the deepest key of each.

    Attributes
    ----------
    rows
        By keyword and value: the positions of the rows.
    """

    rows: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def of(self, uids: Mapping[str, str | None]) -> list[int]:
        """Return the rows that asked for an instance."""
        known = [(name, uid) for name in _LEVELS if (uid := uids.get(name))]
        return sorted({place for key in known for place in self.rows.get(key, ())})


@dataclass(frozen=True, slots=True)
class Wanted:
    """The files to index.

    Attributes
    ----------
    root
        The folder that stores the headers.
    files
        The files.
    results
        The result table; ``None`` if all files are wanted.
    asked
        Its rows.
    """

    root: Path
    files: Found
    results: pd.DataFrame | None = None
    asked: _Asked = field(default_factory=_Asked)


def wanted(source: Source, folder: str | os.PathLike[str] | None) -> Wanted:
    """Return the files to index.

    Raises
    ------
    ValueError
        The folder of the files is unknown or does not exist; or a table is neither a manifest nor a result table.
    """
    if not isinstance(source, pd.DataFrame):
        path = user_path(source)
        if path.is_file():
            return wanted(results_in(path), folder)
        return _of_folder(_existing(path))
    if is_manifest(source):
        root = _existing(_folder_of(source, folder))
        accepted = source[source["quarantine"].isna()] if "quarantine" in source.columns else source
        return Wanted(root, _listed(root, accepted["path"].astype(str).tolist()))
    found = _of_folder(_existing(_folder_of(source, folder)))
    return Wanted(found.root, found.files, source, _asked(source))


def results_in(path: Path) -> pd.DataFrame:
    """Return the results of a journal.

    Raises
    ------
    ValueError
        The file is not a journal.
    """
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            message = f"{path} is neither a folder nor a journal: give the folder of the images"
            raise ValueError(message)
    return read_journal(path)


def is_manifest(table: pd.DataFrame) -> bool:
    """Whether a table is a manifest, and not a result table."""
    return {"path", "bytes", "sha256"} <= set(table.columns)


def recorded_uids(root: Path) -> dict[str, tuple[str, str, str]]:
    """Return the UIDs of files according to the record of a folder; empty without a record."""
    if not is_indexed(root):
        return {}
    return {one.path: (one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID) for one in read_instances(root)}


def _root_of(folder: Path) -> Path:
    """Return the folder that stores the headers: for a folder inside that of a receiver, the receiver's."""
    return next((parent for parent in (folder, *folder.parents) if is_indexed(parent)), folder)


def _files_below(root: Path, folder: Path) -> Found:
    """Return the files of a folder, without dicomove's own."""
    return dict(sorted(_walk(str(folder), len(str(root)) + (not str(root).endswith(os.sep)))))


def _walk(folder: str, skip: int) -> Iterator[tuple[str, tuple[int, int]]]:
    folders = [folder]
    while folders:
        place = folders.pop()
        try:
            with os.scandir(place) as entries:
                listed = list(entries)
        except FileNotFoundError:
            continue  # another program removed it meanwhile
        except OSError:
            if place == folder:
                raise
            # No permission, or a name that is too long: the file gets a row with an error.
            yield place[skip:].replace(os.sep, "/"), _NOTHING
            continue
        for entry in listed:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != SERVICE_FOLDER:
                    folders.append(entry.path)
            elif entry.name not in _NOT_IMAGES and not entry.name.endswith(".part"):
                # A broken link counts as a missing file.
                found = _state(entry) or (_NOTHING if entry.is_symlink() and not Path(entry.path).exists() else None)
                if found is not None:
                    yield entry.path[skip:].replace(os.sep, "/"), found


def _state(entry: os.DirEntry[str] | Path) -> tuple[int, int] | None:
    try:
        found = entry.stat()
    except OSError:
        return None
    # Reading a pipe would never end; a link to a folder could form a loop.
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def _listed(root: Path, paths: Sequence[str]) -> Found:
    """Return the files that a manifest lists; missing files have the size 0."""
    return {path: _state(root / path) or _NOTHING for path in paths}


def _of_folder(folder: Path) -> Wanted:
    root = _root_of(folder)
    return Wanted(root, _files_below(root, folder))


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        message = f"there is no folder {folder}"
        raise ValueError(message)
    return folder.absolute()


def _folder_of(table: pd.DataFrame, folder: str | os.PathLike[str] | None) -> Path:
    run = table.attrs.get("run")
    places = (folder, table.attrs.get("folder"), run.get("folder") if isinstance(run, Mapping) else None)
    found = next((place for place in places if place is not None), None)
    if found is None:
        message = "the table does not tell where its files are: give folder=..."
        raise ValueError(message)
    return user_path(str(found) if not isinstance(found, os.PathLike) else found)


def _asked(results: pd.DataFrame) -> _Asked:
    places = keyword_columns(results.columns, _LEVELS)
    if not places:
        message = "the table has neither the columns of a manifest, nor the UIDs of a result table: give the folder"
        raise ValueError(message)
    asked: dict[tuple[str, str], list[int]] = {}
    columns = {name: results.iloc[:, place].tolist() for name, place in places.items()}
    for row in range(len(results)):
        cells = {
            name: str(values[row]).strip("\0 ") for name, values in columns.items() if isinstance(values[row], str)
        }
        # A blank cell asks for nothing, and must not match files without a UID.
        name = next((name for name in _LEVELS if cells.get(name)), None)
        if name is not None:
            asked.setdefault((name, cells[name]), []).append(row)
    return _Asked(asked)
