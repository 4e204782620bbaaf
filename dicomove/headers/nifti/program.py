"""Runs dcm2niix, which makes NIfTI of a series. One process for each series, in a folder that only it writes to."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path
from threading import Lock
from typing import Final, Literal

from dicomove.headers.nifti.place import box_of_header
from dicomove.headers.nifti.verdict import Answer, Voxels

Suffix = Literal[".nii", ".nii.gz"]

STEM: Final = "image"
"""What the files' names begin with, until they get the caller's."""

_HEADER: Final = 348
#: So many axes has an image without slices.
_PLANAR: Final = 2
_OPTIONS: Final = (
    *("-g", "i"),  # not the user's own defaults: the same call gives the same files on each machine
    *("-d", "0"),
    *("-b", "y", "-ba", "y"),  # a sidecar, without patients and dates
    *("-c", ""),  # no comment of the header, which may name the patient
    *("-w", "2"),
    *("-f", STEM),
)


def program() -> str:
    """Return the path of dcm2niix: that of the package, or else that of the system.

    Raises
    ------
    ImportError
        There is none.
    """
    with suppress(ImportError):
        from dcm2niix import bin_path

        for path in (bin_path, bin_path.with_suffix(".exe")):
            if path.is_file():
                return str(path)
    found = shutil.which("dcm2niix")
    if found is None:
        message = 'NIfTI needs one more package: pip install "dicomove[nifti]"'
        raise ImportError(message)
    return found


class Programs:
    """The runs of dcm2niix, which one call can end.

    Parameters
    ----------
    path
        The program.
    timeout
        How many seconds each may take; ``None`` for no limit.
    """

    def __init__(self, path: str, timeout: float | None) -> None:
        self._path = path
        self._timeout = timeout
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._ended = False

    def run(self, source: Path, target: Path, suffix: Suffix) -> Answer:
        """Convert the files in a folder, and return what the program answered.

        Raises
        ------
        OSError
            The program cannot be started.
        InterruptedError
            `end` was called.
        """
        command = [self._path, *_OPTIONS, "-z", "i" if suffix == ".nii.gz" else "n", "-o", str(target), str(source)]
        process = self._start(command)
        try:
            lines, code = self._wait(process)
        finally:
            with self._lock:
                self._running.discard(process)
        if self._ended:
            raise InterruptedError
        return Answer(code, _without_paths(lines, (source, target)), _images(target))

    def end(self) -> None:
        """End all of them, and start no more."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        with self._lock:
            if self._ended:
                raise InterruptedError
            process = subprocess.Popen(  # noqa: S603 (a program that the user installed)
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # the stop button ends the caller's wait, which ends this process
            )
            self._running.add(process)
        return process

    def _wait(self, process: subprocess.Popen[str]) -> tuple[list[str], int | None]:
        with process:
            try:
                text, _ = process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                text, _ = process.communicate()
                return text.splitlines(), None
        return text.splitlines(), process.returncode


def _without_paths(lines: Sequence[str], folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the lines without the names of folders that are gone when they are read."""
    names = sorted((f"{folder}" for folder in folders), key=len, reverse=True)
    for name in names:
        lines = [line.replace(f"{name}{os.sep}", "").replace(name, "the folder") for line in lines]
    return tuple(lines)


def _images(folder: Path) -> dict[str, Voxels]:
    """Return the voxels of each image in a folder."""
    return {path.name: voxels_of(path) for path in sorted(folder.iterdir()) if path.name.endswith((".nii", ".nii.gz"))}


def voxels_of(path: Path) -> Voxels:
    """Return the voxels that a NIfTI file says that it has, of all volumes; none if it cannot be read."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            header = file.read(_HEADER)
    except (OSError, EOFError):
        return Voxels(0)
    if len(header) < _HEADER:
        return Voxels(0)
    order = "<" if header[:4] == struct.pack("<i", _HEADER) else ">"
    count, *lengths = struct.unpack_from(f"{order}8h", header, 40)
    number = prod(max(1, length) for length in lengths[: max(0, count)])
    if count <= _PLANAR:
        return Voxels(number)
    sizes = struct.unpack_from(f"{order}3f", header, 80)
    return Voxels(number, sizes, box_of_header(header, order, lengths[:3]))
