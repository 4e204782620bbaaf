"""The C-FINDs of one row (PS3.4 C.4.1).

A search is hierarchical: if a key belongs to a level above the requested one, dicomove asks at that level first, and
the unique keys of each answer go into the next step. A row needs an identifying key (`IDENTIFYING_KEYS`); dates,
modalities and descriptions only narrow the search. If a row has the unique key of a level, dicomove sends only that
key, and compares the answers with the other keys of the level. An identifying key that cannot be read makes the row
invalid even then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from dicomove.cohort.doubts import placeholder
from dicomove.cohort.key_values import criterion, has_wildcard, is_single, is_universal
from dicomove.cohort.keywords import (
    IDENTIFYING_KEYS,
    LEVELS,
    UNIQUE_KEYS,
    VRS,
    Level,
    QueryModel,
    keys_at,
    levels_down_to,
)
from dicomove.cohort.likeness import invisible_in
from dicomove.cohort.values import EDGES, given_key, is_blank, unreadable, zone_of
from dicomove.errors import IdentifierError

Broad = Literal["refuse", "allow"]

#: The numbers of a patient and a study: a row of `find` is compared by them if it may have changed since.
_NUMBERS = frozenset({"PatientID", "AccessionNumber"})


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """One C-FIND.

    Parameters
    ----------
    level, query_model
        Its query level and information model.
    keys
        Its matching keys as pairs of keyword and value, from the top level. The unique keys from an answer of the
        previous step are added to them.
    checks
        Further keys of the row, which are not sent. An answer that contradicts one of them does not match.
    """

    level: Level
    query_model: QueryModel
    keys: tuple[tuple[str, str], ...]
    checks: tuple[tuple[str, str], ...] = ()

    @property
    def unique(self) -> str:
        """The unique key of its level."""
        return UNIQUE_KEYS[self.query_model][self.level][-1]

    @property
    def above(self) -> tuple[str, ...]:
        """The unique keys of the levels above."""
        return UNIQUE_KEYS[self.query_model][self.level][:-1]

    @property
    def identifying(self) -> tuple[str, ...]:
        """The keys of this level that name a patient or a study, without UIDs.

        A PACS that ignores a key leaves it out of its answers, or leaves it empty, and its answers may be of any
        patient.
        """
        own = keys_at(self.level, self.query_model)
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
    steps
        The steps, from the top level.
    notes
        Sentences about the row, for its ``advice``.
    blank
        The keys that other rows of the table have and this one lacks.

    Examples
    --------
    >>> row_query({"AccessionNumber": "A1", "Modality": "CT"}, "SERIES", "StudyRoot", broad="refuse", given=False)
    Query(SERIES, StudyRoot, Step(STUDY, AccessionNumber), Step(SERIES, Modality))
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)
    blank: tuple[str, ...] = field(default=(), compare=False)

    @property
    def level(self) -> Level:
        """The query level: that of the last step."""
        return self.steps[-1].level

    @property
    def query_model(self) -> QueryModel:
        """The information model."""
        return self.steps[-1].query_model

    @property
    def asked_by(self) -> tuple[str, ...]:
        """The keywords of the keys that are sent."""
        return tuple(dict.fromkeys(name for step in self.steps for name, _ in step.keys))

    @property
    def is_by_uid(self) -> bool:
        """Whether the first step asks by UIDs, so that studies of other patients cannot match."""
        return any(name.endswith("UID") for name, _ in self.steps[0].keys)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The keys that are sent, and often stand for an empty cell."""
        return tuple(name for step in self.steps for name, value in step.keys if placeholder(value, name))

    @property
    def names_one_patient(self) -> bool:
        """Whether it means one patient. Its matches may be of several all the same, even those of one UID."""
        named = [value for name, value in self.steps[0].keys if name in IDENTIFYING_KEYS]
        return bool(named) and all({"*", "?", "\\"}.isdisjoint(value) for value in named)

    def __repr__(self) -> str:
        return f"Query({', '.join([self.level, self.query_model, *map(repr, self.steps)])})"


