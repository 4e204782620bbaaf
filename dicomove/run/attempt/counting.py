"""How many instances a PACS has of a row, by C-FIND before the move: for `plan`, and for the limits of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomove import columns
from dicomove.cohort import Identifier, Level, different, matches
from dicomove.dimse import FindResult, FindScu
from dicomove.dimse.find import with_announced
from dicomove.run.attempt.inventory import BROKEN
from dicomove.run.attempt.questions import COUNT_KEYS, Asked, Asking
from dicomove.run.table.cells import AVAILABILITY, SOP_CLASSES, slowest, uids_in

#: How long a PACS that could not be reached several times is not asked, in seconds.
_LEAST_PAUSE_S: Final = 1.0
_NO_NUMBER: Final = "The PACS does not say how many there are."
#: Attributes from which sizes are estimated.
_MODALITIES: Final[dict[Level, str]] = {"STUDY": "ModalitiesInStudy", "SERIES": "Modality"}


@dataclass(frozen=True, slots=True)
class Counted:
    """The answer of a PACS about a row: number and availability of instances, or the reason for their absence."""

    expected: int | None
    advice: str | None = None
    availability: str | None = None
    sop_classes: tuple[str, ...] = ()
    modalities: str = ""


class Counting:
    """Asks for numbers of instances. A PACS that does not answer several C-FINDs gets none for a while.

    Parameters
    ----------
    scu
        Sends the C-FINDs.
    with_classes
        Whether to ask for the SOP classes of studies, too.
    """

    def __init__(self, scu: FindScu, *, with_classes: bool = False) -> None:
        self._scu, self._with_classes = scu, with_classes
        self._asking = Asking()
        self._failed: FindResult | None = None
        self._asks_optional = True

    def expected(self, identifier: Identifier) -> Counted:
        """Return the number of instances, or the reason why it is unknown."""
        if self._failed is not None and "counts" not in self._asking.allowed(time.monotonic()):
            return Counted(None, self._failed.advice)
        found = self._ask(identifier)
        if found.error in BROKEN:
            found = self._ask(identifier)
        elif found.error and found.status and self._asks_optional:
            self._asks_optional = False  # few archives know these keys: does the C-FIND succeed without them?
            found = self._ask(identifier)
        if found.error:
            return Counted(None, found.advice)
        there = different(match for match in found if matches(identifier.keys, match))
        where = slowest([word for match in there for word in match.get(AVAILABILITY, "").split("\\") if word])
        classes = tuple(dict.fromkeys(uid for match in there for uid in uids_in(match.get(SOP_CLASSES))))
        modalities = "\\".join(filter(None, (match.get(_MODALITIES.get(identifier.level, "")) for match in there)))
        numbers = list(_numbers(identifier, there))
        if None in numbers:
            return Counted(None, _NO_NUMBER, where, classes, modalities)
        return Counted(sum(number or 0 for number in numbers), None, where, classes, modalities)

    def studies(self, patient: Identifier) -> int | None:
        """Return the number of studies of a patient; ``None`` without an answer."""
        found = with_announced(
            self._scu.find_studies(
                {"QueryRetrieveLevel": "STUDY", **dict(patient.keys), "StudyInstanceUID": ""},
                query_model=patient.query_model,
            )
        )
        there = {match.get("StudyInstanceUID") for match in found if matches(patient.keys, match)}
        return None if found.error else len(there)

    def _ask(self, identifier: Identifier) -> FindResult:
        keyword = COUNT_KEYS.get(identifier.level)
        asked = {keyword: ""} if keyword else {}
        if self._asks_optional and identifier.level != "PATIENT":
            asked[AVAILABILITY] = ""
        if self._asks_optional and identifier.level in _MODALITIES:
            asked[_MODALITIES[identifier.level]] = ""
        if self._asks_optional and self._with_classes and identifier.level == "STUDY":
            asked[SOP_CLASSES] = ""
        started = time.monotonic()
        found = with_announced(
            self._scu.find_studies(
                {"QueryRetrieveLevel": identifier.level, **dict(identifier.keys), **asked},
                query_model=identifier.query_model,
            )
        )
        now = time.monotonic()
        self._failed = found if found.status is None else None
        cost = now - started if found.sent else max(_LEAST_PAUSE_S, now - started)
        self._asking.learn([Asked("counts", None if found.status else cost)], now)
        return found


def _numbers(identifier: Identifier, there: Sequence[Mapping[str, str]]) -> Iterator[int | None]:
    """Yield the number of instances of each match; at the level IMAGE it is 1."""
    keyword = COUNT_KEYS.get(identifier.level)
    for match in there:
        yield columns.whole_number(match.get(keyword)) if keyword else 1
