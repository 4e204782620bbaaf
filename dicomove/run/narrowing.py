"""What to ask for where a row is incomplete: instances, else series, else all of it; and when with C-GET. Pure.

And the result of several C-MOVEs, one after the other or side by side, as that of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Final, get_args

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.outcome import Counts
from dicomove.run.attempt import Depth
from dicomove.run.questions import Listed
from dicomove.words import REFUSALS

#: C-MOVEs for one row beyond which it is kinder to ask for more at a time.
_MOST_ASKED: Final = 16
#: UIDs in one identifier: 32 KiB at the most.
_MOST_UIDS: Final = 500
_DEPTHS: Final[tuple[Depth, ...]] = get_args(Depth)
#: The PACS does not offer C-MOVE, or does not know where to move to: so it is, whatever comes.
_NEVER: Final = frozenset({"destination_unknown", "not_supported"})
#: So it looks where the PACS cannot reach the receiver, as long as nothing came.
_NOTHING_COMES: Final = frozenset(
    {"all_failed", "idle_timeout", "missing_instances", "out_of_resources", "unable_to_process"}
)

#: How a PACS says that it could send none of the instances, and that it could not send all of them (PS3.4 C.4.2.1.5).
_ALL_FAILED: Final = 0xA702
_SOME_FAILED: Final = 0xB000


def asks(identifier: Identifier, missing: Listed, depth: Depth) -> tuple[Depth, list[Identifier]]:
    """Return the C-MOVEs that bring what is missing, and how far down they go.

    Parameters
    ----------
    identifier
        Of the row: a study or a series.
    missing
        The instances, with their series.
    depth
        How far down the PACS can be asked.
    """
    if identifier.level not in ("STUDY", "SERIES") or not all(missing.values()):
        return "whole", [identifier]
    found = (
        (reached, list(islice(_asks(identifier, missing, reached), _MOST_ASKED + 1)))
        for reached in _DEPTHS[_DEPTHS.index(depth) :]
    )
    return next((reached, asked) for reached, asked in found if len(asked) <= _MOST_ASKED)  # the whole is one


def coarser(depth: Depth) -> Depth | None:
    """Return the next depth, if there is one."""
    below = _DEPTHS.index(depth) + 1
    return _DEPTHS[below] if below < len(_DEPTHS) else None


def is_refused(result: MoveResult) -> bool:
    """Whether the PACS had an answer, and it was that it cannot, or nothing."""
    moved = result.evidence.counts.moved
    return result.status is not None and not moved and (result.error in REFUSALS or result.outcome == "empty")


def in_series(identifier: Identifier, series: str) -> Identifier:
    """Return the identifier of one series of a study."""
    above = tuple(pair for pair in identifier.keys if pair[0] != "SeriesInstanceUID")
    return Identifier("SERIES", identifier.query_model, (*above, ("SeriesInstanceUID", series)))


def combined(results: Sequence[MoveResult]) -> MoveResult:
    """Return the result of several C-MOVEs as that of one: counts are added, the first that went wrong is the word."""
    *_, last = results
    if len(results) == 1:
        return last
    word = next((result for result in results if result.outcome != "complete"), last)
    counts = Counts(
        **{name: _sum(results, name) for name in ("total", "completed", "failed", "warning", "remaining")},
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
    """Return the result of several C-MOVEs at the same time as that of one, which lasts from the first to the last.

    Parameters
    ----------
    identifier
        Of the row.
    results
        Of its parts: the first that was not answered, or else the first that went wrong, is the word.
    unasked
        How many instances were never asked for: they remain.
    """
    whole = combined(sorted(results, key=lambda result: result.status is not None))
    started, finished = min(one.started_at for one in results), max(one.finished_at for one in results)
    evidence, counts = whole.evidence, whole.evidence.counts
    if evidence.status == _ALL_FAILED and counts.failed and counts.moved:  # of one series, and so some of the study
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
        duration_s=(finished - started) / timedelta(seconds=1),
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


def _sum(results: Sequence[MoveResult], name: str) -> int | None:
    known = [value for result in results if (value := getattr(result, name)) is not None]
    return sum(known) if known else None


def cannot_move(result: MoveResult) -> bool:
    """Return whether the PACS cannot move to the receiver, as far as one C-MOVE tells."""
    evidence = result.evidence
    return result.error in _NEVER or (evidence.sent and evidence.arrivals == 0 and result.error in _NOTHING_COMES)
