"""`find` and `echo`: C-FIND for a cohort, and C-ECHO."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import pandas as pd

from dicomove.cohort import (
    RETURN_KEYS,
    UNIQUE_KEYS,
    Broad,
    Level,
    PartialKeys,
    Query,
    find_queries,
    is_query,
    table_for,
    unasked_columns,
    uncompared_keys,
    with_digests,
    without_marks,
)
from dicomove.dimse import EchoResult, FindScu, attribute
from dicomove.errors import CohortWarning, DicomoveWarning, FindWarning, IdentifierError, InterruptedWarning, warn
from dicomove.interpreter import short_switch_interval
from dicomove.interrupts import Interrupts
from dicomove.notebook import Progress, display
from dicomove.pacs import Pacs
from dicomove.search import (
    Answer,
    Choice,
    Matches,
    SearchSettings,
    ask_loosely,
    ask_rows,
    checked_loose,
    found_table,
    patients_told,
)


def echo(pacs: Pacs) -> EchoResult:
    """Verify with C-ECHO that the PACS answers us (PS3.4 A.4).

    Parameters
    ----------
    pacs
        The PACS.

    Raises
    ------
    AssociationError
        The PACS cannot be reached, rejects us, or does not answer.
    StatusError
        The PACS answered with a failure.

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
    loose: Iterable[str] = (),
    concurrency: int = 1,
    delay: float = 0,
    journal: str | os.PathLike[str] | None = None,
    max_age: str | dt.timedelta | None = None,
    progress: Progress = "auto",
) -> pd.DataFrame:
    """Ask the PACS for each row of a cohort with C-FIND (PS3.4 C.4.1): one row per match.

    Columns that are matching keys are sent: PatientID, AccessionNumber, dates and ranges, Modality, names, UIDs, with
    wildcards where C-FIND allows them. Usual spellings of their headers are recognised (docs/tables.md). A row needs a
    key that identifies a patient or a study; dates, modalities and descriptions only narrow the search. If a row has
    the UID of a level, only that UID is sent, and the answers are compared with its other keys. Rows that differ only
    in such a UID are asked together, as a list, if the PACS accepts lists.

    Parameters
    ----------
    table
        The cohort, on any index. Every column of it is kept.
    pacs
        The PACS.
    level
        ``"PATIENT"``, ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``: the level of the matches. Keys of the levels above are
        resolved first.
    keys
        Further attributes to ask for, by keyword or by tag.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    broad
        ``"refuse"``: a row without PatientID, AccessionNumber, PatientName, StudyID and UIDs is ``invalid``, because it
        would match the studies of other patients. ``"allow"``: such a row is asked.
    partial_keys
        For a row that lacks a key that other rows have, and so may match more than they do. ``"ask"``: its advice names
        the keys that were sent, and a warning counts such rows. ``"refuse"``: it is ``invalid``.
    matches
        Which studies a row may match. ``"all"``; ``"one"``: a row that matches several is ``ambiguous``, and brings
        none; ``"newest"``, ``"oldest"``; ``"nearest"``: the study nearest to the row's StudyDate, which is then not
        sent as a key, and among several on one day the nearest to its StudyTime, if it has one. At lower levels, all
        matches of the chosen study remain. If the studies are of several patients, the row is ``ambiguous``.
    within
        For ``"nearest"``: the greatest distance, such as ``"3 days"``.
    loose
        ``("AccessionNumber",)``: for a row that matches nothing, a second search accepts accession numbers with other
        zeros or blanks. The column ``loose`` then names the keys that differ in this way.
    concurrency
        The number of associations with the PACS.
    delay
        Seconds between two C-FINDs of one association.
    journal
        A file that keeps the answers, so that the next call asks only for absent ones. It contains patients' data from
        the answers of the PACS. Rows with an error are asked again.
    max_age
        How old an answer in the journal may be, such as ``"1 day"``; older ones are asked for again. ``None``: any age.
    progress
        ``"auto"``, ``"panel"``, ``"tqdm"``, ``False``, or a function that gets the events.

    Returns
    -------
    pandas.DataFrame
        ``cohort_row`` (the index label of the row that asked), the cohort's columns, the attributes of the match, and

        - ``outcome``: ``matched``; ``empty``; ``partial`` (matched, but the answer broke off); ``failed``;
          ``unreachable``; ``interrupted``; ``invalid``; ``ambiguous``; ``not_attempted``. A row that matched nothing
          has one row all the same; an alternative of `query` has none where another one matches.
        - ``status``, ``error``, ``advice``, ``error_comment``: as in the result table of `move`.
        - ``matches``, ``filtered``: the number of matches of the cohort row, and the number of answers that were left
          out because they do not fit the row; ``advice`` has the reasons.
        - ``asked_by``: the keys that were sent, joined by a comma; null if nothing was sent.

        If a match differs from the cohort's cell in a column of the same name (a wildcard, a range), the column has the
        match, and ``<column>_asked`` has the cohort's cell. If the PACS returns a blank for a column whose header is
        the keyword itself, the cohort's cell stays; a PatientID stays under any header. If a column of your own has one
        of these names (``outcome``: died or alive), it becomes ``<name>_cohort``, with a warning.

    Raises
    ------
    CohortError
        The table is invalid. Nothing was sent.
    IdentifierError
        One of `keys` is not a DICOM attribute.
    ValueError
        `concurrency`, `delay` or `max_age` is invalid.
    JournalError
        The journal has other content, is damaged, or another process has it. Nothing was sent.

    Warns
    -----
    CohortWarning
        A column looks like an identifier and was not understood, so rows were asked without it; or a column of your
        own got another name in the table.
    FindWarning
        Answers were left out because they do not fit their row; or rows were asked by fewer keys than the table has; or
        a row that names one patient, study or UID matches studies of several patients; or a key often stands for
        an empty cell (``unknown``, ``000``); or the PACS does not return the IssuerOfPatientID that a row names.
    InterruptedWarning
        The search was interrupted. The table has the matches so far.
    JournalWarning
        The journal could not be written, so it lacks answers.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> cohort = pd.DataFrame({"accession": ["A0010", "A9999"]})
    >>> with demo_pacs() as pacs:
    ...     studies = find(cohort, pacs, progress=False)
    >>> studies["outcome"].tolist()
    ['matched', 'empty']
    """
    table = table_for(table, pacs)
    settings = SearchSettings.of(concurrency, delay, journal, max_age)
    choice = Choice.of(matches, within)
    names = checked_loose(loose)
    dates = choice.dates(table)
    queries_of = partial(find_queries, level=level, query_model=query_model, broad=broad, partial_keys=partial_keys)
    queries = _with_dates(queries_of(choice.asked(table)), dates)
    for message, kind in _before_asking(table, queries):
        warn(message, kind)
    known: Level = next(name for name in RETURN_KEYS if name == level.strip().upper())
    wanted = tuple(dict.fromkeys([*RETURN_KEYS[known], *map(attribute, [keys] if isinstance(keys, str) else keys)]))
    # Among studies of one day, the time decides.
    is_timeless = matches == "all" or known == "PATIENT"  # PATIENT: a PACS may refuse keys of studies
    asked = wanted if is_timeless else tuple(dict.fromkeys([*wanted, "StudyTime"]))
    with Interrupts() as interrupts, short_switch_interval():

        def ask(rows: pd.DataFrame, queries: Sequence[Query | IdentifierError], progress: Progress) -> list[Answer]:
            with display(progress) as show:
                return ask_rows(rows, queries, asked, pacs, settings, show, interrupts)

        answers = ask(table, queries, progress)
        if names:
            again = choice.asked(table)
            answers = ask_loosely(again, answers, names, lambda rows: ask(rows, queries_of(rows), progress=False))
        answers = [choice.made(answer, date) for answer, date in zip(answers, dates, strict=True)]
        if is_query(table):
            answers = _once(answers, UNIQUE_KEYS["PatientRoot"][known][-1])
            table, answers = _without_empty(table, answers)
        found = without_marks(_found(table, answers, wanted, loose=bool(names)))
        return with_digests(found, known, told=patients_told(answers), told_by=pacs.address)


