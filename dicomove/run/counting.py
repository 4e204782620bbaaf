"""How many instances each row holds, asked with one C-FIND, and whether the PACS has them at hand."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomove import columns
from dicomove.asking import Asking, Told
from dicomove.cohort import Identifier, matches
from dicomove.dimse import FindResult, FindScu
from dicomove.run.inventory import BROKEN, COUNT_KEYS
from dicomove.run.nearline import AVAILABILITY, availability

#: For which a PACS that cannot be reached is left alone, once that has happened several times.
_LEAST_PAUSE_S: Final = 1.0
_NO_NUMBER: Final = "The PACS does not say how many there are."


@dataclass(frozen=True, slots=True)
class Counted:
    """What a PACS says of a row: how many instances there are, and whether they are at hand; or else why not."""

    expected: int | None
    advice: str | None = None
    availability: str | None = None


class Counting:
    """Asks how many instances there are; a PACS that leaves several C-FINDs unanswered is spared for a while."""

    def __init__(self, scu: FindScu) -> None:
        self._scu = scu
        self._asking = Asking()
        self._failed: FindResult | None = None
        self._asks_availability = True

    def expected(self, identifier: Identifier) -> Counted:
        """Return how many instances there are, if that is known, and else why not."""
        if self._failed is not None and "counts" not in self._asking.allowed(time.monotonic()):
            return Counted(None, self._failed.advice)
        found = self._ask(identifier)
        if found.error in BROKEN:
            found = self._ask(identifier)
        elif found.error and found.status and self._asks_availability:  # is it for the key that few archives need?
            self._asks_availability = False
            found = self._ask(identifier)
        if found.error:
            return Counted(None, found.advice)
        there = [match for match in found if matches(identifier.keys, match)]
        slowest = availability([word for match in there for word in match.get(AVAILABILITY, "").split("\\") if word])
        numbers = list(_numbers(identifier, there))
        if None in numbers:
            return Counted(None, _NO_NUMBER, slowest)
        return Counted(sum(number or 0 for number in numbers), None, slowest)

    def _ask(self, identifier: Identifier) -> FindResult:
        keyword = COUNT_KEYS.get(identifier.level)
        asked = {keyword: ""} if keyword else {}
        if self._asks_availability and identifier.level != "PATIENT":
            asked[AVAILABILITY] = ""
        started = time.monotonic()
        found = self._scu.find_studies(
            {"QueryRetrieveLevel": identifier.level, **dict(identifier.keys), **asked},
            query_model=identifier.query_model,
        )
        now = time.monotonic()
        self._failed = found if found.status is None else None
        cost = now - started if found.sent else max(_LEAST_PAUSE_S, now - started)
        self._asking.learn([Told("counts", None if found.status else cost)], now)
        return found


def _numbers(identifier: Identifier, there: Sequence[Mapping[str, str]]) -> Iterator[int | None]:
    """Yield the number of instances of each match; an instance is one."""
    keyword = COUNT_KEYS.get(identifier.level)
    for match in there:
        yield columns.whole_number(match.get(keyword)) if keyword else 1
