"""`Destination`: another archive as the Move Destination, with where it is asked what it has."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Final

from dicomove.errors import AddressError
from dicomove.pacs import Pacs, ae_title

_QUIET_PERIOD_S: Final = 5.0


@dataclass(frozen=True, slots=True, repr=False)
class Destination:
    """Another archive (Orthanc, XNAT, a VNA) as the Move Destination, which is asked with C-FIND what it has.

    It takes the place of a `Receiver` in `move`, `start_move`, `retrieve` and `plan`. What is at the destination
    decides: rows that are complete there are not moved, and after a move each instance that the PACS lists is looked up
    there. In the result, ``received`` and ``missing`` are what the destination says.

    Parameters
    ----------
    ae_title
        The Move Destination: the AE title by which the PACS knows the archive.
    ask
        How this machine reaches the archive: its address, and the AE titles of C-FIND.
    quiet_period
        Seconds for which the inventory may stay as it is before the wait for missing instances ends: an archive takes a
        moment to index what it stored.

    Raises
    ------
    AddressError
        An argument cannot be right.

    Examples
    --------
    >>> Destination("ORTHANC", ask=Pacs("ORTHANC@127.0.0.1:4242"))
    Destination('ORTHANC', ask='ORTHANC@127.0.0.1:4242')
    """

    ae_title: str
    _: KW_ONLY
    ask: Pacs
    quiet_period: float = _QUIET_PERIOD_S

    def __post_init__(self) -> None:
        object.__setattr__(self, "ae_title", ae_title(self.ae_title, "destination"))
        if not isinstance(self.ask, Pacs):
            message = f"ask={self.ask!r}: give the archive as a Pacs, by which it is asked with C-FIND"
            raise AddressError(message)
        seconds = self.quiet_period
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not is_number or not 0 <= seconds < float("inf"):
            message = f"quiet_period={seconds!r}: give a number of seconds, at least 0"
            raise AddressError(message)

    def __repr__(self) -> str:
        return f"Destination({self.ae_title!r}, ask={self.ask.address!r})"
