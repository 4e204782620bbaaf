"""`arrange`: gives the images of a folder names of the caller's own, in another folder."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from dicomove import columns
from dicomove.files import replacing, user_path
from dicomove.headers.indexing import index
from dicomove.headers.names import (
    MOST_NAMED,
    Cells,
    Template,
    field_values,
    own_cells,
    own_columns,
    refuse_cells,
    template,
)

How = Literal["link", "copy"]

_INSIDE: Final = "the target is inside the folder: give another one, so that the folder's record stays true"


def arrange(
    folder: str | os.PathLike[str],
    target: str | os.PathLike[str],
    path: str,
    *,
    how: How = "link",
    cohort: pd.DataFrame | None = None,
    processes: int | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Give the images of a folder names of your own, in another folder. The first folder does not change.

    Parameters
    ----------
    folder
        The folder of a `Receiver`, or any other.
    target
        Where the names are made; not inside `folder`.
    path
        The names below `target`: ``"sub-{subject}/{SeriesNumber}_{SeriesDescription}/{InstanceNumber}.dcm"``. The
        braces contain columns of `cohort`, and DICOM keywords or tags. Characters that a file system may refuse
        become ``_``, and an absent attribute becomes ``none``.
    how
        ``"link"``: hard links, which take no room. They are the same files, so do not edit them. ``"copy"``: copies.
    cohort
        A table that `retrieve` or `move` returned, with the cohort's columns: only images of its rows are arranged.
    processes, progress
        As for `index`.

    Returns
    -------
    pandas.DataFrame
        One row per name: ``path`` in the folder, ``arranged`` below `target`, ``SOPInstanceUID``, ``outcome``:
        ``"made"``, or ``"kept"`` if the same file was there already. An instance that two rows asked for under
        different names gets both names. Of several copies of a file, the first counts.

    Raises
    ------
    ValueError
        The path is invalid; a cell of the cohort is blank, has no character for a file name, or becomes the same name
        as another cell; two instances would share a name, or another file has it; files cannot be read. Nothing was
        made.
    OSError
        A link or a copy cannot be made.
    """
    if how not in ("link", "copy"):
        message = f"how={how!r}: give 'link' or 'copy'"
        raise ValueError(message)
    if isinstance(folder, pd.DataFrame):
        message = "folder: give the folder with the images first; a table of move() is cohort="
        raise ValueError(message)  # noqa: TRY004 (as for the other arguments)
    source, goal = user_path(folder).resolve(), user_path(target).resolve()
    if goal.is_relative_to(source):
        raise ValueError(_INSIDE)
    own = [] if cohort is None else own_columns(cohort)
    made = template(path, own)
    # The rows by position, because labels may be repeated.
    asked = folder if cohort is None else cohort.assign(cohort_row=range(len(cohort)))
    found = index(
        asked,
        keys=made.keys,
        level="INSTANCE",
        folder=folder if cohort is not None else None,
        processes=processes,
        progress=progress,
    )
    root = Path(found.attrs["folder"])
    if goal.is_relative_to(root.resolve()):
        raise ValueError(_INSIDE)
    table = _named(_readable(found), made, cohort)
    return table.assign(outcome=columns.text(_made(table, root, goal, how)))


def _made(table: pd.DataFrame, root: Path, goal: Path, how: How) -> list[str]:
    """Make the names, after checking all of them; return the outcome of each."""
    copies = _copies(table, root)
    _refuse_shared(table.drop(index=list(copies)))
    pairs = _pairs(table)
    there = ["kept" if row in copies else _state(root / old, goal / new, goal) for row, (old, new) in enumerate(pairs)]
    _refuse_taken(table, there)
    for (old, new), state in zip(pairs, there, strict=True):
        if state == "made":
            _make(root / old, goal / new, how)
    return there


