"""Converts several series at a time, each in a temporary folder on the disk of the results."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import Final

from filelock import FileLock, Timeout
from tqdm import tqdm

from dicomove.files import SERVICE_FOLDER, shown
from dicomove.headers.names import MOST_NAMED
from dicomove.headers.nifti.program import Programs, Suffix
from dicomove.headers.nifti.record import Done, NameTakenError, Record, is_taken, publish, source_of
from dicomove.headers.nifti.verdict import Verdict, Voxels, judged
from dicomove.store import StoredHeader

_LOOK_UP_S: Final = 0.2


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
