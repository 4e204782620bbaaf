"""`find` and `echo`: what a PACS has of a cohort."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import (
    RETURN_KEYS,
    UNIQUE_KEYS,
    Broad,
    Level,
    PartialKeys,
    Query,
    find_queries,
    is_blank,
    is_found,
    is_query,
    not_a_query,
    odd_characters,
    overlooked_columns,
    plain_label,
)
from dicomove.columns import FIND_COLUMNS
from dicomove.dimse import EchoResult, FindScu, attribute
from dicomove.errors import CohortWarning, DicomoveWarning, FindWarning, IdentifierError, InterruptedWarning
from dicomove.events import RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.interrupts import Interrupts
from dicomove.notebook import Display, Progress, display
from dicomove.outcome import NOT_ATTEMPTED, sentences
from dicomove.pacs import Pacs
from dicomove.search import Answer, Choice, Matches, Search
from dicomove.words import ADVICE

_TEXT_COLUMNS: Final = FIND_COLUMNS[:5]


def echo(pacs: Pacs) -> EchoResult:
    """Verify with C-ECHO that the PACS is there and talks to us (PS3.4 A.4).

    Parameters
    ----------
    pacs
        The PACS.

    Raises
    ------
    AssociationError
        It is not there, does not want us, or does not answer.
    StatusError
        It answered with a failure.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> with demo_pacs() as pacs:
    ...     echo(pacs).status
    '0x0000'
    """
    with FindScu(pacs) as scu:
        return scu.echo()


def find(
    table: pd.DataFrame,
    pacs: Pacs,
    *,
    level: str = "STUDY",
    keys: Iterable[str] = (),
    query_model: str = "StudyRoot",
    broad: Broad = "refuse",
    partial_keys: PartialKeys = "ask",
    matches: Matches = "all",
    within: str | dt.timedelta | None = None,
    progress: Progress = "auto",
) -> pd.DataFrame:
    """Ask the PACS for each row of a cohort with C-FIND (PS3.4 C.4.1): one row per match.

    Columns that are matching keys are sent: PatientID, AccessionNumber, dates and ranges, Modality, names, UIDs, with
    wildcards where C-FIND allows them. Their headers may be written in the usual ways (docs/tables.md). A row needs a
    key that identifies a patient or a study; dates, modalities and descriptions only narrow the search. A row that has
    the UID of a level is asked by that UID alone, and its other keys are held against the answers.

    Parameters
    ----------
    table
        The cohort, on any index. Every column of it is kept.
    pacs
        The PACS.
    level
        ``"PATIENT"``, ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``: what is found. Keys of the levels above are resolved
        first.
    keys
        Further attributes to ask for, by keyword or by tag.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    broad
        ``"refuse"``: a row without PatientID, AccessionNumber, PatientName, StudyID and UIDs is ``invalid``, since it
        would match the studies of other patients. ``"allow"``: that is meant.
    partial_keys
        A row lacks a key that other rows have, and so may match more than they do. ``"ask"``: its advice says by what
        it was asked, and a warning counts such rows. ``"refuse"``: it is ``invalid``.
    matches
        Which studies a row may match. ``"all"``; ``"one"``: a row that matches several is ``ambiguous``, and brings
        none; ``"newest"``, ``"oldest"``; ``"nearest"``: the study nearest to the row's StudyDate, which is then not a
        key. At lower levels, all matches of the chosen study remain.
    within
        For ``"nearest"``: the greatest distance, such as ``"3 days"``.
    progress
        ``"auto"``, ``"tqdm"``, ``False``, or a function that gets the events.

    Returns
    -------
    pandas.DataFrame
        ``cohort_row`` (the index label of the row that asked), the cohort's columns, the attributes of the match, and

        - ``outcome``: ``matched``; ``empty``; ``partial`` (matched, but the answer broke off); ``failed``;
          ``unreachable``; ``interrupted``; ``invalid``; ``ambiguous``; ``not_attempted``. A row that matched nothing
          has one row all the same.
        - ``status``, ``error``, ``advice``, ``error_comment``: as in the result table of `move`.
        - ``matches``, ``filtered``: matches of the cohort row, and answers that were left out, since they are not what
          the row asked for; ``advice`` says why.
        - ``asked_by``: the keys that were sent, joined by a comma; null where nothing was sent.

        Where a match differs from what the cohort had in a column of the same name (a wildcard, a range), the match
        stands in the column, and what the cohort had in ``<column>_asked``. A column of your own that bears the name
        of one of these (``outcome``: died or alive) is kept as ``<name>_cohort``, with a warning.

    Raises
    ------
    CohortError
        The table cannot be right. Nothing was sent.
    IdentifierError
        One of `keys` is not a DICOM attribute.

    Warns
    -----
    CohortWarning
        A column looks like an identifier and was not understood, and rows were asked without it; or a column of your
        own has another name in the table.
    FindWarning
        Answers were left out, since they are not what their row asks for; or rows were asked by fewer keys than the
        table has.
    InterruptedWarning
        It was interrupted; the table holds what was found so far.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> cohort = pd.DataFrame({"accession": ["A0010", "A9999"]})
    >>> with demo_pacs() as pacs:
    ...     studies = find(cohort, pacs, progress=False)
    >>> studies["outcome"].tolist()
    ['matched', 'empty']
    """
    choice = Choice.of(matches, within)
    dates = choice.dates(table) if isinstance(table, pd.DataFrame) else []
    queries = [
        IdentifierError(date) if isinstance(date, str) else query
        for date, query in zip(
            dates,
            find_queries(choice.asked(table), level, query_model, broad=broad, partial_keys=partial_keys),
            strict=True,
        )
    ]
    for message, kind in _before_asking(table, queries):
        warnings.warn(message, kind, stacklevel=2)
    known: Level = next(name for name in RETURN_KEYS if name == level.strip().upper())
    wanted = tuple(dict.fromkeys([*RETURN_KEYS[known], *map(attribute, keys)]))
    with Interrupts() as interrupts:
        with display(progress) as show, FindScu(pacs) as scu:
            answers = _ask_all(table, queries, Search(scu, wanted), show, interrupts)
        answers = [choice.made(answer, date) for answer, date in zip(answers, dates, strict=True)]
        if is_query(table):
            answers = _once(answers, UNIQUE_KEYS["PatientRoot"][known][-1])
        return not_a_query(_found(table, answers, wanted))


def _once(answers: Sequence[Answer], unique: str) -> list[Answer]:
    """Give what several alternatives of one query match to the first of them."""
    seen: set[str] = set()
    once = []
    for answer in answers:
        new = tuple(match for match in answer.matches if match.get(unique, "") not in seen)
        seen.update(match.get(unique, "") for match in new)
        once.append(replace(answer, matches=new, repeated=len(answer.matches) - len(new)))
    return once


def _found(table: pd.DataFrame, answers: Sequence[Answer], wanted: Sequence[str]) -> pd.DataFrame:
    """Return the table of what was found, and warn of what it does not say by itself."""
    filtered = sum(answer.filtered > 0 for answer in answers)
    if filtered:
        message = f"answers to {filtered} rows are not what the rows ask for, and are left out: see filtered and advice"
        warnings.warn(message, FindWarning, stacklevel=3)
    if any(answer.outcome == "not_attempted" for answer in answers):
        warnings.warn("interrupted: the table holds what was found so far", InterruptedWarning, stacklevel=3)
    return _table(table, answers, wanted)


def _before_asking(
    table: pd.DataFrame, queries: Sequence[Query | IdentifierError]
) -> Iterable[tuple[str, type[DicomoveWarning]]]:
    """Yield what a person should know of a table before anything is sent."""
    asked = [query for query in queries if isinstance(query, Query)]
    # Where each row has its UID, another column would change nothing.
    found = overlooked_columns(table) if not is_query(table) and any(not query.is_by_uid for query in asked) else ""
    if found:
        yield f"rows are asked without a column that may be meant.{found}", CohortWarning
    partial = sum(bool(query.blank) for query in asked)
    if partial:
        message = (
            f"{partial} of {len(queries)} rows are asked by fewer keys than the table has, and may match more of their "
            'patients\' studies than the others: see the columns asked_by and advice, or give partial_keys="refuse"'
        )
        yield message, FindWarning


def _ask_all(
    table: pd.DataFrame,
    queries: Sequence[Query | IdentifierError],
    search: Search,
    show: Display,
    interrupts: Interrupts,
) -> list[Answer]:
    answers: list[Answer] = []
    asked: dict[Query, Answer] = {}
    requests = len({query for query in queries if isinstance(query, Query)})
    try:
        with interrupts.raised():
            show(RunStarted(verb="find", rows=len(queries), requests=requests))
            for position, (label, query) in enumerate(zip(table.index, queries, strict=True)):
                show(RowStarted(row=label, position=position))
                answers.append(_ask(query, search, asked))
                show(_finished(answers[-1], label, position))
    except KeyboardInterrupt:
        unasked = Answer("not_attempted", advice=NOT_ATTEMPTED)
        answers += [unasked] * (len(queries) - len(answers))
    with suppress(KeyboardInterrupt):  # too late to stop anything
        show(RunEnded(verb="find", interrupted=any(answer.outcome == "not_attempted" for answer in answers)))
    return answers


def _ask(query: Query | IdentifierError, search: Search, asked: dict[Query, Answer]) -> Answer:
    if isinstance(query, IdentifierError):
        return Answer("invalid", error="invalid_row", advice=sentences(str(query), ADVICE["invalid_row"]))
    if query not in asked:
        asked[query] = search.ask(query)
    answer = asked[query]
    odd = odd_characters(pair for step in query.steps for pair in step.keys) if answer.outcome == "empty" else ()
    said = sentences(*query.notes, *odd, answer.advice or "") or None
    return replace(answer, advice=said, asked_by=", ".join(query.asked_by))


def _finished(answer: Answer, label: Hashable, position: int) -> RowFinished:
    return RowFinished(
        row=label,
        position=position,
        outcome=answer.outcome,
        error=answer.error,
        instances=len(answer.matches),
        duration_s=None,
    )


def _table(table: pd.DataFrame, answers: Sequence[Answer], wanted: Sequence[str]) -> pd.DataFrame:
    """Return one row per match, and one for each row of the cohort that matched nothing."""
    rows = [(position, answer, match) for position, answer in enumerate(answers) for match in _rows(answer)]
    positions = [position for position, _, _ in rows]
    base = table.iloc[positions].reset_index(drop=True)
    found: dict[str, pd.Series] = {}
    for name in wanted:
        found |= _attribute_columns(base, name, [match.get(name) or None for _, _, match in rows])
    answered = [answer for _, answer, _ in rows]
    found |= {name: columns.text(getattr(answer, name) for answer in answered) for name in _TEXT_COLUMNS}
    found["matches"] = columns.counts(len(answer.matches) + answer.repeated + answer.ambiguous for answer in answered)
    found["filtered"] = columns.counts(answer.filtered for answer in answered)
    found["asked_by"] = columns.text(answer.asked_by for answer in answered)
    added = _added(base, found)
    message = columns.kept_message(base, added)
    if message:
        warnings.warn(message, CohortWarning, stacklevel=4)
    result = columns.with_columns(base, found, added)
    labels = pd.Series([table.index[position] for position in positions], dtype=object).infer_objects()
    result.insert(0, columns.label(result, "cohort_row"), labels)
    return result


def _rows(answer: Answer) -> Sequence[Mapping[str, str]]:
    """Return its matches; a row without any has one row of the table all the same."""
    return answer.matches or (() if answer.repeated else ({},))


def _added(base: pd.DataFrame, found: Iterable[str]) -> list[str]:
    """Return the names of the columns that are added; the other attributes take the place of the cohort's column."""
    attributes = [name for name in found if name.endswith("_asked") or len(_places(base, name)) > 1]
    return ["cohort_row", *FIND_COLUMNS, *attributes]


