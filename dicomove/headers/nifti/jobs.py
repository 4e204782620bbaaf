"""Runs dcm2niix for several series at a time, each in a temporary folder on the disk of the results."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import Final, Literal

from filelock import FileLock, Timeout
from tqdm import tqdm

from dicomove.files import SERVICE_FOLDER, shown
from dicomove.headers.names import MOST_NAMED
from dicomove.headers.nifti.record import STEM, Done, NameTakenError, Record, is_taken, publish, source_of
from dicomove.headers.nifti.verdict import Answer, Verdict, judged
from dicomove.headers.nifti.voxels import Voxels, voxels_of
from dicomove.store import StoredHeader

Suffix = Literal[".nii", ".nii.gz"]

_OPTIONS: Final = (
    *("-g", "i"),  # ignore the user's defaults, so that a call gives the same files on each machine
    *("-d", "0"),
    *("-b", "y", "-ba", "y"),  # a sidecar, without patients and dates
    *("-c", ""),  # no comment from the header, which may name the patient
    *("-w", "2"),
    *("-f", STEM),
)

_LOOK_UP_S: Final = 0.2


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


@dataclass(frozen=True, slots=True)
class Job:
    """A series under one name.

    Attributes
    ----------
    name
        The name, below the folder for the results, without suffix.
    suffix
        The suffix of the image.
    uids
        The StudyInstanceUID and the SeriesInstanceUID.
    root
        The folder of the files.
    headers
        The files.
    expected
        The voxels of the files.
    doubt
        The known fault of dcm2niix with files of this kind.
    """

    name: str
    suffix: Suffix
    uids: tuple[str, str]
    root: Path
    headers: Sequence[StoredHeader]
    expected: Voxels
    doubt: str | None = None

    @property
    def source(self) -> str:
        """The hash of its files, to recognise them."""
        return source_of(self.headers, self.suffix)


def converted(
    jobs: Sequence[Job], out: Path, runs: Programs, count: int, *, progress: bool
) -> dict[str, tuple[Done, bool]]:
    """Convert series, several at a time. Return their verdicts by name, and whether an earlier call converted them.

    Raises
    ------
    ValueError
        Other files have their names. Nothing was converted.
    OSError
        The folder cannot be written, or another call converts into it.
    """
    with _locked(out), _scratch(out) as scratch:
        work = _Work(out, scratch, Record(out), runs)
        found = {job.name: (done, True) for job in jobs if (done := work.earlier(job))}
        rest = [job for job in jobs if job.name not in found]
        work.refuse_taken(rest)
        return found | work.all(rest, count, progress=progress)


class _Work:
    """The conversions of one call."""

    def __init__(self, out: Path, scratch: Path, record: Record, runs: Programs) -> None:
        self._out = out
        self._scratch = scratch
        self._record = record
        self._runs = runs
        self._one_at_a_time = Lock()

    def refuse_taken(self, jobs: Sequence[Job]) -> None:
        """Refuse names that other files have."""
        # Show the files and not the names, which may contain identifiers of patients.
        taken = [shown(job.headers[0].path) for job in jobs if is_taken(self._out, job.name, self._record, job.uids)]
        if taken:
            message = (
                f"other files have the names of {len(taken)} series, or the files were changed, for example of "
                f"{', '.join(taken[:MOST_NAMED])}: nothing was converted; give an empty folder, or remove them"
            )
            raise ValueError(message)

    def all(self, jobs: Sequence[Job], count: int, *, progress: bool) -> dict[str, tuple[Done, bool]]:
        """Convert series; return their verdicts, by name."""
        found: dict[str, tuple[Done, bool]] = {}
        pool = ThreadPoolExecutor(count)
        try:
            names = {pool.submit(self._one, job): job.name for job in jobs}
            bar = tqdm(total=len(jobs), desc="convert", unit="series", file=sys.stderr, disable=not progress, delay=1)
            with bar:
                for future in _ended(names):
                    found[names[future]] = (future.result(), False)
                    bar.update()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            self._runs.end()
            pool.shutdown()
        return found

    def earlier(self, job: Job) -> Done | None:
        """Return an earlier conversion of the same files that is still there."""
        done = self._record.of(job.name)
        is_same = done is not None and done.is_of(job.uids) and done.source == job.source
        return done if done is not None and is_same and done.is_there(self._out) else None

    def _one(self, job: Job) -> Done:
        """Convert one series. A failure becomes its outcome."""
        place = Path(mkdtemp(dir=self._scratch))
        study, series = job.uids
        done = Done(job.name, series, job.source, Verdict("failed"), study=study)
        try:
            verdict = self._run(job, place)
            return self._kept(place / "out", replace(done, verdict=verdict))
        except NameTakenError:
            message = "other files have its names, or those of further images of it: give another path"
            return _failed(done, "name_taken", message)
        except InterruptedError:
            raise
        except OSError as error:
            return _failed(done, "system", f"the system refuses it: {os.strerror(error.errno or 0)}")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _run(self, job: Job, place: Path) -> Verdict:
        for name in ("in", "out"):
            (place / name).mkdir()
        for number, header in enumerate(job.headers):
            _lend(job.root / header.path, place / "in" / f"{number:06d}")
        return judged(self._runs.run(place / "in", place / "out", job.suffix), job.expected, job.doubt)

    def _kept(self, made: Path, done: Done) -> Done:
        if done.verdict.outcome == "failed":
            return done
        with self._one_at_a_time:
            return publish(made, self._out, self._record, done)


def _ended(futures: Iterable[Future[Done]]) -> Iterator[Future[Done]]:
    """Yield each future at its end.

    Each wait is short, because an interrupt at its very beginning is noticed only at its end.
    """
    left = set(futures)
    while left:
        done, left = wait(left, _LOOK_UP_S, FIRST_COMPLETED)
        yield from done


def _failed(done: Done, reason: str, message: str) -> Done:
    return replace(done, verdict=Verdict("failed", reason, message=message))


def _lend(old: Path, new: Path) -> None:
    """Give dcm2niix a file: by a link, or by a copy if the system has no links."""
    try:
        new.symlink_to(old)
    except OSError:
        shutil.copyfile(old, new)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep other calls away from a folder."""
    service = out / SERVICE_FOLDER
    service.mkdir(parents=True, exist_ok=True)
    lock = FileLock(service / "converting.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        message = f"another call converts into {out}: wait until it ends, or give another folder"
        raise BlockingIOError(message) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """Yield a temporary folder on the disk of the results, after removing the one of a killed call."""
    scratch = out / SERVICE_FOLDER / "converting"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(exist_ok=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
