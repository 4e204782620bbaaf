"""`verdicts`: one verdict for each row of the cohort, on the cohort's own index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import (
    UNIQUE_KEYS,
    exchanged_labels,
    is_blank,
    keyword_columns,
    plain_label,
    positions_in,
    text_unless_blank,
)
from dicomove.columns import VERDICT_COLUMNS
from dicomove.errors import CohortError, CohortWarning, warn
from dicomove.outcome import sentences
from dicomove.results import FIND_BROKE_OFF
from dicomove.search import DISTINGUISHING
from dicomove.words import GRAVEST_FIRST, SKIPPED

__all__ = ["VERDICT_COLUMNS", "verdicts"]

_NOT_MOVED: Final = "Found, but not moved yet: move it."
_NOT_THERE: Final = "The results have no row for it: find it and move it."
_KEYS: Final = UNIQUE_KEYS["PatientRoot"]["IMAGE"]
_UIDS: Final = _KEYS[1:]
#: The other columns by which the table of `find` keeps matches with one UID apart.
_APART: Final = tuple(name for name in DISTINGUISHING if name not in _KEYS)
_COUNTS: Final = ("expected", "received", "missing")
_READ: Final = (*_COUNTS, "outcome", "error", "advice", "completed", "warning", "matches")
#: The number of related instances by C-FIND, by the deepest key of a row.
_NUMBERS: Final = {
    "StudyInstanceUID": "NumberOfStudyRelatedInstances",
    "SeriesInstanceUID": "NumberOfSeriesRelatedInstances",
}


def verdicts(cohort: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return one verdict for each row of a cohort over all studies that it matched.

    Parameters
    ----------
    cohort
        The table that you gave to `find` or `retrieve`, or some of its rows with all of their cells.
    results
        The result of `move` for the table of `find`, or of `retrieve` for the cohort. It may come from a file, or
        combine several such tables with `pd.concat`: each study counts with its best result.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `cohort`, on its index and in its order, and

        - ``studies``, ``studies_complete``: how many studies the row matched, and how many of them are complete.
        - ``expected``, ``received``, ``missing``: instances of all its studies, each counted once; null unless the
          number is known for all of them (``received``: for any of them).
        - ``outcome``: ``complete`` if everything that the row matched is complete; ``partial`` if some of it arrived;
          otherwise the most serious outcome of its studies, or the outcome of `find`. ``not_attempted`` for a row that
          `results` does not contain.
        - ``error``, ``advice``: from the most serious of its studies.

        A column of your own with one of these names becomes ``<name>_cohort``, with a warning.

    Raises
    ------
    CohortError
        The results are not from this cohort, or it has got another index or other keys since `find`; or its rows cannot
        be assigned.

    Warns
    -----
    CohortWarning
        A column of your own was renamed; or the cohort has no key, and its other cells are not those of its labels.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> from dicomove import find, move
    >>> cohort = pd.DataFrame({"AccessionNumber": ["A0010", "A9999"]}, index=["first", "second"])
    >>> with demo_pacs() as pacs:
    ...     results = move(find(cohort, pacs, progress=False), pacs, pacs.destination, progress=False)
    >>> verdicts(cohort, results)[["studies", "studies_complete", "outcome"]].to_dict("index")
    {'first': {'studies': 1, 'studies_complete': 1, 'outcome': 'complete'},
     'second': {'studies': 0, 'studies_complete': 0, 'outcome': 'empty'}}
    """
    for table in (cohort, results):
        if not isinstance(table, pd.DataFrame):
            message = f"verdicts(cohort, results) needs two DataFrames, not a {type(table).__name__}"
            raise CohortError(message)
    rows: list[list[_Result]] = [[] for _ in range(len(cohort))]
    places = positions_in(cohort, results)
    for positions, result in zip(places, _results(results), strict=True):
        for position in positions:
            rows[position].append(result)
    messages = (exchanged_labels(cohort, results, places), columns.kept_message(cohort, VERDICT_COLUMNS))
    for message in filter(None, messages):
        warn(message, CohortWarning)
    return columns.with_columns(cohort, _columns([_verdict(found) for found in rows]), VERDICT_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """One row of the results.

    Attributes
    ----------
    keys
        Its unique keys; empty if `find` matched nothing, or did not decide between several studies.
    row
        All that tells it from other matches of its cohort row.
    study
        Its StudyInstanceUID.
    matches
        The number of matches of its cohort row, if `find` has given it.
    """

    keys: tuple[tuple[str, str], ...] = ()
    row: tuple[tuple[str, str], ...] = ()
    study: str | None = None
    outcome: str
    error: str | None = None
    advice: str | None = None
    expected: int | None = None
    received: int | None = None
    missing: int | None = None
    moved: int | None = None
    matches: int | None = None

    @property
    def broke_off(self) -> bool:
        """Whether the PACS may have more matches than `find` received."""
        return FIND_BROKE_OFF in (self.advice or "")

    @property
    def is_there(self) -> bool:
        """Whether some of its instances are at the destination."""
        there = self.received if self.received is not None else self.moved
        return self.outcome in ("complete", "partial") or bool(there)

    @property
    def grade(self) -> tuple[int, int]:
        """A sort key: the best result is the largest."""
        known = GRAVEST_FIRST.index(self.outcome) if self.outcome in GRAVEST_FIRST else 0
        return known, self.received or self.moved or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """The columns `VERDICT_COLUMNS` of one row of the cohort."""

    studies: int | None = 0
    studies_complete: int | None = 0
    expected: int | None = None
    received: int | None = None
    missing: int | None = None
    outcome: str
    error: str | None = None
    advice: str | None = None


def _results(table: pd.DataFrame) -> list[_Result]:
    """Return the rows of the results, read by the names of their columns."""
    ours = columns.ours(table.columns)
    places: dict[str, int] = {}
    for place, found in enumerate(table.columns):
        name = plain_label(found)
        if name in _READ and (place in ours or name not in places):
            places[str(name)] = place
    if "outcome" not in places:
        message = "a result table of move() has the column outcome, and this one does not"
        raise CohortError(message)
    if "completed" not in places:  # not moved yet: columns with these names are the caller's
        places = {name: place for name, place in places.items() if name not in _COUNTS}
    places |= keyword_columns(table.columns, (*_KEYS, *_NUMBERS.values()))
    places |= {str(name): place for place, name in enumerate(map(plain_label, table.columns)) if name in _APART}
    cells = {name: table.iloc[:, place].tolist() for name, place in places.items()}
    return [_result({name: found[row] for name, found in cells.items()}, row) for row in range(len(table))]


def _result(cells: Mapping[str, object], row: int) -> _Result:
    def number(name: str) -> int | None:
        cell = cells.get(name)
        return None if is_blank(cell) else columns.whole_number(cell)

    outcome = text_unless_blank(cells.get("outcome")) or ""
    is_found_only = outcome == "matched" or (outcome == "partial" and "completed" not in cells)
    matches, expected = number("matches"), number("expected")
    # Without `find`, a row that the PACS does not have, or that cannot be asked, counts as not matched.
    is_matched = outcome not in ("empty", "invalid") if matches is None else matches > 0
    is_matched &= "ambiguous" not in (outcome, text_unless_blank(cells.get("error")))
    filled = [(name, str(cells[name]).strip()) for name in _KEYS if not is_blank(cells.get(name))]
    uids = [(name, value) for name, value in filled if name in _UIDS]
    deepest = filled[-1][0] if filled else ""
    if not uids and (matches or 0) > 1:  # the user has removed the UIDs, which tell the matches apart
        filled.append(("", str(row)))
    keys = tuple(uids or filled or [("", "")]) if is_matched else ()
    return _Result(
        keys=keys,
        row=(*filled, *((name, str(cells[name])) for name in _APART if not is_blank(cells.get(name)))),
        study=text_unless_blank(cells.get("StudyInstanceUID")) if keys else None,
        outcome="not_attempted" if is_found_only else "complete" if outcome == SKIPPED else outcome,
        error=text_unless_blank(cells.get("error")),
        advice=_NOT_MOVED if is_found_only else text_unless_blank(cells.get("advice")),
        expected=expected if expected is not None or not keys else number(_NUMBERS.get(deepest, "")),
        received=number("received"),
        missing=number("missing"),
        moved=_sum([number("completed"), number("warning")]),
        matches=matches,
    )


def _verdict(found: Sequence[_Result]) -> _Verdict:
    """Return the verdict over all results of a row of the cohort."""
    if not found:
        return _Verdict(outcome="not_attempted", advice=_NOT_THERE)
    best: dict[tuple[tuple[str, str], ...], _Result] = {}
    for result in found:
        before = best.get(result.keys)
        best[result.keys] = result if before is None or result.grade >= before.grade else before
    matched = [result for keys, result in best.items() if keys]
    if not matched:
        said = found[-1]
        return _Verdict(outcome=said.outcome, error=said.error, advice=said.advice)
    announced = max(result.matches or 0 for result in matched)
    return _of_matched(matched, left_out=max(0, announced - len({result.row for result in found if result.keys})))


def _of_matched(matched: Sequence[_Result], left_out: int) -> _Verdict:
    studies: dict[str, bool] = {}
    for result in matched:
        if result.study:
            studies[result.study] = studies.get(result.study, True) and result.outcome == "complete"
    gravest = min(matched, key=lambda result: result.grade)
    outcome = gravest.outcome if not left_out or gravest.outcome != "complete" else "not_attempted"
    if any(result.broke_off for result in matched) and outcome == "complete":
        outcome = "partial"
    if outcome != "complete" and any(result.is_there for result in matched):
        outcome = "partial"
    expected = _sum_of_all(matched, lambda result: result.expected) if not left_out else None
    received = _sum(result.received for result in matched)
    missing = _sum_of_all(matched, lambda result: result.missing)
    if missing is None and expected is not None and received is not None:
        missing = max(0, expected - received)
    return _Verdict(
        studies=len(studies) if studies else None,
        studies_complete=sum(studies.values()) if studies else None,
        expected=expected,
        received=received,
        missing=missing if not left_out else None,
        outcome=outcome,
        error=gravest.error,
        advice=_advice(matched, gravest, left_out),
    )


def _advice(matched: Sequence[_Result], gravest: _Result, left_out: int) -> str | None:
    told = gravest.advice or ""
    if gravest.outcome == "complete" and not left_out:
        return next((result.advice for result in matched if result.broke_off), told) or None
    complete, of = sum(result.outcome == "complete" for result in matched), len(matched) + left_out
    parts = [f"{complete} of {of} matches are complete"] if of > 1 else []
    parts += [f"The results have no row for {left_out} of them: find and move the row again"] if left_out else []
    return sentences(*parts, told if gravest.outcome != "complete" else "") or None


def _columns(found: Sequence[_Verdict]) -> dict[str, pd.Series]:
    made: dict[str, pd.Series] = {}
    for name in VERDICT_COLUMNS:
        values = [getattr(verdict, name) for verdict in found]
        made[name] = columns.text(values) if name in ("outcome", "error", "advice") else columns.counts(values)
    return made


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _sum_of_all(matched: Sequence[_Result], number: Callable[[_Result], int | None]) -> int | None:
    numbers = [number(result) for result in matched]
    return None if None in numbers else sum(found or 0 for found in numbers)
