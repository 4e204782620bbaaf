"""The C-FINDs of one row, as values (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dicomove.cohort.levels import IDENTIFYING_KEYS, MATCHING_KEYS, Level, QueryModel
from dicomove.cohort.matching import is_universal
from dicomove.cohort.values import is_blank


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One C-FIND.

    Parameters
    ----------
    level
        Its query level.
    keys
        Its matching keys as pairs of keyword and value, from the top level. The unique keys from an answer of the
        previous step are added to them.
    checks
        Further keys of the row, which are not sent. An answer that contradicts one of them does not match.
    """

    level: Level
    keys: tuple[tuple[str, str], ...]
    checks: tuple[tuple[str, str], ...] = ()

    @property
    def identifying(self) -> tuple[str, ...]:
        """The keys of this level that name a patient or a study, without its unique key."""
        own = (
            (*MATCHING_KEYS["PATIENT"], *MATCHING_KEYS["STUDY"]) if self.level == "STUDY" else MATCHING_KEYS[self.level]
        )
        return tuple(
            name for name, _ in self.keys if name in IDENTIFYING_KEYS and name in own and not name.endswith("UID")
        )

    def __repr__(self) -> str:
        return f"Step({', '.join([self.level, *(name for name, _ in self.keys)])})"


@dataclass(frozen=True, slots=True, repr=False)
class Query:
    """The C-FINDs for one row of a table.

    Parameters
    ----------
    level
        The query level of the last step.
    query_model
        The information model.
    steps
        The steps, from the top level.
    notes
        Sentences about the row, for its ``advice``.
    blank
        The keys that other rows of the table have and this one lacks.

    Examples
    --------
    >>> from dicomove.cohort import find_query
    >>> find_query({"AccessionNumber": "A1", "Modality": "CT"}, "SERIES")
    Query(SERIES, StudyRoot, Step(STUDY, AccessionNumber), Step(SERIES, Modality))
    """

    level: Level
    query_model: QueryModel
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
    blank: tuple[str, ...] = field(default=(), compare=False)

    @property
    def asked_by(self) -> tuple[str, ...]:
        """The keywords of the keys that are sent."""
        return tuple(dict.fromkeys(name for step in self.steps for name, _ in step.keys))

    @property
    def is_by_uid(self) -> bool:
        """Whether the first step asks by UIDs, so that studies of other patients cannot match."""
        return any(name.endswith("UID") for name, _ in self.steps[0].keys)

    def __repr__(self) -> str:
        return f"Query({', '.join([self.level, self.query_model, *map(repr, self.steps)])})"


def prepared_cells(cells: Mapping[str, object], level: Level) -> dict[str, object]:
    """Return the cells that are not empty, by the keyword under which they are sent."""
    prepared = {name: cell for name, cell in cells.items() if not is_blank(cell) and not is_universal(cell, name)}
    if level == "STUDY" and "Modality" in prepared:
        prepared.setdefault("ModalitiesInStudy", prepared["Modality"])
        del prepared["Modality"]
    return prepared