def _attribute_columns(base: pd.DataFrame, name: str, values: list[str | None]) -> dict[str, pd.Series]:
    """Return the column of one attribute, and, where the cohort had something else there, what it had."""
    places = _places(base, name)
    is_count = name.startswith("NumberOf")
    made = columns.counts(map(columns.whole_number, values)) if is_count else columns.text(values)
    if len(places) != 1:
        return {name: made}
    asked = base.iloc[:, places[0]]
    if is_count:
        told = zip(made.tolist(), asked.tolist(), strict=True)
        differs = not is_found(base.columns) and any(
            not is_blank(had) and columns.whole_number(had) != value for value, had in told
        )
    else:
        merged = [value if value is not None else _text(had) for value, had in zip(values, asked, strict=True)]
        differs = any(value != _text(had) for value, had in zip(merged, asked, strict=True))
        made = columns.text(merged)
    before = f"{name}_asked"
    # What the cohort had at the first time stays.
    is_kept = is_found(base.columns) and bool(_places(base, before))
    return {name: made} | ({before: asked} if differs and not is_kept else {})


def _places(table: pd.DataFrame, name: str) -> list[int]:
    return [place for place, found in enumerate(table.columns) if plain_label(found) == name]


def _text(cell: object) -> str | None:
    return None if is_blank(cell) else str(cell).strip()
