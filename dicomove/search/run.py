"""One `find`: its associations, its journal, and its rows."""

from __future__ import annotations

import datetime as dt
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pandas as pd

from dicomove.cohort import Query
from dicomove.dimse import FindScu
from dicomove.errors import IdentifierError, JournalWarning, warn
from dicomove.interrupts import Interrupts
from dicomove.notebook import Display, display
from dicomove.pacs import Pacs
from dicomove.search.asker import Asker, Stop
from dicomove.search.kept import KeptAnswers, parse_age
from dicomove.search.limits import KnownLimits
from dicomove.search.lists import Batch, ask_batch
from dicomove.search.row import Answer, Search
from dicomove.search.rows import Rows
from dicomove.store import FindJournal

_STOPPED: Final = Answer(
    "failed",
    error="capped",
    advice="The PACS gave nothing more, not even what it had given before. It may limit them by time: ask again.",
)


@dataclass(frozen=True, slots=True)
class Settings:
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
    ) -> Settings:
        """Return the settings from the keywords of `find`.

        Raises
        ------
        ValueError
            One of them cannot be right.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            msg = f"concurrency={concurrency!r}: a whole number of associations, at least 1"
            raise ValueError(msg)
        if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < math.inf:
            msg = f"delay={delay!r}: a number of seconds, at least 0"
            raise ValueError(msg)
        if max_age is not None and journal is None:
            msg = f"max_age={max_age!r} is the age of answers in a journal: name it with journal="
            raise ValueError(msg)
        return cls(concurrency, float(delay), journal, parse_age(max_age))


def ask_rows(
    table: pd.DataFrame,
    queries: Sequence[Query | IdentifierError],
    wanted: Sequence[str],
    pacs: Pacs,
    settings: Settings,
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
        kept = KeptAnswers(journal, pacs, wanted)
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
        for query in doubted:
            kept.forget(query)
        answers = [_STOPPED if query in doubted else answer for query, answer in zip(queries, answers, strict=True)]
    if journal and journal.problem:
        warn(f"{journal.problem}. The table is complete.", JournalWarning)
    return answers


class _Asking:
    """Asks for batches on one association, and notes which answers are in doubt if the PACS stops answering."""

    def __init__(self, asker: Asker, wanted: Sequence[str], limits: KnownLimits) -> None:
        self._asker, self._limits = asker, limits
        self._search = Search(asker, wanted, limits)
        self._empty: list[Query] = []
        self._doubted: list[Query] = []

    def __call__(self, batch: Batch) -> Iterator[tuple[Query, Answer]]:
        """Yield the answer to each query of a batch."""
        for query, answer in ask_batch(batch, self._search, self._asker, self._limits):
            if answer.matches:
                self._doubted += self._empty if self._asker.has_stopped else []
                self._asker.has_stopped, self._empty = False, []
            elif answer.outcome == "empty":
                self._empty.append(query)
            yield query, answer

    def end(self) -> None:
        """Check whether the PACS still answers on this association, and release it.

        An idle association slows the others down: see `dicomove.run.pools.Threads`.
        """
        self._asker.check()
        self._asker.renew()

    @property
    def asker(self) -> Asker:
        """Sends the C-FINDs."""
        return self._asker

    def doubted(self) -> list[Query]:
        """Return the queries without a match since the PACS stopped answering."""
        return self._doubted + (self._empty if self._asker.has_stopped else [])


def _is_by_association(asking: Sequence[_Asking], limits: KnownLimits) -> bool:
    """Whether the PACS answers again on a fresh association; then each C-FIND gets a fresh one."""
    found = limits.needs_fresh_associations or any(one.asker.renews for one in asking)
    for one in asking:
        one.asker.renews = found
    return found
