"""Asks the PACS which instances a row should have: first for counts, and for a list only if the counts do not agree."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, TypeVar

from dicomove.cohort import UNIQUE_KEYS, Identifier, Level, different, matches, unsafe
from dicomove.dimse import FindResult, FindScu
from dicomove.interpreter import changed
from dicomove.outcome import Evidence, Unverified, adds_up, category, failure_word, surplus, with_missing
from dicomove.run.attempt.questions import (
    ALL,
    Ask,
    Asked,
    Listed,
    Question,
    is_elsewhere,
    is_whole,
    list_may_be_cut,
    listed_instances,
    listed_of_patient,
    listed_series,
    names_nothing,
    related_instances,
    values_of_study,
    was_stopped,
    why_not,
)
from dicomove.words import NEVER

Verify = Literal["auto", "instances", "counts", "arrivals", "hash"]
T = TypeVar("T")

#: Errors after which a C-FIND is sent again on a fresh association. A timeout is not among them: it would recur.
BROKEN: Final = frozenset({"association_aborted", "connection_lost", "invalid_response"})
#: How long a row waits for the list of its series before it is moved, in seconds.
_SOON_S: Final = 10.0
#: Reasons why the expected number is unknown.
_SPARED: Final = Unverified("the last C-FINDs were not answered, so that none was sent", may_pass=True)
_STOPPED: Final = Unverified("it was stopped before C-FIND was sent", may_pass=False, was_stopped=True)
_KNOWS_NOTHING: Final = Unverified("C-FIND does not tell of the instances that have come", may_pass=False)
_NO_NUMBER: Final = Unverified("the PACS gives no number", may_pass=False)


class Inventory:
    """Asks one PACS how many instances there should be.

    A C-FIND that breaks off is sent once more, over a fresh association. If it has no answer, the evidence has the
    reason, so that the row does not count as verified.

    Parameters
    ----------
    scu
        Sends the C-FINDs.
    verify
        ``"counts"`` asks for the numbers of related instances, ``"instances"`` lists the instances. ``"auto"`` asks for
        the numbers, and lists the instances if there are no numbers or they do not agree. ``"arrivals"`` asks for
        neither. ``"hash"`` asks like ``"auto"``.
    stop
        Cancels the C-FINDs when it is set.
    peer
        The name of the PACS or archive in the reasons.
    by_list
        Whether ``"auto"`` lists the instances first, because the destination may hold other instances, too. Patients
        are then listed as well, study by study.

    Attributes
    ----------
    asked
        The questions since `begin`.
    unanswered
        The latest C-FIND since `begin` without a usable answer.
    """

    def __init__(
        self,
        scu: FindScu,
        verify: Verify,
        stop: threading.Event,
        *,
        peer: str = "the PACS",
        by_list: bool = False,
    ) -> None:
        self._scu, self._stop, self._peer = scu, stop, peer
        self._verify, self._by_list = verify, by_list
        self.begin()

    def begin(self, allowed: Collection[Question] = ALL) -> None:
        """Begin a row; only these questions may be asked for it."""
        self._allowed = allowed
        self.asked: list[Asked] = []
        self.unanswered: FindResult | None = None
        self._why: Unverified | None = None

    def expected(
        self,
        evidence: Evidence,
        identifier: Identifier,
        expected_in_table: int | None,
        held: Collection[str] | None = None,
    ) -> tuple[Evidence, Listed | None]:
        """Return the evidence with the expected number, and the list of instances if there is one.

        Parameters
        ----------
        evidence
            Of the C-MOVE.
        identifier
            Of the C-MOVE.
        expected_in_table
            The number in the caller's table. It may be old: if it does not agree, the PACS is asked.
        held
            The SOP Instance UIDs on disk, if a receiver knows them.
        """
        if held is None:
            return self._expected(evidence, identifier, expected_in_table)
        best, listed = self._expected(replace(evidence, received=len(held)), identifier, expected_in_table)
        return with_missing(best, held, listed), listed

    def _expected(
        self, evidence: Evidence, identifier: Identifier, expected_in_table: int | None
    ) -> tuple[Evidence, Listed | None]:
        if identifier.level == "IMAGE":
            moved = evidence.counts.moved if evidence.received is None else evidence.received
            if moved:
                return replace(evidence, expected=1), None
            expected_in_table = None  # that there is one was only assumed
        best = changed(evidence, expected=expected_in_table, unverified=None)
        if expected_in_table is not None and not self._always_lists and adds_up(best) and not surplus(best):
            return best, None
        if _matters(evidence):
            return self._verified(best, identifier)
        if evidence.cancelled and identifier.level != "IMAGE":
            self._why = _STOPPED
            return replace(best, unverified=self._unverified(expected_in_table)), None
        return best, None

    def _verified(self, evidence: Evidence, identifier: Identifier) -> tuple[Evidence, Listed | None]:
        """Return the evidence with the number from the PACS, or with the reason for its absence."""
        self._why, is_known = None, False
        if self._by_list and self._always_lists:
            return self._compared(evidence, identifier)
        best, listed, count = evidence, None, 0
        for answer in self._answers(identifier):
            if answer is not None and not answer and evidence.received:
                self._why = self._why or _KNOWS_NOTHING  # the answer is wrong: some have come
            elif answer is not None:
                is_known = True
                number = answer if isinstance(answer, int) else self._more_than_listed(answer, best, identifier)
                listed = answer if number is None and not isinstance(answer, int) else None
                count = answer if isinstance(answer, int) else count
                best = replace(evidence, expected=len(listed or ()) if number is None else number)
                if adds_up(best):
                    break
        best = best if listed is None or count <= len(listed) else replace(best, counted=count)
        if is_known or (self._why is None and identifier.level == "IMAGE"):
            return best, listed
        return replace(best, unverified=self._unverified(evidence.expected)), listed

    def _more_than_listed(self, listed: Listed, counted: Evidence, identifier: Identifier) -> int | None:
        """Return the count of the PACS, if its list was cut off and the count is right; else ``None``.

        A list was cut off if it has fewer instances than have come. If it may be by its length, or the PACS has moved
        more, the counts of the single series decide. In all other cases the list is right and the count is wrong.
        """
        length, moved = len(listed), counted.counts.moved or 0
        come = counted.received or moved
        least = length + 1 if list_may_be_cut(listed) else come + 1 if come > length else max(moved, length)
        if least == length:
            return None
        number = self._ask("counts", related_instances, identifier) if self._verify == "instances" else counted.expected
        if number is None or number < least:
            return None
        by_series = self._ask("instances", listed_series, identifier) if identifier.level == "STUDY" else None
        return None if come <= length and is_whole(listed, by_series) else number

    def _unverified(self, expected_in_table: int | None) -> Unverified | None:
        if self._verify == "arrivals":
            return None
        what = (
            "How many instances there should be is not known"
            if expected_in_table is None
            else f"The number of instances that the table names, {expected_in_table}, could not be checked"
        )
        return replace(self.why_not, why=f"{what}: {self.why_not.why}.")

    @property
    def _always_lists(self) -> bool:
        return self._verify == "instances" or (self._by_list and self._verify in ("auto", "hash"))

    @property
    def why_not(self) -> Unverified:
        """Why the PACS did not answer the last question."""
        return self._why or _NO_NUMBER

    def listed(self, identifier: Identifier) -> Listed | None:
        """Return the instances that the PACS lists; ``None`` if it does not answer, or may not be asked."""
        return None if self._verify == "arrivals" else self._list(identifier)

    def number(self, identifier: Identifier) -> int | None:
        """Return the number of instances that the PACS counts; ``None`` if it does not answer, or may not be asked."""
        return None if self._verify == "arrivals" else self._ask("counts", related_instances, identifier)

    def values(self, identifier: Identifier, names: Collection[str]) -> Mapping[str, Collection[str]] | None:
        """Return the values of these keys of a study; ``None`` if the PACS does not answer.

        They say whose study it is, so ``"arrivals"`` asks for them, too.
        """
        return self._ask("counts", lambda ask, asked: values_of_study(ask, asked, names), identifier)

    def is_elsewhere(self, identifier: Identifier) -> bool | None:
        """Tell whether a series or an instance belongs to another study; ``None`` if the PACS does not answer."""
        return self._ask("counts", is_elsewhere, identifier)

    def series(self, study: Identifier) -> Mapping[str, int | None] | None:
        """Return the series of a study, each with the number of its instances if the PACS gives it.

        It is ``None`` if the PACS does not answer within seconds, or may not be asked.
        """
        if self._verify == "arrivals":
            return None
        return self._ask("instances", lambda _, asked: listed_series(self._find_soon, asked), study)

    def whole_list(self, identifier: Identifier, expected_in_table: int | None) -> Listed | None:
        """Return the instances that the PACS lists; ``None`` also if it counts more than it lists."""
        listed = self.listed(identifier)
        number = None if listed is None else self._number(identifier, listed, expected_in_table)
        return None if number is not None and number > len(listed or ()) else listed

    def _compared(self, evidence: Evidence, identifier: Identifier) -> tuple[Evidence, Listed | None]:
        """Return the evidence after a comparison with the list; a PACS may list fewer instances than it has."""
        listed = self._list(identifier)
        number = self._number(identifier, listed or {}, evidence.expected)
        is_whole = bool(listed) or not (number or evidence.counts.moved)
        if listed is not None and is_whole and (number or 0) <= len(listed):
            return replace(evidence, expected=len(listed)), listed
        if number is None:
            return replace(evidence, unverified=self._unverified(evidence.expected)), None
        listing = f"the PACS lists {len(listed or ())} of {number}"
        reason = self._why or Unverified(listing, may_pass=False)
        why = f"The instances were counted, and not compared one by one: {reason.why}."
        return replace(evidence, expected=number, unverified=replace(reason, why=why)), None

    def _number(self, identifier: Identifier, listed: Listed, expected_in_table: int | None) -> int | None:
        """Return the number in the table, unless it is larger than the list: then ask the PACS."""
        if listed and expected_in_table is not None and expected_in_table <= len(listed):
            return expected_in_table
        return None if self._verify == "instances" else self._ask("counts", related_instances, identifier)

    def _answers(self, identifier: Identifier) -> Iterator[int | Listed | None]:
        if self._verify in ("auto", "hash", "counts"):
            yield self._ask("counts", related_instances, identifier)
        if self._verify in ("auto", "hash", "instances"):
            yield self._list(identifier)

    def _list(self, identifier: Identifier) -> Listed | None:
        lists = listed_of_patient if self._by_list and identifier.level == "PATIENT" else listed_instances
        return self._ask("instances", lists, identifier)

    def _ask(self, question: Question, ask: Callable[[Ask, Identifier], T | None], identifier: Identifier) -> T | None:
        """Return the answer; if there is none, return ``None``, and keep the reason."""
        if question not in self._allowed:
            self._why = self._why or _SPARED
            return None
        started = time.monotonic()
        for is_last in (False, True):
            try:
                answer = ask(self._find, identifier)
            except _NoAnswerError as no_answer:
                found = self.unanswered = no_answer.found
                self._why = Unverified(
                    why_not(found, self._peer),
                    may_pass=not names_nothing(found) and found.error not in NEVER,
                    was_stopped=was_stopped(found),
                )
                if is_last or found.status is not None or found.error not in BROKEN:
                    self._note(question, found, time.monotonic() - started)
                    return None
            else:
                self.asked.append(Asked(question))
                return answer
        raise AssertionError

    def _note(self, question: Question, found: FindResult, seconds: float) -> None:
        if found.status is not None:
            self.asked.append(Asked(question))
        elif not was_stopped(found) and found.error != "not_supported":
            self.asked.append(Asked(question, seconds))

    def _find_soon(self, identifier: Identifier, level: Level, keys: dict[str, str]) -> list[dict[str, str]]:
        return self._find(identifier, level, keys, min(_SOON_S, self._scu.pacs.idle_timeout or _SOON_S))

    def _find(
        self, identifier: Identifier, level: Level, keys: dict[str, str], limit_s: float | None = None
    ) -> list[dict[str, str]]:
        found = self._scu.find_studies(
            {"QueryRetrieveLevel": level, **keys},
            query_model=identifier.query_model,
            total_timeout=limit_s or self._scu.pacs.idle_timeout,
            stop=self._stop,
        )
        if found.error or found.cancelled:
            raise _NoAnswerError(found)
        key = UNIQUE_KEYS[identifier.query_model][level][-1]
        if found.without_identifier or any(unsafe(match.get(key, "").strip(), key) for match in found):
            raise _NoAnswerError(replace(found, error="invalid_response"))
        return different(match for match in found if matches(identifier.keys, match))


class _NoAnswerError(Exception):
    def __init__(self, found: FindResult) -> None:
        super().__init__("C-FIND brought no answer")
        self.found = found


def _matters(evidence: Evidence) -> bool:
    """Whether the number of instances can change what the response means."""
    if evidence.received and evidence.sent and not evidence.cancelled:
        return True
    if evidence.status is None or evidence.cancelled:
        return False
    if category(evidence.status) in ("success", "warning"):
        return True
    return failure_word(evidence.status) == "unable_to_process" and not evidence.counts.moved
