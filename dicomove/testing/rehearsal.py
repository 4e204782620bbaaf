"""`RehearsalPacs`: a PACS in a separate process, well-behaved or with faults. And the parts of the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from dicomove.pacs import Pacs
from dicomove.processes import own_program
from dicomove.receiver import Receiver
from dicomove.testing.faults.base import Fault
from dicomove.testing.images import real_images
from dicomove.testing.process import Order
from dicomove.testing.synthetic import Synthetic
from dicomove.tls import TLS

_MODULE: Final = "dicomove.testing.process"
_STOP_S: Final = 10
_COLUMNS: Final = ["command", "level", "query_model", "attempt", "keys"]


@dataclass(frozen=True, repr=False)
class RunningPacs(Pacs):
    """The address of a running rehearsal PACS, with its own destination and its log of requests.

    Parameters
    ----------
    destination
        The AE title of its own Storage SCP.
    received
        The folder of that Storage SCP.
    log
        The file with its log of requests.
    """

    destination: str = ""
    received: Path = Path()
    log: Path = Path()

    def requests(self) -> pd.DataFrame:
        """Return the requests so far.

        Returns
        -------
        pandas.DataFrame
            One row per request: ``command``, ``level``, ``query_model``, ``attempt`` (1 for the first request of this
            command with these keys) and ``keys`` (a dict).
        """
        rows = [json.loads(line) for line in self.log.read_text().splitlines()]
        return pd.DataFrame(rows, columns=_COLUMNS)


def _program(order: Order) -> list[str]:
    """Return its command. The process loads all of dicomove only for a fault from another package."""
    if order.is_ours():
        return own_program(_MODULE)
    return [sys.executable, "-c", f"import {_MODULE} as process; process.main()"]


class RehearsalPacs:
    """A PACS on this machine for C-ECHO, C-FIND, C-MOVE and C-GET, in a separate process.

    Parameters
    ----------
    source
        The folder of DICOM files that it serves, or a `Synthetic` archive; by default real images that come with
        pydicom (datasets/README.md).
    faults
        Its faults, from `dicomove.testing.faults`: one, or several. Without faults, it follows the standard.
    seed
        The seed of the faults' probabilities.
    ae_title
        Its AE title.
    destination
        The AE title of its own Storage SCP, whose folder is ``received``.
    destinations
        Further AE titles as destinations, with host and port.
    port
        Its port; 0 lets the system choose one.
    tls
        The certificate of its port. Every association then has to use TLS.
    storing_tls
        The TLS settings for connections to the further destinations, if they speak TLS.

    Examples
    --------
    >>> import dicomove as dm
    >>> from dicomove.testing import RehearsalPacs, Synthetic, faults
    >>> with RehearsalPacs(Synthetic(studies=3, instances=4, size=512), [faults.SuccessWithAllFailed()]) as pacs:
    ...     studies = dm.find(pd.DataFrame({"PatientID": ["SYN000002"]}), pacs, progress=False)
    ...     results = dm.move(studies, pacs, pacs.destination, progress=False)
    >>> results[["outcome", "status", "error"]].iloc[0].tolist()
    ['failed', '0x0000', 'all_failed']
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Synthetic | None = None,
        faults: Fault | Sequence[Fault] = (),
        *,
        seed: int = 0,
        ae_title: str = "REHEARSAL",
        destination: str = "REHEARSAL_STORE",
        destinations: Mapping[str, tuple[str, int]] | None = None,
        port: int = 0,
        tls: TLS | None = None,
        storing_tls: TLS | None = None,
    ) -> None:
        self._source = source
        self._order = {
            "faults": (faults,) if isinstance(faults, Fault) else tuple(faults),
            "seed": seed,
            "ae_title": ae_title,
            "destination": destination,
            "destinations": dict(destinations or {}),
            "port": port,
            "tls": tls,
            "storing_tls": storing_tls,
        }

    def __enter__(self) -> RunningPacs:
        self._scratch = tempfile.TemporaryDirectory(prefix="dicomove-pacs-", ignore_cleanup_errors=True)
        folder = Path(self._scratch.name)
        order = Order(source=self._images(folder), scratch=folder, **self._order)  # type: ignore[arg-type]  # see above
        # Not multiprocessing: it imports the caller's script again, which fails for many scripts and for notebooks.
        self._process = subprocess.Popen(  # noqa: S603 (our own module)
            _program(order),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # the stop button interrupts the notebook, but not its PACS
        )
        return RunningPacs(
            f"{order.ae_title}@127.0.0.1:{self._send_settings(order)}",
            destination=order.destination,
            received=order.received,
            log=order.log,
        )

    def __exit__(self, *_: object) -> None:
        with self._process:
            if self._process.stdin:
                self._process.stdin.close()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._scratch.cleanup()

    def _images(self, scratch: Path) -> Path | Synthetic:
        if isinstance(self._source, Synthetic):
            return self._source
        return Path(self._source).resolve() if self._source else real_images(scratch / "images")

    def _send_settings(self, order: Order) -> int:
        """Send the settings to the process, and return its port."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError
        self._process.stdin.write(order.encoded() + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self.__exit__(None, None, None)
            message = f"the rehearsal PACS did not start: exit code {self._process.returncode}"
            raise RuntimeError(message)
        return int(line)


AE_TITLE: Final = "DEMO_PACS"
DESTINATION: Final = "DEMO_STORE"
#: Short, because the demo's PACS is on this machine: later instances will not arrive.
_QUIET_S: Final = 0.5


def demo_pacs(
    folder: str | os.PathLike[str] | None = None,
    faults: Fault | Sequence[Fault] = (),
    *,
    destinations: Mapping[str, tuple[str, int]] | None = None,
    port: int = 0,
) -> RehearsalPacs:
    """Return a PACS for C-ECHO, C-FIND, C-MOVE and C-GET on this machine, for a ``with`` block.

    Parameters
    ----------
    folder
        The folder of DICOM files that it serves; by default real images that come with pydicom (datasets/README.md).
        `dicomove.testing.phantoms` writes one with volumes.
    faults
        Its faults, from `dicomove.testing.faults`: one, or several.
    destinations
        Further AE titles as destinations, with host and port.
    port
        Its port; 0 lets the system choose one.

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
    return RehearsalPacs(
        folder, faults, ae_title=AE_TITLE, destination=DESTINATION, destinations=destinations, port=port
    )


def demo_cohort() -> Path:
    """Return the path of the demo's cohort: inside a wheel, or in ``datasets/`` of a checkout."""
    packaged = Path(__file__).parent / "demo_cohort.csv"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "datasets" / "demo_cohort.csv"


def demo_receiver(folder: str | os.PathLike[str]) -> Receiver:
    """Return a receiver for the demo's PACS: only on this machine, at a port that the system chooses.

    Parameters
    ----------
    folder
        The folder for the images.
    """
    return Receiver(folder, port=0, host="127.0.0.1", quiet_period=_QUIET_S)
