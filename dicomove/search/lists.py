"""Rows that are asked together, as a list of UIDs (PS3.4 C.2.2.2.2), or one by one if the PACS refuses lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from dicomove.cohort import Query
from dicomove.dimse import FindResult
from dicomove.dimse.presentation_contexts import LOOSE_UID
from dicomove.search.c_find import Asker
from dicomove.search.limits import MOST_IN_LIST, KnownLimits
from dicomove.search.row import Answer, Search

_SUCCESS: Final = "0x0000"
#: After so many answers that no row of a list asked for, the C-FIND is cancelled: the PACS ignores the list.
_MOST_FOREIGN: Final = 10
#: The most rows that are asked alone to learn whether a PACS accepts lists; other threads wait meanwhile.
_MOST_TRIALS: Final = 5

Batch = tuple[Query, ...]


def ask_batch(batch: Batch, search: Search, asker: Asker, limits: KnownLimits) -> Iterator[tuple[Query, Answer]]:
    """Yield the answers to the queries of a batch, in their order, each as soon as it is known.

    Raises
    ------
    Stopped
        The run was stopped.
    """
    begin = 0
    while begin < len(batch):
        number = limits.most_in_list
        part = batch[begin : begin + max(number, 1)]
        begin += len(part)
        if len(part) == 1:
            yield part[0], search.ask(part[0])
        else:
            yield from _ask_part(part, search, asker, limits)


def _ask_part(part: Batch, search: Search, asker: Asker, limits: KnownLimits) -> Iterator[tuple[Query, Answer]]:
    if not limits.lists_are_known:
        asker.wait_until(lambda: limits.trial.acquire(blocking=False))
        try:
            asked = _Asked(part, search, limits)
            asked.try_some()
        finally:
            limits.trial.release()
    else:
        asked = _Asked(part, search, limits)
    for query in part:
        yield query, asked.answer(query)


class _Asked:
    """The answers to one list of UIDs.

    Parameters
    ----------
    part
        The queries.
    search
        Sends the C-FINDs.
    limits
        The known limits of the PACS, which the list may update.
    """

    def __init__(self, part: Batch, search: Search, limits: KnownLimits) -> None:
        self._part, self._search, self._limits = part, search, limits
        self._alone: dict[Query, Answer] = {}
        # Another thread may have learnt meanwhile that the PACS does not accept lists.
        self._result = _ask_list(part, search) if limits.most_in_list > 1 else None
        self._listed = dict(_confirmed(part, self._result, search)) if self._result else {}
        if self._listed:
            limits.lists_are_known = True

    def try_some(self) -> None:
        """Ask for some rows without an answer alone, to learn about lists before the PACS gets another one."""
        lacking = [query for query in self._part if query not in self._listed]
        for query in lacking[:_MOST_TRIALS]:
            if self._limits.lists_are_known:
                return
            self.answer(query)

    def answer(self, query: Query) -> Answer:
        """Return the answer to one row; ask for the row alone if the list did not bring it."""
        if query in self._listed:
            return self._listed[query]
        if query not in self._alone:
            self._alone[query] = self._search.ask(query)
            if self._alone[query].outcome == "matched" and self._tells_of_lists():
                self._limits.shorten_lists(len(self._listed))
        return self._alone[query]

    def _tells_of_lists(self) -> bool:
        """Whether the list failed because it was a list, and not because of the network."""
        result = self._result
        return result is not None and (not self._limits.lists_are_known or result.status is not None)


def _ask_list(part: Batch, search: Search) -> FindResult:
    uids = {uid_of(query) for query in part}
    foreign = total = 0

    def is_enough(match: dict[str, str]) -> bool:
        nonlocal foreign, total
        total += 1
        foreign += match.get(_unique(part)) not in uids
        return foreign > _MOST_FOREIGN or total > _MOST_FOREIGN * len(uids)

    return search.ask_list(part, sorted(uids), is_enough)


def _confirmed(part: Batch, result: FindResult, search: Search) -> Iterator[tuple[Query, Answer]]:
    """Yield the rows with a certain answer from the list."""
    found: dict[str, list[dict[str, str]]] = {uid_of(query): [] for query in part}
    unique = _unique(part)
    if result.status != _SUCCESS or result.cancelled or any(match.get(unique) not in found for match in result):
        return
    for match in result:
        found[match[unique]].append(match)
    for query in part:
        own = replace(result, matches=tuple(found[uid_of(query)]))
        answer = search.ask(query, own) if own.matches else None
        if answer and answer.outcome == "matched" and not answer.filtered:
            yield query, answer


def _unique(part: Sequence[Query]) -> str:
    return part[0].steps[-1].unique


def batches(queries: Iterable[Query]) -> list[Batch]:
    """Return different queries in groups that can be one list, in the order of their first members."""
    made: list[list[Query]] = []
    open_ones: dict[object, list[Query]] = {}
    for query in dict.fromkeys(queries):
        alike = _alike(query)
        group = open_ones.get(alike) if alike else None
        if group is None or len(group) == MOST_IN_LIST:
            group = []
            made.append(group)
            open_ones[alike] = group
        group.append(query)
    return [tuple(group) for group in made]


def uid_of(query: Query) -> str:
    """Return the UID that is different for each query of a batch."""
    return query.steps[-1].keys[-1][1]


def _alike(query: Query) -> object:
    """Return the common part of the queries of one list, or None for a query that cannot be in a list."""
    step = query.steps[-1]
    names = [name for name, _ in step.keys]
    # Before the UID, only the unique keys of the levels above, which have one value each.
    by_uid = len(query.steps) == 1 and step.level == query.level and names[-1:] == [step.unique]
    if not by_uid or not set(names[:-1]) <= set(step.above) or not LOOSE_UID.fullmatch(step.keys[-1][1]):
        return None
    return query.level, query.query_model, step.keys[:-1], tuple(name for name, _ in step.checks)
