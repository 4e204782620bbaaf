"""One `find`: its associations, its rows, and the answers of earlier runs."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove.cohort import Query
from dicomove.dimse import FindScu
from dicomove.errors import IdentifierError, JournalWarning, warn
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
