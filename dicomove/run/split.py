"""Moves the series of a large study side by side: one row, several requests, one verdict. Pure.

A study is one C-MOVE, unless associations are idle and its series are large enough. Then the row has three steps::

    listed      C-FIND lists the series; if the PACS does not answer, one C-MOVE asks for the whole study
    moved       each series is a `Part`, and is requested once; the limit of associations holds for parts, too
    finished    `Parts`: one worker waits for late instances, asks for the expected ones, and judges the row as a whole

The row stays open at its receiver from its first part to its end, and counts the arrivals of all parts. If some
instances are there already, the parts are the missing instances of each series.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.events import SubOperationEvent
from dicomove.run.attempt.ends import (
    AttemptEnd,
    Depth,
    Lost,
    Moved,
    NoReceiver,
    Part,
    Parts,
    SeriesListed,
    number_sent_by,
)
from dicomove.run.attempt.narrowing import asks, count_of_all, in_series, is_refused, side_by_side
from dicomove.run.attempt.questions import Listed
from dicomove.run.requests import Task

#: The fewest instances of a study for which separate requests are faster than one.
_LEAST: Final = 32
#: The fewest instances per series on average: with fewer, the PACS gets a request for every few instances.
_LEAST_EACH: Final = 4


def may_be_large(task: Task) -> bool:
    """Return whether a row may be worth splitting, as far as this is known before it begins."""
    if task.identifier.level != "STUDY" or task.unverified or task.is_slow:
        return False
    if task.missing and not task.look_first:
        return bool(missing_parts(task.identifier, task.missing, task.depth))
    return task.expected is None or is_large(task.expected)


def missing_parts(identifier: Identifier, missing: Listed, depth: Depth) -> dict[Identifier, int]:
    """Return the parts of an incomplete study, each with its number of instances; none if splitting does not pay.

    Parameters
    ----------
    identifier
        The identifier of the study.
    missing
        The missing instances.
    depth
        The finest request that the PACS accepts.

    Examples
    --------
    >>> study = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", "1.2"),))
    >>> missing = {f"1.2.{series}.{n}": f"1.2.{series}" for series in (3, 4) for n in range(20)}
    >>> [(one.level, number) for one, number in missing_parts(study, missing, "instances").items()]
    [('IMAGE', 20), ('IMAGE', 20)]
    """
    if not is_large(len(missing)):
        return {}
    _, asked = asks(identifier, missing, depth)
    if len(asked) < 2 or len(missing) < _LEAST_EACH * len(asked):
        return {}
    held = Counter(missing.values())
    return {one: _number(dict(one.keys), held) for one in asked}


def _number(keys: Mapping[str, str], in_series: Mapping[str, int]) -> int:
    """Return the number of instances in a request: the UIDs of its list, or the missing ones of its series."""
    listed = keys.get("SOPInstanceUID")
    return len(listed.split("\\")) if listed else in_series[keys["SeriesInstanceUID"]]


def is_large(instances: int) -> bool:
    """Return whether a study is large enough for separate requests."""
    return instances >= _LEAST


def is_worth_splitting(series: Mapping[str, int | None], instances: int) -> bool:
    """Return whether to move the series of a study side by side, and not the study with one C-MOVE.

    Parameters
    ----------
    series
        The series that the PACS lists, each with its number of instances if the PACS gives it.
    instances
        The number of instances of the study. If the series have fewer, the list may be incomplete.

    Examples
    --------
    >>> is_worth_splitting({"1.1": 200, "1.2": 100}, 300), is_worth_splitting({"1.1": 2, "1.2": 1}, 3)
    (True, False)
    >>> is_worth_splitting({"1.1": 200, "1.2": 100}, 400)
    False
    """
    is_whole = None in series.values() or sum(number or 0 for number in series.values()) >= instances
    return is_whole and len(series) > 1 and is_large(instances) and instances >= _LEAST_EACH * len(series)


def falls_short(parts: Parts, moved: Moved) -> bool:
    """Return whether the study has more instances than its listed series, although all series were moved."""
    evidence = moved.result.evidence
    brought = evidence.received if evidence.reported is None else evidence.reported
    # A second list would lack the same series. The number of all instances does not depend on the list.
    there = max(evidence.expected or 0, parts.instances)
    return parts.went_well and brought is not None and there > max(brought, evidence.received or 0)


class Split:
    """One row whose series are moved side by side.

    Parameters
    ----------
    number
        A number that is unique in the run.
    task
        The task of the row.
    listed
        The series according to the PACS.
    """

    def __init__(self, number: int, task: Task, listed: SeriesListed) -> None:
        self.task, self._number, self._instances = replace(task, missing=listed.missing), number, listed.instances
        self._numbers = _parts(task, listed)
        # The largest first: at the end, associations then wait only for a small one.
        self._waiting = deque(sorted(self._numbers, key=lambda one: -(self._numbers[one] or 0)))
        self._ends: list[Moved | Lost | NoReceiver] = []
        #: When the parts began and ended, on the monotonic clock of the run: the clock of the system may be set back.
        self._spans: list[tuple[float, float]] = []
        self._responses: dict[Identifier, SubOperationEvent] = {}
        self._stopped = False
        self._refusals = 0
        self.in_flight = 0
        #: No part begins before this time.
        self.not_before = 0.0
        self.has_finished = False

    @property
    def has_part(self) -> bool:
        """Whether a part may begin: not after a part without an answer, nor if the PACS refused all parts so far."""
        return bool(self._waiting) and not self._is_broken and not self._is_refused

    @property
    def is_over(self) -> bool:
        """Whether all parts have ended."""
        return not self.in_flight and not self.has_part and not self.has_finished

    def next(self) -> Task:
        """Return the next part."""
        self.in_flight += 1
        identifier = self._waiting.popleft()
        part = Part(self._number, identifier, self._numbers[identifier])
        return replace(self.task, part=part, refusals=self._refusals)

    def stop(self) -> None:
        """Begin no more parts."""
        self._stopped = True

    def put_back(self, part: Part, at: float) -> None:
        """Take back a part that sent nothing, and begin no other part before this time."""
        self.in_flight -= 1
        self._refusals += 1
        self.not_before = at
        self._waiting.appendleft(part.identifier)

    def ended(self, part: Part, end: Moved | Lost | NoReceiver, now: float) -> None:
        """Take note of the end of a part."""
        self.in_flight -= 1
        if isinstance(end, Moved) and end.result.outcome == "not_attempted":
            self._waiting.appendleft(part.identifier)
        else:
            self._ends.append(end)
            if isinstance(end, Moved):
                self._spans.append((now - end.result.duration_s, now))

    def moving(self, part: Part, event: SubOperationEvent) -> SubOperationEvent:
        """Return the event of the whole row for a pending response of one part: the counts are sums."""
        self._responses[part.identifier] = event
        latest = list(self._responses.values())
        added = partial(count_of_all, latest)
        done = sum(added(name) or 0 for name in ("completed", "failed", "warning"))
        return SubOperationEvent.of(
            total=self._instances,
            completed=added("completed"),
            failed=added("failed"),
            warning=added("warning"),
            remaining=max(0, self._instances - done),
            elapsed_s=max(one.elapsed_s for one in latest),
        )

    def finish(self) -> Task | AttemptEnd:
        """Return the task of the verdict; or the end of the row, if its worker or its receiver is gone."""
        self.has_finished = True
        moves = tuple(move for end in self._ends if not isinstance(end, NoReceiver) for move in end.moves)
        results = [end.result for end in self._ends if isinstance(end, Moved)]
        is_vain = not results or (self._is_refused and not self._stopped)
        whole = self._whole(results) if results else None
        gone = next((end for end in self._ends if not isinstance(end, Moved)), None)
        if gone is not None:
            sent = sum(map(number_sent_by, self._ends))
            error = "receiver_failed" if isinstance(gone, NoReceiver) else gone.error
            return Lost(gone.problem, error, sent, whole, moves) if sent else gone
        silences = [end.silence_s for end in self._ends if isinstance(end, Moved) and end.silence_s is not None]
        parts = Parts(
            self._number,
            None if is_vain or whole is None else self._as_stopped(whole),
            moves,
            silence_s=max(silences, default=None),
            went_well=not self._waiting and all(result.outcome == "complete" for result in results),
            instances=self._instances,
        )
        return replace(self.task, parts=parts)

    @property
    def _is_refused(self) -> bool:
        """Whether the PACS has refused each part so far, so that the whole study has to be requested."""
        return bool(self._ends) and all(isinstance(end, Moved) and is_refused(end.result) for end in self._ends)

    @property
    def _is_broken(self) -> bool:
        """Whether a part had no answer, or the row was stopped."""
        return self._stopped or any(not isinstance(end, Moved) or end.result.status is None for end in self._ends)

    def _whole(self, results: Sequence[MoveResult]) -> MoveResult:
        unasked = sum(self._numbers[one] or 1 for one in self._waiting)
        whole = side_by_side(self.task.identifier, results, unasked)
        begun, ended = zip(*self._spans, strict=True)
        return replace(whole, duration_s=max(ended) - min(begun))

    def _as_stopped(self, whole: MoveResult) -> MoveResult:
        """Return the result of a row that was stopped between two parts: that of a cancelled C-MOVE."""
        if not self._stopped or not self._waiting:
            return whole
        return replace(whole, evidence=replace(whole.evidence, cancelled=True))


class Splits:
    """The rows of a run whose series are being moved side by side.

    The order of requests: first verdicts; then the next part of a row that has begun and has no request in flight; then
    waiting rows of the schedule; then further parts.
    """

    def __init__(self) -> None:
        self._splits: dict[int, Split] = {}
        self._verdicts: deque[Task] = deque()
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._splits)

    @property
    def has_part(self) -> bool:
        """Whether a part may begin."""
        return any(split.has_part for split in self._splits.values())

    @property
    def idle(self) -> int:
        """The number of rows that have begun and have no request in flight."""
        between = sum(not split.in_flight and not split.has_finished for split in self._splits.values())
        return between + len(self._verdicts)

    def begin(self, task: Task, listed: SeriesListed) -> None:
        """Add a row with its series."""
        number = next(self._numbers)
        self._splits[number] = Split(number, task, listed)

    def of(self, task: Task) -> Split | None:
        """Return the row of a part or of a verdict."""
        step = task.part or task.parts
        return self._splits.get(step.split) if step else None

    def over(self) -> Iterator[tuple[Task, AttemptEnd]]:
        """Queue the verdicts of rows whose parts have ended; yield the rows that need no verdict."""
        for split in [split for split in self._splits.values() if split.is_over]:
            left = split.finish()
            if isinstance(left, Task):
                self._verdicts.append(left)
            else:
                self.end(split)
                yield split.task, left

    def next_verdict(self) -> Task | None:
        """Return the next verdict."""
        return self._verdicts.popleft() if self._verdicts else None

    def next_part(self, now: float, *, further: bool) -> Task | None:
        """Return the next part; with `further`, also of rows that have a part in flight."""
        for split in self._splits.values():
            if split.has_part and split.not_before <= now and (further or not split.in_flight):
                return split.next()
        return None

    def wakes_at(self) -> list[float]:
        """Return when the parts that were put back may begin."""
        return [split.not_before for split in self._splits.values()]

    def stop(self) -> None:
        """Begin no more parts."""
        for split in self._splits.values():
            split.stop()

    def give_up(self) -> None:
        """Forget the rows whose verdict has not begun."""
        waiting = {task.parts.split for task in self._verdicts if task.parts}
        self._verdicts.clear()
        begun = {number for number, split in self._splits.items() if split.has_finished} - waiting
        self._splits = {number: split for number, split in self._splits.items() if number in begun}

    def end(self, split: Split) -> None:
        """Forget a row that has its verdict."""
        self._splits = {number: other for number, other in self._splits.items() if other is not split}


def _parts(task: Task, listed: SeriesListed) -> Mapping[Identifier, int | None]:
    """Return the parts of a row, each with its number of instances if it is known."""
    if listed.missing:
        return missing_parts(task.identifier, listed.missing, task.depth)
    return {in_series(task.identifier, uid): number for uid, number in listed.series.items()}
