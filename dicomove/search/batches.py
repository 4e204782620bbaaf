"""Which rows a PACS can be asked for at once: those that differ in one UID alone (PS3.4 C.2.2.2.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from dicomove.cohort import UNIQUE_KEYS, Query

#: The UIDs in one list. A longer list gains little: the time of a C-FIND is then that of its answers.
MOST: Final = 50

_UID: Final = re.compile(r"[0-9.]{1,64}")

Batch = tuple[Query, ...]


def batches(queries: Iterable[Query]) -> list[Batch]:
    """Return different queries in groups that a PACS can be asked for at once, in the order of their first members."""
    made: list[list[Query]] = []
    open_ones: dict[object, list[Query]] = {}
    for query in dict.fromkeys(queries):
        alike = _alike(query)
        group = open_ones.get(alike) if alike else None
        if group is None or len(group) == MOST:
            group = []
            made.append(group)
            open_ones[alike] = group
        group.append(query)
    return [tuple(group) for group in made]


def uid_of(query: Query) -> str:
    """Return the UID by which a query of a batch differs from the others."""
    return query.steps[-1].keys[-1][1]


def _alike(query: Query) -> object:
    """Return what the queries of one list share, or None for a query that cannot be in a list."""
    step = query.steps[-1]
    unique = UNIQUE_KEYS[query.query_model][step.level]
    names = [name for name, _ in step.keys]
    # Before the UID, only the unique keys of the levels above, which have one value each.
    by_uid = len(query.steps) == 1 and step.level == query.level and names[-1:] == [unique[-1]]
    if not by_uid or not set(names[:-1]) <= set(unique[:-1]) or not _UID.fullmatch(step.keys[-1][1]):
        return None
    return query.level, query.query_model, step.keys[:-1], tuple(name for name, _ in step.checks)
