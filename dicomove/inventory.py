"""What a PACS should have moved: C-FIND asked cheaply, and more precisely only where something does not add up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, TypeVar, get_args

from dicomove.cohort import UNIQUE_KEYS, Identifier, Level, matches
from dicomove.cohort.matching import is_single
from dicomove.cohort.values import has_control_characters
from dicomove.columns import whole_number
from dicomove.dimse import FindScu
from dicomove.outcome import Evidence, category, failure_word, shortfall

Verify = Literal["auto", "instances", "counts", "arrivals", "hash"]

#: SOP Instance UIDs, with the series of each.
Listed = Mapping[str, str]

T = TypeVar("T")

Ask = Callable[[Identifier, Level, dict[str, str]], list[dict[str, str]]]

#: Where C-FIND says how many instances a level holds (PS3.4 C.3.4).
COUNT_KEYS: Final[dict[Level, str]] = {
    "PATIENT": "NumberOfPatientRelatedInstances",
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
}


class Inventory:
    """Asks one PACS how many instances there should be; a PACS that cannot answer is not asked again.

    Parameters
    ----------
    scu
        Asks.
    verify
        ``"counts"`` asks for the numbers of related instances, ``"instances"`` lists them, ``"auto"`` does the first
        and, where that is missing or does not add up, the second; ``"arrivals"`` asks nothing. ``"hash"`` asks as
        ``"auto"`` does.
    stop
        Cancels once it is set.
    """

    def __init__(self, scu: FindScu, verify: Verify, stop: threading.Event) -> None:
        self._scu, self._stop = scu, stop
        self._verify = verify
        self._answers = True

    def expected(
        self, evidence: Evidence, identifier: Identifier, hint: int | None, held: Collection[str] | None = None
    ) -> tuple[Evidence, Listed | None]:
        """Return the evidence with what was expected, and the list of it, where one was made.

        Parameters
        ----------
        evidence
            Of the C-MOVE.
        identifier
            Of the C-MOVE.
        hint
            What the caller's table says; it may be old, and is asked for anew where it does not add up.
        held
            The SOP Instance UIDs that are on disk, where a receiver knows.
        """
        if held is not None:
            evidence = replace(evidence, received=len(held))
        if identifier.level == "IMAGE":
            moved = evidence.counts.moved if held is None else evidence.received
            hint = 1 if moved else None  # that there is one was only assumed
            if moved:
                return _with_missing(replace(evidence, expected=1), None, held), None
        listed: Listed | None = None
        best = replace(evidence, expected=hint)
        for stock in self._stocks(identifier, hint) if _matters(evidence) else ():
            if stock is not None:
                best = replace(evidence, expected=stock if isinstance(stock, int) else len(stock))
                listed = None if isinstance(stock, int) else stock
            if _adds_up(best):
                break
        return _with_missing(best, listed, held), listed

    def listed(self, identifier: Identifier) -> Listed | None:
        """Return the instances that the PACS lists, or ``None`` if it gives no answer, or nobody may ask."""
        return None if self._verify == "arrivals" else self._ask(_listed_instances, identifier)

    def _stocks(self, identifier: Identifier, hint: int | None) -> Iterator[int | Listed | None]:
        if self._verify != "instances":
            yield hint
        if self._verify in ("auto", "hash", "counts"):
            yield self._ask(_related_instances, identifier)
        if self._verify in ("auto", "hash", "instances"):
            yield self._ask(_listed_instances, identifier)

    def _ask(self, question: Callable[[Ask, Identifier], T | None], identifier: Identifier) -> T | None:
        if not self._answers:
            return None
        try:
            return question(self._find, identifier)
        except _NoAnswerError as error:
            self._answers = error.worth_another_try
            return None

    def _find(self, identifier: Identifier, level: Level, keys: dict[str, str]) -> list[dict[str, str]]:
        found = self._scu.find_studies(
            {"QueryRetrieveLevel": level, **keys},
            query_model=identifier.query_model,
            total_timeout=self._scu.pacs.idle_timeout,
            stop=self._stop,
        )
        if found.error or found.cancelled:
            raise _NoAnswerError(worth_another_try=found.status is not None)
        key = UNIQUE_KEYS[identifier.query_model][level][-1]
        if not all(_names_one(match.get(key, "")) for match in found):
            raise _NoAnswerError(worth_another_try=True)
        answers = [match for match in found if matches(identifier.keys, match)]
        # An archive that joins two databases gives an answer twice.
        return list({tuple(answer.items()): answer for answer in answers}.values())


class _NoAnswerError(Exception):
    def __init__(self, *, worth_another_try: bool) -> None:
        super().__init__("C-FIND brought no answer")
        self.worth_another_try = worth_another_try


def _names_one(value: str) -> bool:
    """Tell whether a unique key names one thing. Neither of a wildcard nor of a list is it known how many there are."""
    return bool(value.strip()) and is_single(value) and not has_control_characters(value)


def check_verify(verify: str) -> None:
    """Raise ValueError for a word that is no way to verify."""
    if verify not in get_args(Verify):
        message = f"verify={verify!r} is not one of {', '.join(get_args(Verify))}"
        raise ValueError(message)


def _with_missing(evidence: Evidence, listed: Listed | None, held: Collection[str] | None) -> Evidence:
    """Return the evidence with the number of instances that are not on disk."""
    if held is None:
        return evidence
    if listed is not None:
        return replace(evidence, missing=len(listed.keys() - set(held)))
    whole = evidence.reported if evidence.expected is None else evidence.expected
    return evidence if whole is None else replace(evidence, missing=max(0, whole - len(held)))


def _matters(evidence: Evidence) -> bool:
    """Whether the number of instances can change what the response means."""
    if evidence.received and evidence.sent and not evidence.cancelled:
        return True
    if evidence.status is None or evidence.cancelled:
        return False
    if category(evidence.status) in ("success", "warning"):
        return True
    return failure_word(evidence.status) == "unable_to_process" and not evidence.counts.moved


def _adds_up(evidence: Evidence) -> bool:
    counts, expected = evidence.counts, evidence.expected
    if expected is None:
        return False
    if evidence.received is not None:
        return evidence.received == expected and (expected > 0 or not counts.moved)
    if counts.moved is None or counts.failed:
        return True
    return not shortfall(evidence) and (counts.moved == 0) == (expected == 0)


def _related_instances(ask: Ask, identifier: Identifier) -> int | None:
    """Return what the PACS counts; 0 where it knows nothing, ``None`` where it gives no number."""
    if identifier.level == "IMAGE":
        return None
    keyword = COUNT_KEYS[identifier.level]
    found = ask(identifier, identifier.level, dict(identifier.keys) | {keyword: ""})
    if not found:
        return 0
    numbers = [whole_number(match.get(keyword)) for match in found]
    return None if None in numbers else sum(number or 0 for number in numbers)


def _listed_instances(ask: Ask, identifier: Identifier) -> Listed | None:
    """Return what an IMAGE-level C-FIND lists, series by series (PS3.4 C.4.1.2.1, no relational keys)."""
    if identifier.level == "PATIENT":
        return None
    keys = dict(identifier.keys)
    series = [keys.get("SeriesInstanceUID")]
    if series == [None]:
        found = ask(identifier, "SERIES", keys | {"SeriesInstanceUID": ""})
        series = [match.get("SeriesInstanceUID") for match in found]
    listed: dict[str, str] = {}
    for uid in filter(None, series):
        query = {"SOPInstanceUID": ""} | keys | {"SeriesInstanceUID": uid}
        listed |= {match.get("SOPInstanceUID", ""): uid for match in ask(identifier, "IMAGE", query)}
    listed.pop("", None)
    return listed
