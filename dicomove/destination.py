"""`Destination`: another archive as the Move Destination, and the address at which it answers C-FIND."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Final

import pandas as pd

from dicomove.errors import AddressError
from dicomove.pacs import Pacs, ae_title, is_number

_QUIET_PERIOD_S: Final = 5.0
_DISCREPANCY_COLUMNS: Final = (
    *("row", "kind", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    "counted_by",
)


@dataclass(frozen=True, slots=True, repr=False)
class Destination:
    """Another archive (Orthanc, XNAT, a VNA) as the Move Destination. dicomove asks it with C-FIND what it has.

    It takes the place of a `Receiver` in `move`, `start_move`, `retrieve` and `plan`. Rows that are complete at the
    destination are not moved. After a move, dicomove looks there for each instance that the PACS lists. In the result,
    ``received`` and ``missing`` come from the destination.

    Parameters
    ----------
    ae_title
        The Move Destination: the AE title by which the PACS knows the archive.
    ask
        How this machine reaches the archive: its address, and the AE titles of C-FIND.
    quiet_period
        The wait for missing instances ends if nothing new has come for so many seconds: an archive takes a moment to
        index what it stored.

    Raises
    ------
    AddressError
        An argument is invalid.

    Examples
    --------
    >>> Destination("ORTHANC", ask=Pacs("ORTHANC@127.0.0.1:4242"))
    Destination('ORTHANC', ask='ORTHANC@127.0.0.1:4242')
    """

    ae_title: str
    _: KW_ONLY
    ask: Pacs
    quiet_period: float = _QUIET_PERIOD_S
    _discrepancies: list[Mapping[str, object]] = field(default_factory=list, init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ae_title", ae_title(self.ae_title, "destination"))
        if not isinstance(self.ask, Pacs):
            found = type(self.ask).__name__  # not its text, which may hold a secret
            message = f"ask: give the archive as a Pacs, by which it is asked with C-FIND, not {found}"
            raise AddressError(message)
        seconds = self.quiet_period
        if not is_number(seconds) or not 0 <= seconds < float("inf"):
            message = f"quiet_period={seconds!r}: give a number of seconds, at least 0"
            raise AddressError(message)

    def __repr__(self) -> str:
        return f"Destination({self.ae_title!r}, ask={self.ask.address!r})"

    def discrepancies(self) -> pd.DataFrame:
        """Return the discrepancies of the latest run to this destination, between what it has and what the PACS lists.

        Returns
        -------
        pandas.DataFrame
            ``row`` (the label in the result table), ``kind``, ``StudyInstanceUID``, ``SeriesInstanceUID``,
            ``SOPInstanceUID`` and ``counted_by``. One row per instance with the kind ``"missing"`` or
            ``"unexpected"`` (the destination has it, and the PACS does not list it): ``counted_by`` is
            ``"destination"``. One row per row of the result with the kind ``"unknown"``, if the destination did not
            answer: ``counted_by`` and the UIDs of series and instance are null.
        """
        return pd.DataFrame(self._discrepancies, columns=list(_DISCREPANCY_COLUMNS), dtype=object)

    def end_run(self, found: Iterable[Mapping[str, object]]) -> None:
        """Keep the discrepancies of a run."""
        self._discrepancies[:] = found