def prepared_cells(cells: Mapping[str, object], level: Level) -> dict[str, object]:
    """Return the cells that are not empty, by the keyword under which they are sent."""
    prepared = {name: cell for name, cell in cells.items() if not is_blank(cell) and not is_universal(cell, name)}
    if level == "STUDY" and "Modality" in prepared:
        prepared.setdefault("ModalitiesInStudy", prepared["Modality"])
        del prepared["Modality"]
    return prepared


def row_query(
    cells: Mapping[str, object],
    level: Level,
    model: QueryModel,
    *,
    broad: Broad,
    given: bool,
    proven: Level | None = None,
    further_notes: Iterable[str] = (),
) -> Query:
    """Return the C-FINDs of one row.

    Parameters
    ----------
    cells
        The cells of the row, by keyword.
    level, model
        The query level, and the information model.
    broad
        ``"allow"`` accepts a row without an identifying key, too.
    given
        Whether the UIDs come from `find`, and are sent exactly as the PACS gave them.
    proven
        The level down to which a row from `find` is known to be unchanged; its UIDs below were typed. ``None`` if that
        is not known of any level: then the answers are compared with its PatientID and accession number.
    further_notes
        Notes about the row that follow from others.

    Raises
    ------
    IdentifierError
        The row cannot become a C-FIND.
    """
    prepared = prepared_cells(cells, level)
    if not prepared:
        msg = "the row is empty, or holds only wildcards: it would list the whole archive"
        raise IdentifierError(msg)
    steps: list[Step] = []
    known: tuple[tuple[str, str], ...] = ()  # unique keys of levels that need no separate C-FIND
    notes: list[str] = []
    for at in levels_down_to(level, model):
        unique = UNIQUE_KEYS[model][at][-1]
        is_seen = given and (proven is None or LEVELS.index(at) <= LEVELS.index(proven))
        keys, checks, said = _keys_and_checks(
            prepared, keys_at(at, model), unique, given=is_seen, proven=proven is not None
        )
        notes += said
        if at != level and not checks and [name for name, _ in keys] == [unique] and is_single(keys[0][1]):
            known += keys
            continue
        if not (steps or known or keys):
            raise _without_key(unique, at, model)
        steps.append(Step(at, model, (*known, *keys), checks))
        known = ()
    query = Query(tuple(steps))
    _check_identifying(query, broad)
    notes += (*_wildcard_notes(query), *(() if given else _placeholder_notes(query)))
    notes += (*_invisible_notes(prepared, query.asked_by), *_zone_notes(prepared), *further_notes)
    return replace(query, notes=tuple(notes))


def _given_checks(prepared: Mapping[str, object], names: Iterable[str], unique: str) -> tuple[tuple[str, str], ...]:
    """Return the keys of a row from `find` that show whether its UID was put beside another patient since."""
    numbers = [name for name in names if name in _NUMBERS and name != unique]
    return tuple((name, _given_value(prepared[name], name, unique)) for name in numbers)


def _given_value(cell: object, name: str, unique: str) -> str:
    """Return a value as the PACS gave it, whatever its form."""
    try:
        return criterion(cell, name)
    except IdentifierError as error:
        if isinstance(cell, str):  # a study may belong to several requests: one of their numbers is enough
            return next(filter(None, (part.strip(EDGES) for part in cell.split("\\"))), "")
        raise unreadable(error, unique) from None


def _keys_and_checks(
    prepared: Mapping[str, object], names: Iterable[str], unique: str, *, given: bool, proven: bool
) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...], list[str]]:
    """Return the keys to send at one level, the keys to compare with the answers, and notes about the rest."""
    filled = [name for name in names if name in prepared]
    if unique not in filled:
        return tuple((name, criterion(prepared[name], name)) for name in filled), (), []
    if given:
        compared = () if proven else _given_checks(prepared, filled, unique)
        return ((unique, given_key(prepared[unique], unique)),), compared, []
    checks, notes = [], []
    for name in filled:
        try:
            checks.append((name, criterion(prepared[name], name)))
        except IdentifierError as error:
            if name == unique:
                raise
            # The unique key may be wrong, and only an identifying key beside it could reveal another patient.
            if name in IDENTIFYING_KEYS:
                raise unreadable(error, unique) from None
            if not unique.endswith("UID"):
                raise
            notes.append(f"only {unique} was asked for: {error}")
    return ((unique, dict(checks).pop(unique)),), tuple(pair for pair in checks if pair[0] != unique), notes


