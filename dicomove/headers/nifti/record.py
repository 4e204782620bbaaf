"""The record of earlier conversions into a folder, and the final names of the files.

Files get their names when they are complete, and never replace other files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from dicomove.files import SERVICE_FOLDER, synchronise_file, synchronise_folder
from dicomove.headers.nifti.verdict import Verdict
from dicomove.store import StoredHeader

STEM: Final = "image"
"""The first part of the files' names, until they get the caller's names."""

_FILE: Final = "converted.jsonl"


@dataclass(frozen=True, slots=True)
class Done:
    """One series that was converted, or in which dcm2niix found no volume.

    Attributes
    ----------
    name
        The name of its files, below the folder, without suffixes.
    series
        The SeriesInstanceUID.
    source
        The hash of its source files: see `source_of`.
    verdict
        The verdict of the conversion.
    files
        Its files below the folder, with size and time of change.
    earlier
        Files of an earlier conversion, which these replace.
    study
        The StudyInstanceUID; empty in records of earlier versions.
    """

    name: str
    series: str
    source: str
    verdict: Verdict
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    earlier: dict[str, tuple[int, int]] = field(default_factory=dict)
    study: str = ""

    def is_of(self, uids: tuple[str, str]) -> bool:
        """Whether it is a conversion of this series; two studies may have the same series UID by mistake."""
        study, series = uids
        return self.series == series and self.study in ("", study)

    def is_there(self, out: Path) -> bool:
        """Whether all files are there. Images must be unchanged; sidecars may have been edited."""
        found = {path: _state_of(out / path) for path in self.files}
        return all(
            found[path] == state or (found[path] is not None and ".nii" not in Path(path).name)
            for path, state in self.files.items()
        )

    def owns(self, out: Path, path: str) -> bool:
        """Whether a file is one of ours, and unchanged."""
        state = _state_of(out / path)
        return state is not None and state in (self.files.get(path), self.earlier.get(path))


class Record:
    """The record of a folder: one line of JSON for each conversion. The last line of a name counts."""

    def __init__(self, out: Path) -> None:
        self._path = out / SERVICE_FOLDER / _FILE
        self.done: dict[str, Done] = {}
        for line in self._path.read_bytes().splitlines() if self._path.exists() else ():
            found = _read(line)
            if found is not None:
                self.done[found.name.casefold()] = found

    def of(self, name: str) -> Done | None:
        """Return the latest conversion with this name."""
        return self.done.get(name.casefold())

    def add(self, done: Done) -> None:
        """Write a conversion, before its files get their names, so that files of a killed call are known.

        Raises
        ------
        OSError
            It cannot be written.
        """
        # The new line must not continue an unfinished line of a killed call.
        line = f"\n{json.dumps(asdict(done))}\n".encode("ascii")
        with self._path.open("ab", buffering=0) as file:
            file.write(line)
            os.fsync(file.fileno())
        self.done[done.name.casefold()] = done


def source_of(headers: Sequence[StoredHeader], suffix: str) -> str:
    """Return a hash that identifies the files of a series, in any folder."""
    files = sorted((one.uid or "", one.size, one.mtime_ns) for one in headers)
    return hashlib.sha256(json.dumps([suffix, files]).encode()).hexdigest()


def _state_of(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file; ``None`` if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _read(line: bytes) -> Done | None:
    try:
        fields = json.loads(line)
        files, earlier = (
            {str(path): (int(size), int(time)) for path, (size, time) in fields.pop(name).items()}
            for name in ("files", "earlier")
        )
        return Done(**{**fields, "verdict": Verdict(**fields["verdict"])}, files=files, earlier=earlier)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


#: The suffixes of an image.
_USUAL: Final = (".nii.gz", ".nii", ".json")


class NameTakenError(Exception):
    """Another file has a name that a conversion needs."""


def is_taken(out: Path, name: str, record: Record, uids: tuple[str, str]) -> bool:
    """Whether other files have the names that a series would get."""
    return any(_is_other(out, f"{name}{suffix}", name, record, uids) for suffix in _USUAL)


def publish(made: Path, out: Path, record: Record, done: Done) -> Done:
    """Record the files in a folder, and give them their names below `out`.

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
    if any(_is_other(out, name, done.name, record, (done.study, done.series)) for name in names.values()):
        raise NameTakenError
    for path in names:
        synchronise_file(path)
    before = record.of(done.name)
    states = {name: _state_of(path) or (0, 0) for path, name in names.items()}
    paths = () if before is None else (*before.files, *before.earlier)
    earlier = {path: _state_of(out / path) or (0, 0) for path in paths if before and before.owns(out, path)}
    done = replace(done, files=states, earlier=earlier)
    # Before the files get their names, so that files of a killed call are known as ours.
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
    # The image comes last, so that each image has its sidecar.
    return ".nii" in path.name, path.name


def _is_other(out: Path, path: str, name: str, record: Record, uids: tuple[str, str]) -> bool:
    if not (out / path).parent.resolve().is_relative_to(out):
        return True  # a link inside the folder leads to another folder
    if not os.path.lexists(out / path):
        return False
    known = record.of(name)
    return known is None or not known.is_of(uids) or not known.owns(out, path)
