"""What the demo is made of: the rehearsal PACS with real images, a cohort, and a receiver for it."""

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
#: The demo's PACS is on this machine: what has not come by then does not come.
_QUIET_S: Final = 0.5


def demo_pacs(
    folder: str | os.PathLike[str] | None = None,
    faults: Sequence[Fault] = (),
    *,
    destinations: Mapping[str, tuple[str, int]] | None = None,
    port: int = 0,
) -> RehearsalPacs:
    """Return a PACS for C-ECHO, C-FIND, C-MOVE and C-GET on this machine, to be used in a ``with``.

    Parameters
    ----------
    folder
        The DICOM files that it serves; without it, real images that come with pydicom (datasets/README.md).
    faults
        What it does wrong: `dicomove.testing.faults`.
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
    return RehearsalPacs(
        folder, faults, ae_title=AE_TITLE, destination=DESTINATION, destinations=destinations, port=port
    )


def demo_cohort() -> Path:
    """Return the path of the demo's cohort: packaged with a wheel, in ``datasets/`` of a checkout."""
    packaged = Path(__file__).parent / "demo_cohort.csv"
    return packaged if packaged.exists() else Path(__file__).parents[2] / "datasets" / "demo_cohort.csv"


def demo_receiver(folder: str | os.PathLike[str]) -> Receiver:
    """Return a receiver for the demo's PACS: on this machine only, at a port that the system picks.

    Parameters
    ----------
    folder
        Where the images go.
    """
    return Receiver(folder, port=0, host="127.0.0.1", quiet_period=_QUIET_S)
