"""What the PACS says that it holds of a row: how many instances, and whether they are at hand (PS3.3 C.4.23)."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Level, is_uid, keyword_columns, matches, plain_label
from dicomove.dimse import FindResult, FindScu
from dicomove.frozen import changed
from dicomove.pacs import Pacs
from dicomove.results import left_nearline
from dicomove.run.asking import Asking, Told
from dicomove.run.inventory import BROKEN
from dicomove.run.options import Nearline
from dicomove.run.questions import COUNT_KEYS
from dicomove.run.requests import Task
from dicomove.run.rows import RowResults
from dicomove.words import SLOW

#: For which a PACS that cannot be reached is left alone, once that has happened several times.
_LEAST_PAUSE_S: Final = 1.0
_NO_NUMBER: Final = "The PACS does not say how many there are."
AVAILABILITY: Final = "InstanceAvailability"
SOP_CLASSES: Final = "SOPClassesInStudy"
#: From which the sizes of instances are guessed.
_MODALITIES: Final[dict[Level, str]] = {"STUDY": "ModalitiesInStudy", "SERIES": "Modality"}
_SLOWEST_FIRST: Final = ("UNAVAILABLE", "OFFLINE", "NEARLINE", "ONLINE")
#: A tape robot takes minutes, where a disk takes seconds.
TIMES_AS_LONG: Final = 10


@dataclass(frozen=True, slots=True)
class Counted:
    """What a PACS says of a row: how many instances there are, and whether they are at hand; or else why not."""

    expected: int | None
    advice: str | None = None
    availability: str | None = None
    sop_classes: tuple[str, ...] = ()
    modalities: str = ""


class Counting:
    """Asks how many instances there are; a PACS that leaves several C-FINDs unanswered is spared for a while.

    Parameters
    ----------
    scu
        Asks.
    with_classes
        Whether the SOP classes of studies are asked for, too.
    """

    def __init__(self, scu: FindScu, *, with_classes: bool = False) -> None:
        self._scu, self._with_classes = scu, with_classes
        self._asking = Asking()
        self._failed: FindResult | None = None
        self._asks_optional = True

    def expected(self, identifier: Identifier) -> Counted:
        """Return how many instances there are, if that is known, and else why not."""
        if self._failed is not None and "counts" not in self._asking.allowed(time.monotonic()):
            return Counted(None, self._failed.advice)
        found = self._ask(identifier)
        if found.error in BROKEN:
            found = self._ask(identifier)
        elif found.error and found.status and self._asks_optional:  # is it for a key that few archives need?
            self._asks_optional = False
            found = self._ask(identifier)
        if found.error:
            return Counted(None, found.advice)
        there = [match for match in found if matches(identifier.keys, match)]
        slowest = availability([word for match in there for word in match.get(AVAILABILITY, "").split("\\") if word])
        classes = tuple(dict.fromkeys(uid for match in there for uid in uids_in(match.get(SOP_CLASSES))))
        modalities = "\\".join(filter(None, (match.get(_MODALITIES.get(identifier.level, "")) for match in there)))
        numbers = list(_numbers(identifier, there))
        if None in numbers:
            return Counted(None, _NO_NUMBER, slowest, classes, modalities)
        return Counted(sum(number or 0 for number in numbers), None, slowest, classes, modalities)

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


def availabilities(table: pd.DataFrame) -> list[str | None]:
    """Return what the PACS said of each row of a table of `find`; ``None`` where it said nothing."""
    places = keyword_columns(table.columns, [AVAILABILITY])
    cells = table.iloc[:, places[AVAILABILITY]].tolist() if places else [None] * len(table)
    # One series may be on tape, and another one of the study on disk: several values are in one cell.
    return [availability(cell.upper().split("\\")) if isinstance(cell, str) else None for cell in cells]


def sop_classes_of(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return the SOP classes that the PACS told of the study of each row; none where it told nothing."""
    place = next((place for place, label in enumerate(table.columns) if plain_label(label) == SOP_CLASSES), None)
    return [()] * len(table) if place is None else [uids_in(cell) for cell in table.iloc[:, place].tolist()]


def uids_in(cell: object) -> tuple[str, ...]:
    r"""Return the UIDs in a cell; none where one of them has an unusual form.

    Examples
    --------
    >>> uids_in(r"1.2.3\1.2.4"), uids_in(None)
    (('1.2.3', '1.2.4'), ())
    """
    uids = tuple(cell.split("\\")) if isinstance(cell, str) else ()
    return uids if all(map(is_uid, uids)) else ()


def availability(values: Collection[str]) -> str | None:
    """Return the word for something whose parts are here and there: the slowest of them decides.

    Examples
    --------
    >>> availability(["ONLINE", "NEARLINE"]), availability([])
    ('NEARLINE', None)
    """
    words = [value.strip() for value in values]
    return next((word for word in _SLOWEST_FIRST if word in words), None)


def slow_rows(table: pd.DataFrame) -> set[int]:
    """Return the positions of the rows that the PACS does not have at hand."""
    return {position for position, word in enumerate(availabilities(table)) if word in SLOW}


def in_order(tasks: Sequence[Task], nearline: Nearline, results: RowResults) -> list[Task]:
    """Return the tasks in the order in which they begin; those that are left get their result."""
    if nearline == "as_is":
        return [changed(task, is_slow=False) for task in tasks]
    at_hand = [task for task in tasks if not task.is_slow]
    slow = [task for task in tasks if task.is_slow]
    if nearline == "last":
        return [*at_hand, *slow]
    for task in slow:
        results.settle(task, left_nearline())
    return at_hand


def with_longer_limit(pacs: Pacs) -> Pacs:
    """Return the PACS with the longer limit until the first response."""
    limit = pacs.first_response_timeout
    if not isinstance(limit, int | float):
        return pacs
    return replace(pacs, first_response_timeout=limit * TIMES_AS_LONG)
