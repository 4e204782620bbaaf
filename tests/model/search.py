"""What has to be true of a `find`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

import dicomove as dm
from tests.model.table import SAID_BY_FIND, Asked, Cell, Row
from tests.model.words import FIELDS, KEYS, LEVELS, NUMBER_KEYS, reaches_everyone
from tests.model.world import World, holds_soon


@dataclass(frozen=True)
class Found:
    """One `find` of studies by their UID, and what it returned."""

    world: World
    uids: Sequence[str]
    level: str
    result: pd.DataFrame
    warned: bool

    @property
    def may_be_wrong(self) -> bool:
        """Whether a fault may reach one of its C-FINDs."""
        return any("C-FIND" in fault.commands or reaches_everyone(fault) for fault in self.world.faults)

    def rows(self) -> list[Row]:
        """Return its rows as they can be moved."""
        names = [name for name in (*KEYS, *NUMBER_KEYS.values()) if name in self.result]
        return [
            {name: _found_cell(row[name]) for name in names}
            | ({} if row["matches"] else {SAID_BY_FIND: Cell(row["outcome"], row["outcome"])})
            for row in self.result.to_dict("records")
        ]


def _found_cell(raw: Any) -> Cell:
    return Cell(raw, blank=True) if pd.isna(raw) else Cell(raw, str(raw))


def search(world: World, uids: Sequence[str], level: str) -> Found:
    """Find studies, or what is in them."""
    table = pd.DataFrame({"StudyInstanceUID": uids}, dtype=object)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", dm.errors.FindWarning)
        result = dm.find(table, world.pacs(), level=level, progress=False)
    assert holds_soon(lambda: not world.open_connections(), 5), "find left a connection open"
    world.settle()
    return Found(world, uids, level, result, warned=bool(caught))


def each_row_that_asked_is_answered_in_its_order(found: Found) -> None:
    asked_by = found.result["cohort_row"].tolist()
    assert asked_by == sorted(asked_by)
    assert set(asked_by) == set(range(len(found.uids)))


def nothing_is_found_that_nobody_asked_for(found: Found) -> None:
    uids = [found.uids[row] for row in found.result["cohort_row"]]
    assert found.result["StudyInstanceUID"].tolist() == uids


def what_is_left_out_is_warned_of(found: Found) -> None:
    assert found.warned or not found.result["filtered"].any()
    assert found.may_be_wrong or not found.warned


def what_is_found_is_what_is_there(found: Found) -> None:
    if found.may_be_wrong:
        return
    name = KEYS[LEVELS.index(found.level)]
    for row, uid in enumerate(found.uids):
        there = found.world.instances(Asked("STUDY", "StudyRoot", (("StudyInstanceUID", uid),)))
        answers = found.result[found.result["cohort_row"] == row]
        wanted = {getattr(one, FIELDS[KEYS.index(name)]) for one in there}
        assert set(answers["outcome"]) == {"matched" if there else "empty"}
        assert not there or sorted(answers[name]) == sorted(wanted)


def finds_the_truth(found: Found) -> None:
    """Raise AssertionError for the first promise that a `find` broke."""
    each_row_that_asked_is_answered_in_its_order(found)
    nothing_is_found_that_nobody_asked_for(found)
    what_is_left_out_is_warned_of(found)
    what_is_found_is_what_is_there(found)
