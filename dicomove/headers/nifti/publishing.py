"""Gives the files of a conversion their names: whole files only, and never in the place of another file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from dicomove.files import synchronise_file, synchronise_folder
from dicomove.headers.nifti.program import STEM
from dicomove.headers.nifti.record import Done, Record, state_of

#: What a series has at least, or had with the other suffix.
_USUAL: Final = (".nii.gz", ".nii", ".json")


class NameTakenError(Exception):
    """Another file has a name that a conversion needs."""


def is_taken(out: Path, name: str, record: Record, series: str) -> bool:
    """Whether other files have the names that a series would get."""
    return any(_is_other(out, f"{name}{suffix}", name, record, series) for suffix in _USUAL)


def publish(made: Path, out: Path, record: Record, done: Done) -> Done:
    """Give the files in a folder their names below `out`, and record them.

    Parameters
    ----------
    made
        The folder with the files.
    out
        The folder of the caller.
    record
        Its record.
    done
        The conversion, without its files.

    Raises
    ------
    NameTakenError
        Another file has one of the names. Nothing was changed.
    OSError
        The disk refuses it.
    """
    names = {path: _named(path.name, done.name) for path in sorted(made.iterdir(), key=_order)}
    if any(_is_other(out, name, done.name, record, done.series) for name in names.values()):
        raise NameTakenError
    for path in names:
        synchronise_file(path)
    before = record.of(done.name)
    states = {name: state_of(path) or (0, 0) for path, name in names.items()}
    paths = () if before is None else (*before.files, *before.earlier)
    earlier = {path: state_of(out / path) or (0, 0) for path in paths if before and before.owns(out, path)}
    done = replace(done, files=states, earlier=earlier)
    # Before the names: what a killed call leaves is known to be ours.
    record.add(done)
    _move(names.items(), out)
    for old in set(earlier) - set(states):
        (out / old).unlink(missing_ok=True)
    return done


def _move(names: Iterable[tuple[Path, str]], out: Path) -> None:
    for path, name in names:
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        synchronise_folder(target.parent)


def _named(file: str, name: str) -> str:
    return f"{name}{file.removeprefix(STEM)}"


def _order(path: Path) -> tuple[bool, str]:
    # The image comes last: where it is, its sidecar is there, too.
    return ".nii" in path.name, path.name


def _is_other(out: Path, path: str, name: str, record: Record, series: str) -> bool:
    if not (out / path).parent.resolve().is_relative_to(out):
        return True  # a link in the folder leads out of it
    if not os.path.lexists(out / path):
        return False
    known = record.of(name)
    return known is None or known.series != series or not known.owns(out, path)