def _check_identifying(query: Query, broad: Broad) -> None:
    if broad == "refuse" and not any(name in IDENTIFYING_KEYS for name in query.asked_by):
        msg = (
            f"the row names neither a patient nor a study: {', '.join(query.asked_by)} would match other patients' "
            f'studies. Fill one of {", ".join(IDENTIFYING_KEYS[:5])}, or set broad="allow"'
        )
        raise IdentifierError(msg)


def _wildcard_notes(query: Query) -> Sequence[str]:
    """Return a sentence about a row whose identifying keys all have wildcards."""
    keys = [pair for step in query.steps for pair in step.keys if pair[0] in IDENTIFYING_KEYS]
    if not keys or not all(has_wildcard(value) for _, value in keys):
        return ()
    return (f"{' and '.join(name for name, _ in keys)} with a wildcard may match several patients",)


def _placeholder_notes(query: Query) -> Sequence[str]:
    """Return a sentence for each identifier that often stands for an empty cell: several patients may have it.

    Zeros or nines beside a UID may be what the PACS has, and the UID names the study.
    """
    words = (pair for step in query.steps for pair in step.checks if not pair[1].isdigit())
    keys = (*(pair for step in query.steps for pair in step.keys), *words)
    found = ((name, placeholder(value, name)) for name, value in keys)
    return [f"{name} {why}: if so, blank the cell" for name, why in found if why]


def _invisible_notes(prepared: Mapping[str, object], names: Iterable[str]) -> list[str]:
    """Return a sentence for each key that had invisible characters."""
    found = {name: invisible_in(str(prepared[name])) for name in names if name in prepared}
    return [
        f"{name} was asked for without its invisible characters ({', '.join(characters)})"
        for name, characters in found.items()
        if characters
    ]


def _zone_notes(prepared: Mapping[str, object]) -> list[str]:
    """Return a sentence for each date that was a moment in a time zone: midnight in Berlin is the day before in UTC."""
    zones = {name: zone_of(cell) for name, cell in prepared.items() if VRS[name] == "DA"}
    return [f"{name} was a moment: its day in the time zone {zone} counts" for name, zone in zones.items() if zone]


def with_blank_keys(query: Query | IdentifierError, filled: set[str], *, refuse: bool) -> Query | IdentifierError:
    """Return a query with a note about the keys that it lacks and other rows have, or the error for such a row."""
    if isinstance(query, IdentifierError):
        return query
    blank = _blank_keys(query, filled)
    if not blank:
        return query
    are = "is" if len(blank) == 1 else "are"
    which = f"asked only by {', '.join(query.asked_by)}: in this row, {' and '.join(blank)} {are} blank"
    if refuse:
        msg = f'{which} (partial_keys="refuse")'
        return IdentifierError(msg, column=blank[0])
    return replace(query, blank=blank, notes=(which, *query.notes))


def _blank_keys(query: Query, filled: set[str]) -> tuple[str, ...]:
    """Return the keys that other rows have and this one lacks, at the levels where it also lacks the unique key.

    An accession number names one study, as a UID does: if a row has it, the blank UID does not count.
    """
    has = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
    lacking = (
        name
        for at in levels_down_to(query.level, query.query_model)
        if UNIQUE_KEYS[query.query_model][at][-1] not in has
        for name in keys_at(at, query.query_model)
    )
    enough = "StudyInstanceUID" if "AccessionNumber" in has else ""
    return tuple(name for name in lacking if name in filled and name not in (*has, enough))


def _without_key(unique: str, level: Level, model: QueryModel) -> IdentifierError:
    hint = ' (query_model="StudyRoot" needs no PatientID)' if unique == "PatientID" else ""
    msg = f"{unique} is empty, and the row has no other key of the level {level}, where a {model} search begins{hint}"
    return IdentifierError(msg, column=unique)
