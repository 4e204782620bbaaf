"""The parts of the demo: a rehearsal PACS with real images, a cohort, and a receiver."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from dicomove.receiver import Receiver
from dicomove.testing.faults.base import Fault
from dicomove.testing.rehearsal import RehearsalPacs

AE_TITLE: Final = "DEMO_PACS"
DESTINATION: Final = "DEMO_STORE"
#: Short, because the demo's PACS is on this machine: later instances will not arrive.
_QUIET_S: Final = 0.5


def demo_pacs(
    folder: str | os.PathLike[str] | None = None,
    faults: Sequence[Fault] = (),
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
        Its faults, from `dicomove.testing.faults`.
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