def _with_dates(
    queries: Sequence[Query | IdentifierError], dates: Sequence[dt.date | str | None]
) -> list[Query | IdentifierError]:
    """Return the queries; for a row with an unusable date, its error."""
    return [
        IdentifierError(date) if isinstance(date, str) else query for query, date in zip(queries, dates, strict=True)
    ]


def _once(answers: Sequence[Answer], unique: str) -> list[Answer]:
    """Give a match of several alternatives of one query only to the first of them."""
    seen: set[str] = set()
    once = []
    for answer in answers:
        new = tuple(match for match in answer.matches if match.get(unique, "") not in seen)
        seen.update(match.get(unique, "") for match in new)
        once.append(replace(answer, matches=new, repeated=len(answer.matches) - len(new)))
    return once


def _without_empty(table: pd.DataFrame, answers: Sequence[Answer]) -> tuple[pd.DataFrame, list[Answer]]:
    """Return the alternatives of one query without those that match nothing, unless none matches anything."""
    is_answered = any(answer.matches for answer in answers)
    stays = [
        not is_answered or answer.outcome != "empty" or (bool(answer.advice) and not answer.is_narrow)
        for answer in answers
    ]
    return table[stays], [answer for answer, one in zip(answers, stays, strict=True) if one]


def _found(table: pd.DataFrame, answers: Sequence[Answer], wanted: Sequence[str], *, loose: bool) -> pd.DataFrame:
    """Return the table of the matches, and warn of problems that the table alone does not show."""
    filtered = sum(answer.filtered > 0 for answer in answers)
    if filtered:
        message = f"answers to {filtered} rows are not what the rows ask for, and are left out: see filtered and advice"
        warn(message, FindWarning)
    several = sum(answer.several_patients and bool(answer.matches) for answer in answers)
    if several:
        message = f"{several} rows match studies of more than one patient: see advice, and keep what each row means"
        warn(message, FindWarning)
    if of_any_site := sum(answer.of_any_site and bool(answer.matches) for answer in answers):
        message = (
            f"the PACS does not return IssuerOfPatientID for {of_any_site} rows that name it: matches may be of "
            "a patient at another site: see advice"
        )
        warn(message, FindWarning)
    if any(answer.outcome == "not_attempted" for answer in answers):
        warn("interrupted: the table holds what was found so far", InterruptedWarning)
    return found_table(table, answers, wanted, loose=loose)


