"""The requests for an incomplete row: its missing instances, else their series, else the whole row. Pure.

Also: several C-MOVEs, one after the other or side by side, as one result; and when C-GET replaces C-MOVE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final, Literal, get_args

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.outcome import Counts
from dicomove.run.attempt.ends import Depth, Moved
from dicomove.run.attempt.questions import Listed
from dicomove.run.options import Method
from dicomove.words import REFUSALS

#: With more C-MOVEs than this for one row, coarser requests are a smaller load for the PACS.
_MOST_ASKED: Final = 16
#: UIDs in one identifier: 32 KiB at the most.
_MOST_UIDS: Final = 500
_DEPTHS: Final[tuple[Depth, ...]] = get_args(Depth)
#: The PACS does not offer C-MOVE, or does not know the destination: this cannot change during the run.
_NEVER: Final = frozenset({"destination_unknown", "not_supported"})
#: Errors of a PACS that cannot reach the receiver, if no instance came.
_NOTHING_COMES: Final = frozenset(
    {"all_failed", "idle_timeout", "missing_instances", "out_of_resources", "unable_to_process"}
)

#: The Statuses of a PACS that could send no instance, and that could send only some (PS3.4 C.4.2.1.5).
_ALL_FAILED: Final = 0xA702
_SOME_FAILED: Final = 0xB000


def asks(identifier: Identifier, missing: Listed, depth: Depth) -> tuple[Depth, list[Identifier]]:
    """Return the C-MOVEs for missing instances, and their depth.

    Parameters
    ----------
    identifier
        Of the row: a study or a series.
    missing
        The instances, with their series.
    depth
        The finest request that the PACS accepts.
    """
    if identifier.level not in ("STUDY", "SERIES") or not all(missing.values()):
        return "whole", [identifier]
    found = (
        (reached, list(islice(_asks(identifier, missing, reached), _MOST_ASKED + 1)))
        for reached in _DEPTHS[_DEPTHS.index(depth) :]
    )
    return next((reached, asked) for reached, asked in found if len(asked) <= _MOST_ASKED)  # the whole is one


def coarser(depth: Depth) -> Depth | None:
    """Return the next coarser depth, if there is one."""
    below = _DEPTHS.index(depth) + 1
    return _DEPTHS[below] if below < len(_DEPTHS) else None


def is_refused(result: MoveResult) -> bool:
    """Whether the PACS answered that it cannot do this, or that nothing matches."""
    moved = result.evidence.counts.moved
    return result.status is not None and not moved and (result.error in REFUSALS or result.outcome == "empty")


def in_series(identifier: Identifier, series: str) -> Identifier:
    """Return the identifier of one series of a study."""
    above = tuple(pair for pair in identifier.keys if pair[0] != "SeriesInstanceUID")
    return Identifier("SERIES", identifier.query_model, (*above, ("SeriesInstanceUID", series)))


def combined(results: Sequence[MoveResult]) -> MoveResult:
    """Return several C-MOVEs as one result: the counts are sums, status and error those of the first failure.

    If a stop came between two of them, the result is that of a cancelled C-MOVE.
    """
    *before, last = results
    if before and last.outcome == "not_attempted":
        whole = combined(before)
        return replace(whole, outcome="cancelled", evidence=replace(whole.evidence, cancelled=True))
    if len(results) == 1:
        return last
    word = next((result for result in results if result.outcome != "complete"), last)
    counts = Counts(
        **{name: count_of_all(results, name) for name in ("total", "completed", "failed", "warning", "remaining")},
        at_end=all(result.evidence.counts.at_end for result in results),
    )
    failed = tuple(uid for result in results for uid in result.failed_sop_instance_uids)
    return replace(
        word,
        started_at=results[0].started_at,
        finished_at=last.finished_at,
        duration_s=sum(result.duration_s for result in results),
        evidence=replace(word.evidence, counts=counts, failed_sop_instance_uids=failed),
    )


def side_by_side(identifier: Identifier, results: Sequence[MoveResult], unasked: int = 0) -> MoveResult:
    """Return simultaneous C-MOVEs as one result. Its duration is that of the longest of them.

    Parameters
    ----------
    identifier
        Of the row.
    results
        The results of its parts. Status and error are those of the first part without an answer, or of the first
        failure.
    unasked
        The number of instances that were not asked for; they count as remaining.
    """
    whole = combined(sorted(results, key=lambda result: result.status is not None))
    started, finished = min(one.started_at for one in results), max(one.finished_at for one in results)
    evidence, counts = whole.evidence, whole.evidence.counts
    if evidence.status == _ALL_FAILED and counts.failed and counts.moved:  # only all of one series failed
        evidence = replace(evidence, status=_SOME_FAILED)
    if unasked:
        counts = replace(
            counts, total=(counts.total or 0) + unasked, remaining=(counts.remaining or 0) + unasked, at_end=False
        )
    return replace(
        whole,
        identifier=identifier,
        started_at=started,
        finished_at=finished,
        duration_s=max(one.duration_s for one in results),
        evidence=replace(evidence, counts=counts, sent=any(one.evidence.sent for one in results)),
    )


def _asks(identifier: Identifier, missing: Listed, depth: Depth) -> Iterator[Identifier]:
    if depth == "whole":
        yield identifier
        return
    for series in dict.fromkeys(missing.values()):
        whole = in_series(identifier, series)
        if depth == "series":
            yield whole
            continue
        uids = [uid for uid, its_series in missing.items() if its_series == series]
        size = _MOST_UIDS if depth == "instances" else 1
        for start in range(0, len(uids), size):
            listed = "\\".join(uids[start : start + size])
            yield Identifier("IMAGE", identifier.query_model, (*whole.keys, ("SOPInstanceUID", listed)))


def count_of_all(results: Iterable[object], name: str) -> int | None:
    """Return the sum of a count of several results or responses; ``None`` if none has it."""
    known = [value for result in results if (value := getattr(result, name)) is not None]
    return sum(known) if known else None


def cannot_move(result: MoveResult) -> bool:
    """Return whether this C-MOVE shows that the PACS cannot move to the receiver."""
    evidence = result.evidence
    return result.error in _NEVER or (evidence.sent and evidence.arrivals == 0 and result.error in _NOTHING_COMES)


class MethodChoice:
    """The method of a run, as far as its rows have shown which one works.

    Parameters
    ----------
    method
        C-MOVE, C-GET, or ``"auto"``: C-MOVE until a row shows that it cannot work, and C-GET from then on if the PACS
        offers it.

    Attributes
    ----------
    now
        The method of the rows that begin now.
    """

    def __init__(self, method: Method) -> None:
        self.now: Literal["move", "get"] = "get" if method == "get" else "move"
        #: C-MOVE may become C-GET, and then C-MOVE again.
        self._may_change = self._may_return = method == "auto"

    def repeats(self, method: Literal["move", "get"], moved: Moved) -> bool:
        """Take note of an attempt with a method; return whether its row is tried again at once, with the other one."""
        return self._after_get(moved) if method == "get" else self._after_move(moved)

    def _after_move(self, moved: Moved) -> bool:
        is_vain = cannot_move(moved.result)
        if self._may_change:
            self._may_change = not (is_vain or moved.result.evidence.arrivals)
            self.now = "get" if is_vain else "move"
        return self.now == "get" and is_vain

    def _after_get(self, moved: Moved) -> bool:
        evidence = moved.result.evidence
        # A refusal before the request, and not for good, is about the SOP classes of this row only.
        is_of_pacs = evidence.permanent or evidence.sent
        is_vain = self._may_return and is_of_pacs and moved.result.error == "not_supported"
        if is_vain:
            self.now = "move"
        self._may_return &= not evidence.arrivals
        return is_vain