def _named(found: pd.DataFrame, made: Template, cohort: pd.DataFrame | None) -> pd.DataFrame:
    """Return the images with their names, each pair once."""
    cells: Cells = [] if cohort is None else own_cells(cohort, made)
    if cohort is not None:
        refuse_cells(made, cells, sorted(set(found["cohort_row"].tolist())), made.columns)
    names = [made.path(field_values(row, cells)) for row in found.to_dict("records")]
    return pd.DataFrame(
        {"path": found["path"], "arranged": columns.text(names), "SOPInstanceUID": found["SOPInstanceUID"]}
    ).drop_duplicates(ignore_index=True)


def _pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["path"].tolist(), table["arranged"].tolist(), strict=True))


def _readable(found: pd.DataFrame) -> pd.DataFrame:
    """Return the images, without files of other kinds."""
    root = Path(found.attrs["folder"])
    # `index` shows a name that is not text with "?".
    if odd := [path for path in found["path"] if "?" in path and not os.path.lexists(root / path)]:
        message = f"{len(odd)} names are not text, for example {odd[0]}: nothing was made; rename these files first"
        raise ValueError(message)
    broken = found.loc[found["error"].notna() & (found["error"] != "not_dicom"), "path"].tolist()
    if broken:
        first = ", ".join(broken[:MOST_NAMED])
        message = f"{len(broken)} files cannot be read, for example {first}: nothing was made; remove them first"
        raise ValueError(message)
    return found[found["error"].isna()].reset_index(drop=True)


def _copies(table: pd.DataFrame, root: Path) -> set[int]:
    """Return the rows whose file is the same as that of an earlier row with their name."""
    first: dict[tuple[str, str], str] = {}
    rows = zip(_pairs(table), table["SOPInstanceUID"].tolist(), strict=True)
    return {
        row
        for row, ((old, new), uid) in enumerate(rows)
        if (before := first.setdefault((new, uid), old)) != old and _same(root / before, root / old)
    }


def _refuse_shared(table: pd.DataFrame) -> None:
    # Some file systems do not tell "a" from "A".
    shared = table[table["arranged"].str.casefold().duplicated(keep=False)]
    if len(shared):
        alike = shared.duplicated(["arranged", "SOPInstanceUID"], keep=False)
        remedy = "add {SOPInstanceUID}, {SeriesInstanceUID} or {InstanceNumber} to the path"
        if alike.any():
            shared, remedy = shared[alike], "they have one SOPInstanceUID and other content: remove all but one of them"
        first = shared.sort_values("arranged").head(2 * MOST_NAMED)["path"].tolist()
        message = (
            f"{len(shared)} instances would share their name with another one, for example {', '.join(first)}: "
            f"nothing was made; {remedy}"
        )
        raise ValueError(message)


def _refuse_taken(table: pd.DataFrame, there: Sequence[str]) -> None:
    taken = [old for (old, _), state in zip(_pairs(table), there, strict=True) if state == "taken"]
    if taken:
        message = (
            f"other files have the names of {len(taken)} instances, for example of {', '.join(taken[:MOST_NAMED])}: "
            "nothing was made; give an empty target"
        )
        raise ValueError(message)


def _state(old: Path, new: Path, goal: Path) -> str:
    if not _nearest(new.parent).is_dir():
        return "taken"  # a file is where a folder has to be
    if not new.parent.resolve().is_relative_to(goal):
        return "taken"  # a link inside the target leads to another folder
    if not os.path.lexists(new):
        return "made"
    return "kept" if new.is_file() and (new.samefile(old) or _same(old, new)) else "taken"


def _nearest(folder: Path) -> Path:
    """Return the folder, or else the nearest one above it that exists."""
    return next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)


def _same(old: Path, new: Path) -> bool:
    return old.stat().st_size == new.stat().st_size and old.read_bytes() == new.read_bytes()


def _make(old: Path, new: Path, how: How) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    if how == "link":
        try:
            new.hardlink_to(old)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            message = f"{new.parent} is on another disk, where links cannot lead: give how='copy'"
            raise OSError(errno.EXDEV, message) from None
        return
    with replacing(new) as part:
        shutil.copyfile(old, part)
