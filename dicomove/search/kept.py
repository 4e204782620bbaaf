"""Keeps the answers of `find` from run to run: the questions as hashes, the answers as JSON."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from dicomove.cohort import Query
from dicomove.pacs import Pacs
from dicomove.search.row import Answer
from dicomove.store import FindJournal

_NOTHING: Final = "null"
_KEPT: Final = ("outcome", "status", "advice", "error_comment", "filtered", "matches", "several_patients")


class KeptAnswers:
    """The answers of one PACS in a journal.

    Parameters
    ----------
    journal
        The journal; ``None`` keeps no answers.
    pacs
        The PACS. It is part of the question, because another PACS or calling AE title may get other answers.
    wanted
        The requested attributes.
    """

    def __init__(self, journal: FindJournal | None, pacs: Pacs, wanted: Sequence[str]) -> None:
        self._journal = journal
        self._about = [pacs.called_ae_title, pacs.host, pacs.port, pacs.calling_ae_title, list(wanted)]

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


def parse_age(max_age: object) -> dt.timedelta | None:
    """Return the age from the keyword of `find`.

    Raises
    ------
    ValueError
        It is not a time.

    Examples
    --------
    >>> parse_age("1 day")
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
