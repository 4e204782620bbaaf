"""One `find`: its associations, its rows, the answers of earlier runs, and its table."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import numbers
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove import columns
from dicomove.cohort import VRS, Query, is_blank, is_found, keyword, places_of, text_unless_blank
from dicomove.columns import FIND_COLUMNS
from dicomove.dimse import FindScu
from dicomove.errors import CohortWarning, IdentifierError, JournalWarning, warn
from dicomove.interrupts import Interrupts
from dicomove.notebook import Display, display
from dicomove.pacs import Pacs, is_number
from dicomove.search.c_find import Asker, Stop
from dicomove.search.limits import KnownLimits
from dicomove.search.lists import Batch, ask_batch
from dicomove.search.row import Answer, Search
from dicomove.search.rows import Rows
from dicomove.store import FindJournal
from dicomove.user import User

_STOPPED: Final = Answer(
    "failed",
    error="capped",
    advice="The PACS gave nothing more, not even what it had given before. It may limit them by time: ask again.",
)

_NOTHING: Final = "null"
_KEPT: Final = ("outcome", "status", "advice", "error_comment", "filtered", "matches", "several_patients")

_TEXT_COLUMNS: Final = FIND_COLUMNS[:5]


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The keywords of `find` about its C-FINDs.

    Raises
    ------
    ValueError
        One of them is invalid.
    """

    concurrency: int = 1
    delay: float = 0.0
    journal: str | os.PathLike[str] | None = None
    max_age: dt.timedelta | None = None

    @classmethod
    def of(
        cls, concurrency: object, delay: object, journal: str | os.PathLike[str] | None, max_age: object
    ) -> SearchSettings:
        """Return the settings from the keywords of `find`.

        Raises
        ------
        ValueError
            One of them cannot be right.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            msg = f"concurrency={concurrency!r}: a whole number of associations, at least 1"
            raise ValueError(msg)
        if not is_number(delay) or not 0 <= delay < math.inf:
            msg = f"delay={delay!r}: a number of seconds, at least 0"
            raise ValueError(msg)
        if max_age is not None and journal is None:
            msg = f"max_age={max_age!r} is the age of answers in a journal: name it with journal="
            raise ValueError(msg)
        return cls(concurrency, float(delay), journal, _age(max_age))


def ask_rows(
    table: pd.DataFrame,
    queries: Sequence[Query | IdentifierError],
    wanted: Sequence[str],
    pacs: Pacs,
    settings: SearchSettings,
    show: Display,
    interrupts: Interrupts,
) -> list[Answer]:
    """Return the answer to each row of a table.

    Raises
    ------
    JournalError
        The journal cannot be used. Nothing was sent.
    """
    stop, limits = Stop(), KnownLimits()
    with ExitStack() as stack:
        scus = [stack.enter_context(FindScu(pacs)) for _ in range(settings.concurrency)]
        journal = None if settings.journal is None else stack.enter_context(FindJournal(settings.journal))
        kept = _KeptAnswers(journal, pacs, wanted)
        known = kept.known(queries, settings.max_age)
        asking = [_Asking(Asker(scu, stop, settings.delay), wanted, limits) for scu in scus]
        rows = Rows(list(table.index), queries, dict(known), kept.keep, show)
        answers = rows.ask(asking, stop, interrupts)
        is_complete = not any(answer.outcome == "not_attempted" for answer in answers)
        if is_complete:
            stop.clear()  # the threads have ended
        if is_complete and _is_by_association(asking, limits):
            # The PACS limits the matches of an association: each C-FIND has a fresh one now, and all are repeated.
            rows = Rows(list(table.index), queries, known, kept.keep, display(progress=False))
            answers = rows.ask(asking, stop, interrupts)
        doubted = {query for one in asking for query in one.doubted()}
        # Nor does an interrupted run know whether the PACS still answered.
        unproved = set() if is_complete else {query for one in asking for query in one.empty}
        for query in doubted | unproved:
            kept.forget(query)
        answers = [_STOPPED if query in doubted else answer for query, answer in zip(queries, answers, strict=True)]
    if journal and journal.problem:
        warn(f"{journal.problem}. The table is complete.", JournalWarning)
    return answers


class _Asking:
    """Asks for batches on one association, and notes which answers are in doubt if the PACS stops answering."""

    def __init__(self, asker: Asker, wanted: Sequence[str], limits: KnownLimits) -> None:
        self.asker, self._limits = asker, limits
        self._search = Search(asker, wanted, limits)
        #: The queries without a match since the last match.
        self.empty: list[Query] = []
        self._doubted: list[Query] = []

    def __call__(self, batch: Batch) -> Iterator[tuple[Query, Answer]]:
        """Yield the answer to each query of a batch."""
        for query, answer in ask_batch(batch, self._search, self.asker, self._limits):
            if answer.matches:
                self._doubted += self.empty if self.asker.has_stopped else []
                self.asker.has_stopped, self.empty = False, []
            elif answer.outcome == "empty":
                self.empty.append(query)
            yield query, answer

    def end(self) -> None:
        """Check whether the PACS still answers on this association, and release it.

        An idle association slows the others down: see `dicomove.run.pools.Threads`.
        """
        self.asker.check()
        self.asker.renew()

    def doubted(self) -> list[Query]:
        """Return the queries without a match since the PACS stopped answering."""
        return self._doubted + (self.empty if self.asker.has_stopped else [])


def _is_by_association(asking: Sequence[_Asking], limits: KnownLimits) -> bool:
    """Whether the PACS answers again on a fresh association; then each C-FIND gets a fresh one."""
    found = limits.needs_fresh_associations or any(one.asker.renews for one in asking)
    for one in asking:
        one.asker.renews = found
    return found


class _KeptAnswers:
    """The answers of one PACS in a journal.

    Parameters
    ----------
    journal
        The journal; ``None`` keeps no answers.
    pacs
        The PACS. It is part of the question: another PACS, calling AE title or user may get other answers.
    wanted
        The requested attributes.
    """

    def __init__(self, journal: FindJournal | None, pacs: Pacs, wanted: Sequence[str]) -> None:
        self._journal = journal
        users = [pacs.user.name] if isinstance(pacs.user, User) else []
        self._about = [pacs.called_ae_title, pacs.host, pacs.port, pacs.calling_ae_title, list(wanted), *users]

    def known(self, queries: Iterable[object], max_age: dt.timedelta | None) -> dict[Query, Answer]:
        """Return the answers to these queries that are not older than an age.

        Raises
        ------
        JournalError
            The journal cannot be read.
        """
        if self._journal is None:
            return {}
        since = None if max_age is None else time.time() - max_age.total_seconds()
        questions = {self._question(query): query for query in queries if isinstance(query, Query)}
        found = self._journal.answers(questions, since)
        return {questions[question]: _answer(text) for question, text in found.items() if text != _NOTHING}

    def keep(self, query: Query, answer: Answer) -> None:
        """Keep an answer, if it is complete."""
        if self._journal and answer.outcome in ("matched", "empty") and answer.error is None:
            self._journal.add(self._question(query), json.dumps({name: getattr(answer, name) for name in _KEPT}))

    def forget(self, query: Query) -> None:
        """Forget the answer to a query."""
        if self._journal:
            self._journal.add(self._question(query), _NOTHING)

    def _question(self, query: Query) -> bytes:
        steps = [[step.level, step.keys, step.checks] for step in query.steps]
        asked = json.dumps([*self._about, query.level, query.query_model, steps])
        return hashlib.sha256(asked.encode()).digest()


def _age(max_age: object) -> dt.timedelta | None:
    """Return the age from the keyword of `find`.

    Raises
    ------
    ValueError
        It is not a time.

    Examples
    --------
    >>> _age("1 day")
    datetime.timedelta(days=1)
    """
    if max_age is None:
        return None
    try:
        age = pd.Timedelta(max_age).to_pytimedelta() if isinstance(max_age, str | dt.timedelta) else None
    except ValueError:
        age = None
    if not isinstance(age, dt.timedelta) or age < dt.timedelta(0):
        msg = f'max_age={max_age!r} is not a time: write max_age="1 day"'
        raise ValueError(msg)
    return age


def _answer(text: str) -> Answer:
    values = json.loads(text)
    return Answer(**{**values, "matches": tuple(values["matches"])})


def found_table(
    table: pd.DataFrame, answers: Sequence[Answer], wanted: Sequence[str], *, loose: bool = False
) -> pd.DataFrame:
    """Return one row per match, and one for each row of the cohort that matched nothing.

    Parameters
    ----------
    table
        The cohort.
    answers
        The answer to each of its rows.
    wanted
        The attributes that were asked for.
    loose
        Whether rows may match loosely, which a column says.
    """
    rows = [(position, answer, match) for position, answer in enumerate(answers) for match in _rows(answer)]
    positions = [position for position, _, _ in rows]
    base = table.iloc[positions].reset_index(drop=True)
    found: dict[str, pd.Series] = {}
    for name in wanted:
        values: list[object] = [match.get(name) or None for _, _, match in rows]
        if not places_of(base, name):
            # A later search has to ask for an unmatched row by all its keys again, and reads the keyword itself first;
            # and `move` compares images with the PatientID that it finds there.
            typed = zip(values, _typed(base, name), rows, strict=True)
            values = [
                value if match and (value or name != "PatientID") else cell for value, cell, (_, _, match) in typed
            ]
        found |= _attribute_columns(base, name, values)
    answered = [answer for _, answer, _ in rows]
    found |= {name: columns.text(getattr(answer, name) for answer in answered) for name in _TEXT_COLUMNS}
    found["matches"] = columns.counts(len(answer.matches) + answer.repeated + answer.ambiguous for answer in answered)
    found["filtered"] = columns.counts(answer.filtered for answer in answered)
    found["asked_by"] = columns.text(answer.asked_by for answer in answered)
    if loose:
        found["loose"] = columns.text(answer.loose for answer in answered)
    added = [*_added(base, found), *(["loose"] if loose else [])]
    message = columns.kept_message(base, added)
    if message:
        warn(message, CohortWarning)
    result = columns.with_columns(base, found, added)
    labels = pd.Series([table.index[position] for position in positions], dtype=object).infer_objects()
    result.insert(0, columns.label(result, "cohort_row"), labels)
    return result


def patients_told(answers: Sequence[Answer]) -> list[bool]:
    """Return for each row of `found_table` whether the PACS has told its PatientID, or the row has no match."""
    return [bool(match.get("PatientID")) or not match for answer in answers for match in _rows(answer)]


def _rows(answer: Answer) -> Sequence[Mapping[str, str]]:
    """Return its matches; a row without a match also has one row in the table."""
    return answer.matches or (() if answer.repeated else ({},))


def _added(base: pd.DataFrame, found: Iterable[str]) -> list[str]:
    """Return the names of the added columns; the other attributes replace the cohort's column."""
    attributes = [name for name in found if name.endswith("_asked") or len(places_of(base, name)) > 1]
    return ["cohort_row", *FIND_COLUMNS, *attributes]


