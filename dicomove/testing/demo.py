"""`demo_pacs`: a PACS with real images in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dicomove.pacs import Pacs
from dicomove.testing.images import real_images

AE_TITLE: Final = "DEMO_PACS"
DESTINATION: Final = "DEMO_STORE"
_FAREWELL_S: Final = 10


@dataclass(frozen=True, repr=False)
class DemoPacs(Pacs):
    """The address of a running demo PACS, and where its images go.

    Parameters
    ----------
    destination
        An AE title that it moves to: a Storage SCP of its own.
    received
        The folder of that Storage SCP.
    """

    destination: str = DESTINATION
    received: Path = Path()


@contextmanager
def demo_pacs(
    folder: str | os.PathLike[str] | None = None,
    *,
    destinations: Mapping[str, tuple[str, int]] | None = None,
    port: int = 0,
) -> Iterator[DemoPacs]:
    """Run a PACS for C-ECHO, C-FIND and C-MOVE on this machine, in a process of its own.

    Parameters
    ----------
    folder
        The DICOM files that it serves; without it, real images that come with pydicom (datasets/README.md).
    destinations
        Further AE titles that it moves to, with host and port.
    port
        0 lets the system pick one.

    Examples
    --------
    >>> import pandas as pd
    >>> import dicomove as dm
    >>> with demo_pacs() as pacs:
    ...     studies = dm.find(pd.DataFrame({"AccessionNumber": ["A0010"]}), pacs, progress=False)
    ...     results = dm.move(studies, pacs, pacs.destination, progress=False)
    >>> results["outcome"].tolist()
    ['complete']
    """
    with tempfile.TemporaryDirectory(prefix="dicomove-demo-") as scratch:
        received = Path(scratch) / "received"
        order = {
            "ae_title": AE_TITLE,
            "folder": str(Path(folder).resolve() if folder else real_images(Path(scratch) / "images")),
            "received": str(received),
            "destination": DESTINATION,
            "destinations": dict(destinations or {}),
            "port": port,
        }
        with _serving(order) as chosen:
            yield DemoPacs(f"{AE_TITLE}@127.0.0.1:{chosen}", received=received)


@contextmanager
def _serving(order: Mapping[str, object]) -> Iterator[int]:
    # Not multiprocessing: it imports the caller's script once more, which a notebook or a script may not survive.
    command = [sys.executable, "-m", "dicomove.testing.process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own module)
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                message = f"the demo PACS did not start: exit code {process.wait(_FAREWELL_S)}"
                raise RuntimeError(message)
            yield int(line)
        finally:
            process.stdin.close()
            _wait(process)


def _wait(process: subprocess.Popen[str]) -> None:
    try:
        process.wait(_FAREWELL_S)
    except subprocess.TimeoutExpired:
        process.kill()


def demo_cohort() -> Path:
    """Return the path of the demo's cohort: packaged with a wheel, in ``datasets/`` of a checkout."""
    packaged = Path(__file__).parent / "demo_cohort.csv"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "datasets" / "demo_cohort.csv"
