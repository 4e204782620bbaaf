"""What a PACS should have moved: C-FIND asked cheaply, and more precisely only where something does not add up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Literal, get_args

from dicomove.cohort import Identifier, Level, matches
from dicomove.columns import whole_number
from dicomove.dimse import FindScu
from dicomove.outcome import Evidence, category, failure_word, shortfall

Verify = Literal["auto", "instances", "counts", "arrivals"]

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
        and, where that is missing or does not add up, the second; ``"arrivals"`` asks nothing.
    stop
        Cancels once it is set.
    """

    def __init__(self, scu: FindScu, verify: Verify, stop: threading.Event) -> None:
        self._scu, self._stop = scu, stop
        self._verify = verify
        self._answers = True

    def expected(self, evidence: Evidence, identifier: Identifier, hint: int | None) -> Evidence:
        """Return the evidence with what was expected.

        Parameters
        ----------
        evidence
            Of the C-MOVE.
        identifier
            Of the C-MOVE.
        hint
            What the caller's table says; it may be old, and is asked for anew where it does not add up.
        """
        if identifier.level == "IMAGE" and evidence.counts.moved:
            return replace(evidence, expected=1)
        if not _matters(evidence):
            return replace(evidence, expected=hint)
        if identifier.level == "IMAGE" and not evidence.counts.moved:
            hint = None  # that there is one was only assumed
        best = replace(evidence, expected=hint)
        for estimate in self._estimates(identifier, hint):
            if estimate is not None:
                best = replace(evidence, expected=estimate)
            if _adds_up(best):
                break
        return best

    def _estimates(self, identifier: Identifier, hint: int | None) -> Iterator[int | None]:
        if self._verify in ("auto", "counts", "arrivals"):
            yield hint
        if self._verify in ("auto", "counts"):
            yield self._ask(_related_instances, identifier)
        if self._verify in ("auto", "instances"):
            yield self._ask(_listed_instances, identifier)

    def _ask(self, question: Callable[[Ask, Identifier], int | None], identifier: Identifier) -> int | None:
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
        return [match for match in found if matches(identifier.keys, match)]


class _NoAnswerError(Exception):
    def __init__(self, *, worth_another_try: bool) -> None:
        super().__init__("C-FIND brought no answer")
        self.worth_another_try = worth_another_try


def check_verify(verify: str) -> None:
    """Raise ValueError for a word that is no way to verify."""
    if verify not in get_args(Verify):
        message = f"verify={verify!r} is not one of {', '.join(get_args(Verify))}"
        raise ValueError(message)


def _matters(evidence: Evidence) -> bool:
    """Whether the number of instances can change what the response means."""
    if evidence.status is None or evidence.cancelled:
        return False
    if category(evidence.status) in ("success", "warning"):
        return True
    return failure_word(evidence.status) == "unable_to_process" and not evidence.counts.moved


def _adds_up(evidence: Evidence) -> bool:
    counts, expected = evidence.counts, evidence.expected
    if expected is None:
        return False
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


def _listed_instances(ask: Ask, identifier: Identifier) -> int | None:
    """Return how many instances an IMAGE-level C-FIND lists, series by series (PS3.4 C.4.1.2.1, no relational keys)."""
    if identifier.level == "PATIENT":
        return None
    keys = dict(identifier.keys)
    series = [keys.get("SeriesInstanceUID")]
    if series == [None]:
        found = ask(identifier, "SERIES", keys | {"SeriesInstanceUID": ""})
        series = [match.get("SeriesInstanceUID") for match in found]
    listed: set[str] = set()
    for uid in filter(None, series):
        query = {"SOPInstanceUID": ""} | keys | {"SeriesInstanceUID": uid}
        listed |= {match.get("SOPInstanceUID", "") for match in ask(identifier, "IMAGE", query)}
    return len(listed - {""})