def _attribute_columns(base: pd.DataFrame, name: str, values: list[object]) -> dict[str, pd.Series]:
    """Return the column of one attribute, and a column with the cohort's cells if these differ."""
    places = places_of(base, name)
    is_count = name.startswith("NumberOf")
    numbers = list(map(columns.whole_number, values)) if is_count else []
    made = columns.counts(numbers) if is_count else _texts(values)
    if len(places) != 1:
        return {name: made}
    asked = base.iloc[:, places[0]]
    if is_count:
        told = zip(numbers, asked.tolist(), strict=True)
        differs = not is_found(base.columns) and any(
            not is_blank(had) and columns.whole_number(had) != value for value, had in told
        )
    else:
        merged = [value if value is not None else _text(had, name) for value, had in zip(values, asked, strict=True)]
        differs = any(value != _text(had, name) for value, had in zip(merged, asked, strict=True))
        made = _texts(merged)
    before = f"{name}_asked"
    # The cells of the first cohort stay.
    is_kept = is_found(base.columns) and bool(places_of(base, before))
    return {name: made} | ({before: asked} if differs and not is_kept else {})


def _typed(base: pd.DataFrame, name: str) -> list[object]:
    """Return the cells of an attribute whose header is another spelling of its keyword."""
    places = [place for place, found in enumerate(base.columns) if keyword(found) == name]
    return [_text(cell, name) for cell in base.iloc[:, places[0]]] if len(places) == 1 else [None] * len(base)


def _text(cell: object, name: str) -> object:
    """Return a cell as text. A number stays one: as text, a later search would ask for it without its lost zeros."""
    is_number = isinstance(cell, numbers.Number) and not is_blank(cell)
    return cell if is_number and VRS[name] != "IS" else text_unless_blank(cell)


def _texts(values: list[object]) -> pd.Series:
    is_text = all(value is None or isinstance(value, str) for value in values)
    return columns.text(map(text_unless_blank, values)) if is_text else pd.Series(values, dtype=object)
