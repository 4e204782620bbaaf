"""Asks for the rows of a table, on one association or on several at once.

With one association, the caller's thread sends the C-FINDs, so that an interrupt reaches them. With several, each
association has a thread, and the caller's thread shows the answers.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from dicomove.cohort import Query, unlikely_values, with_other_keys
from dicomove.errors import IdentifierError
from dicomove.events import RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.interrupts import Interrupts
from dicomove.notebook import Display
from dicomove.outcome import NOT_ATTEMPTED, sentences
from dicomove.search.answers import is_of_any_site
from dicomove.search.c_find import Stop, Stopped
from dicomove.search.lists import Batch, batches
from dicomove.search.row import Answer
from dicomove.words import ADVICE

_TICK_S: Final = 0.2
_NOT_ATTEMPTED: Final = Answer("not_attempted", advice=NOT_ATTEMPTED)

#: Gets each new answer, before it is shown.
_Keep = Callable[[Query, Answer], object]


class _AskBatch(Protocol):
    """Asks on one association."""

    def __call__(self, batch: Batch) -> Iterator[tuple[Query, Answer]]:
        """Yield the answer to each query of a batch, in their order."""

    def end(self) -> None:
        """Release the association, since there is nothing left to ask."""


class Rows:
    """Asks for all rows, and shows the answers.

    Parameters
    ----------
    labels
        The index labels.
    queries
        The query of each row, or the error of a row without one.
    known
        Answers of an earlier run.
    keep
        Gets each new answer, before it is shown.
    show
        The display; only this thread calls it.
    """

    def __init__(
        self,
        labels: Sequence[Hashable],
        queries: Sequence[Query | IdentifierError],
        known: dict[Query, Answer],
        keep: _Keep,
        show: Display,
    ) -> None:
        self._labels, self._queries, self._keep, self._show = labels, queries, keep, show
        self._known, self._before = known, frozenset(known)
        distinct = dict.fromkeys(query for query in queries if isinstance(query, Query))
        self._requests = len(distinct)
        self._batches = batches(query for query in distinct if query not in known)
        self._is_finished = [False] * len(queries)

    def ask(self, asks: Sequence[_AskBatch], stop: Stop, interrupts: Interrupts) -> list[Answer]:
        """Return the answer to each row; after an interrupt, the remaining rows are not attempted.

        Parameters
        ----------
        asks
            A function for each association, which asks for a batch.
        stop
            The request to stop, which the associations check.
        interrupts
            The interrupts, which end the search.
        """
        workers = _Workers(asks, self._batches, stop) if len(asks) > 1 else None
        try:
            with interrupts.raised():
                self._show(RunStarted(verb="find", rows=len(self._queries), requests=self._requests))
                if workers:
                    self._show_all(workers.start())
                else:
                    self._ask_in_order(asks[0])
        except KeyboardInterrupt:
            pass  # the answers so far are the result
        finally:
            if workers:
                self._take(workers.ended(interrupts))
        answers = [
            self._answer(query) if is_finished or isinstance(query, Query) else _NOT_ATTEMPTED
            for query, is_finished in zip(self._queries, self._is_finished, strict=True)
        ]
        with suppress(KeyboardInterrupt):  # too late to stop anything
            interrupted = any(answer.outcome == "not_attempted" for answer in answers)
            self._show(RunEnded(verb="find", interrupted=interrupted))
        return answers

    def _ask_in_order(self, ask: _AskBatch) -> None:
        batch_of = {query: batch for batch in self._batches for query in batch}
        begun: dict[Query, Iterator[tuple[Query, Answer]]] = {}
        for position, query in enumerate(self._queries):
            self._start(position)
            if isinstance(query, Query) and query not in self._known:
                batch = batch_of[query]
                answers = begun.get(batch[0]) or begun.setdefault(batch[0], ask(batch))
                # The rows of a batch may be in another order than the batch, so answers may have to wait.
                while query not in self._known:
                    self._take([next(answers)])
                if query == batch[-1]:
                    del begun[batch[0]]
            self._finish(position)
        ask.end()

    def _show_all(self, messages: Iterator[_Began | tuple[Query, Answer] | None]) -> None:
        positions: dict[Query, list[int]] = {}
        for position, query in enumerate(self._queries):
            if isinstance(query, Query) and query not in self._known:
                positions.setdefault(query, []).append(position)
            else:
                self._start(position)
                self._finish(position)
        for message in messages:
            if message is None:
                self._show.tick()
            elif isinstance(message, _Began):
                self._start(positions[message.query][0])
            else:
                self._take([message])
                for number, position in enumerate(positions[message[0]]):
                    if number:
                        self._start(position)
                    self._finish(position)

    def _take(self, answers: Sequence[tuple[Query, Answer]]) -> None:
        for query, answer in answers:
            self._keep(query, answer)
            self._known[query] = answer

    def _start(self, position: int) -> None:
        self._show(RowStarted(row=self._labels[position], position=position))

    def _finish(self, position: int) -> None:
        query = self._queries[position]
        answer = self._answer(query)
        self._is_finished[position] = True
        self._show(
            RowFinished(
                row=self._labels[position],
                position=position,
                outcome=answer.outcome,
                error=answer.error,
                instances=len(answer.matches),
                duration_s=None,
                resumed=query in self._before,
            )
        )

    def _answer(self, query: Query | IdentifierError) -> Answer:
        if isinstance(query, IdentifierError):
            return Answer("invalid", error="invalid_row", advice=sentences(str(query), ADVICE["invalid_row"]))
        answer = self._known.get(query)
        if answer is None:
            return _NOT_ATTEMPTED
        keys = [pair for step in query.steps for pair in step.keys] if answer.outcome == "empty" else []
        odd = unlikely_values(keys)
        narrow = "" if odd else with_other_keys(keys)
        return replace(
            answer,
            advice=sentences(*query.notes, *odd, narrow, answer.advice or "") or None,
            asked_by=", ".join(query.asked_by),
            of_any_site=is_of_any_site(query, answer.matches),
            is_narrow=bool(narrow),
        )


@dataclass(frozen=True, slots=True)
class _Began:
    query: Query


class _Workers:
    """A thread for each association; each takes one batch after the other."""

    def __init__(self, asks: Sequence[_AskBatch], todo: Sequence[Batch], stop: Stop) -> None:
        self._todo, self._stop, self._lock = iter(todo), stop, threading.Lock()
        self._messages: queue.SimpleQueue[_Began | tuple[Query, Answer] | Exception | None] = queue.SimpleQueue()
        # Not daemons: the interpreter waits for them, and `Stop` ends them after the end of the main thread.
        self._threads = [
            threading.Thread(target=self._work, args=(ask,), name=f"dicomove-find-{number}", daemon=False)
            for number, ask in enumerate(asks[: len(todo)])
        ]
        self._running = 0

    def start(self) -> Iterator[_Began | tuple[Query, Answer] | None]:
        """Start the threads, and yield their messages until all have ended; ``None`` if nothing came for a while.

        Raises
        ------
        Exception
            An error of a thread.
        """
        for thread in self._threads:
            thread.start()
            self._running += 1
        while self._running:
            try:
                message = self._messages.get(timeout=_TICK_S)
            except queue.Empty:
                yield None
                continue
            if isinstance(message, Exception):
                raise message
            if message is None:
                self._running -= 1
            else:
                yield message

    def ended(self, interrupts: Interrupts) -> list[tuple[Query, Answer]]:
        """Cancel the C-FINDs in flight, wait for the threads, and return the last answers.

        A second interrupt does not wait for the PACS.
        """
        seen = interrupts.total
        self._stop.set()
        while any(thread.is_alive() for thread in self._threads):
            try:
                if interrupts.total > seen:
                    self._stop.abandon()
                for thread in self._threads:
                    if thread.ident is not None:
                        thread.join(_TICK_S / 4)
            except KeyboardInterrupt:
                self._stop.abandon()
        told = []
        while not self._messages.empty():
            message = self._messages.get()
            if isinstance(message, tuple):
                told.append(message)
        return told

    def _work(self, ask: _AskBatch) -> None:
        try:
            with suppress(Stopped):
                while (batch := self._next()) is not None:
                    self._ask(ask, batch)
                if not self._stop.is_set():
                    ask.end()
        except Exception as error:  # noqa: BLE001 (it is raised again where the table is)
            self._messages.put(error)
        finally:
            self._messages.put(None)

    def _ask(self, ask: _AskBatch, batch: Batch) -> None:
        answers = ask(batch)
        for query in batch:
            self._messages.put(_Began(query))
            self._messages.put(next(answers))

    def _next(self) -> Batch | None:
        with self._lock:
            return None if self._stop.is_set() else next(self._todo, None)
