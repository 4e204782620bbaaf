"""Runs dcm2niix: one process for each series, in a folder of its own."""

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
"""The first part of the files' names, until they get the caller's names."""

_HEADER: Final = 348
#: The number of axes of an image without slices.
_PLANAR: Final = 2
_OPTIONS: Final = (
    *("-g", "i"),  # ignore the user's defaults, so that a call gives the same files on each machine
    *("-d", "0"),
    *("-b", "y", "-ba", "y"),  # a sidecar, without patients and dates
    *("-c", ""),  # no comment from the header, which may name the patient
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
    """The processes of dcm2niix of one call, which `end` kills together.

    Parameters
    ----------
    path
        The program.
    timeout
        The seconds that each may take; ``None`` for no limit.
    """

    def __init__(self, path: str, timeout: float | None) -> None:
        self._path = path
        self._timeout = timeout
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._ended = False

    def run(self, source: Path, target: Path, suffix: Suffix) -> Answer:
        """Convert the files in a folder, and return the answer of the program.

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
                start_new_session=True,  # the stop button interrupts the caller only, which then ends this process
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
    """Return the lines without the names of temporary folders."""
    names = sorted((f"{folder}" for folder in folders), key=len, reverse=True)
    for name in names:
        lines = [line.replace(f"{name}{os.sep}", "").replace(name, "the folder") for line in lines]
    return tuple(lines)


def _images(folder: Path) -> dict[str, Voxels]:
    """Return the voxels of each image in a folder."""
    return {path.name: voxels_of(path) for path in sorted(folder.iterdir()) if path.name.endswith((".nii", ".nii.gz"))}


def voxels_of(path: Path) -> Voxels:
    """Return the voxels of all volumes, from the header of a NIfTI file; none if it cannot be read."""
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
