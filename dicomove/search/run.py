"""One `find`: its associations, its journal, and its rows."""

from __future__ import annotations

import datetime as dt
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pandas as pd

from dicomove.cohort import Query
from dicomove.dimse import FindScu
from dicomove.errors import IdentifierError, JournalWarning
from dicomove.interrupts import Interrupts
from dicomove.notebook import Display
from dicomove.pacs import Pacs
from dicomove.search.asker import Asker, Stop
from dicomove.search.caps import Caps
from dicomove.search.kept import KeptAnswers, parse_age
from dicomove.search.lists import Batch, ask_batch
from dicomove.search.row import Answer, Search
from dicomove.search.rows import Rows
from dicomove.store import FindJournal


@dataclass(frozen=True, slots=True)
class Settings:
    """How `find` asks, with its keywords of the same names.

    Raises
    ------
    ValueError
        One of them cannot be right.
    """

    concurrency: int = 1
    delay: float = 0.0
    journal: str | os.PathLike[str] | None = None
    max_age: dt.timedelta | None = None

    @classmethod
    def of(
        cls, concurrency: object, delay: object, journal: str | os.PathLike[str] | None, max_age: object
    ) -> Settings:
        """Return the settings that the keywords of `find` mean.

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
    stop, caps = Stop(), Caps()
    with ExitStack() as stack:
        scus = [stack.enter_context(FindScu(pacs)) for _ in range(settings.concurrency)]
        journal = None if settings.journal is None else stack.enter_context(FindJournal(settings.journal))
        kept = KeptAnswers(journal, pacs, wanted)
        rows = Rows(list(table.index), queries, kept.known(queries, settings.max_age), kept.keep, show)
        askers = [Asker(scu, stop, settings.delay) for scu in scus]
        answers = rows.ask([partial(_ask, asker, wanted, caps) for asker in askers], stop, interrupts)
    if journal and journal.problem:
        warnings.warn(f"{journal.problem}. The table is complete.", JournalWarning, stacklevel=3)
    return answers


def _ask(asker: Asker, wanted: Sequence[str], caps: Caps, batch: Batch) -> Iterator[tuple[Query, Answer]]:
    return ask_batch(batch, Search(asker, wanted, caps), asker, caps)