def _before_asking(
    table: pd.DataFrame, queries: Sequence[Query | IdentifierError]
) -> Iterable[tuple[str, type[DicomoveWarning]]]:
    """Yield warnings about a table before anything is sent."""
    asked = [query for query in queries if isinstance(query, Query)]
    # If each row has its UID, another column would change nothing.
    by_uid = [query.is_by_uid for query in asked]
    is_clear = is_query(table) or (bool(asked) and all(by_uid))
    level = asked[0].level if asked else "STUDY"
    found = [] if is_clear else unasked_columns(table, by_uid=any(by_uid), level=level)
    if found:
        yield f"rows are asked without a column that may be meant. {' '.join(found)}", CohortWarning
    elif uncompared := uncompared_keys(table):
        yield uncompared, CohortWarning
    doubtful = [names for query in asked if query.notes and (names := query.placeholders)]
    if doubtful:
        message = (
            f"{len(doubtful)} of {len(queries)} rows are asked by a value of "
            f"{' or '.join(dict.fromkeys(chain.from_iterable(doubtful)))} that often stands for an empty cell (a word, "
            "zeros or nines), and may match more studies than they mean: see advice"
        )
        yield message, FindWarning
    partial = sum(bool(query.blank) for query in asked)
    if partial:
        message = (
            f"{partial} of {len(queries)} rows are asked by fewer keys than the table has, and may match more of their "
            'patients\' studies than the others: see the columns asked_by and advice, or give partial_keys="refuse"'
        )
        yield message, FindWarning
