"""`plan`: what a move would do. Nothing is moved."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pandas as pd

from dicomove import columns
from dicomove.cohort import Identifier, Requested, Unmatched, is_blank, keyword_columns, move_identifiers
from dicomove.columns import PLAN_COLUMNS
from dicomove.dimse import FindScu
from dicomove.errors import CohortWarning, InterruptedWarning
from dicomove.events import RowFinished, RowStarted, RunEnded, RunStarted
from dicomove.notebook import Display, Progress, display
from dicomove.outcome import Unverified, sentences
from dicomove.pacs import Pacs
from dicomove.results import not_sent, resumed
from dicomove.run import MoveDestination, Options, run_settings
from dicomove.run.archive import ArchiveAtDestination
from dicomove.run.counting import Counted, Counting
from dicomove.run.inventory import COUNT_KEYS
from dicomove.run.nearline import SLOW, availabilities
from dicomove.run.requests import RunSettings
from dicomove.run.resuming import completed, still_on_disk
from dicomove.store import JOURNAL_FILE, Journal

__all__ = ["PLAN_COLUMNS", "plan"]

Action = Literal["move", "repeated", "skip", "nothing", "invalid"]

_LEVEL: Final = "QueryRetrieveLevel"
_REPEATED: Final = "An earlier row is the same: it is moved once, and both get the result."
_NOTHING: Final = "The PACS has nothing for this identifier: is it right?"
_SLOW: Final = "The PACS has it {}, and takes longer to send it: nearline= of move says what becomes of it."


def plan(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination | None = None,
    *,
    level: str | None = None,
    query_model: str = "StudyRoot",
    journal: str | os.PathLike[str] | Literal[False] | None = None,
    progress: Progress = "auto",
) -> pd.DataFrame:
    """Say for each row of a table what `move` would do with it. Nothing is moved.

    The PACS is asked with one C-FIND for each row that would be moved, and whose number of instances the table of
    `find` does not hold already.

    Parameters
    ----------
    table
        As for `move`.
    pacs
        The PACS.
    destination
        As for `move`; without it, nothing is known of what is there already.
    level, query_model
        As for `move`.
    journal
        As for `move`; one that is not there yet is not made.
    progress
        ``"auto"``, ``"panel"``, ``"tqdm"``, ``False``, or a function that gets the events.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `table`, on its index and in its order, and

        - ``action``: ``move``; ``repeated`` (an earlier row is the same); ``skip`` (an earlier run completed it);
          ``nothing`` (`find` has matched nothing for it, and ``advice`` says why); ``invalid`` (it cannot be sent).
        - ``QueryRetrieveLevel``: the level at which it would be moved. A row that is invalid keeps what it had.
        - ``expected``: how many instances it holds; null where nobody knows.
        - ``on_disk``: how many of them a `Receiver` or a `Destination` has already; null for another destination.
        - ``availability``: whether the PACS has it at hand (``ONLINE``), or has to fetch it from a slow medium
          (``NEARLINE``, ``OFFLINE``), or cannot (``UNAVAILABLE``); null where it does not say it.
        - ``advice``: one line for a person.

    Raises
    ------
    CohortError
        The table cannot be right. Nothing was sent.
    AddressError
        `destination` is no AE title.
    JournalError
        The journal is of something else, damaged, or another process has it.
    ReceiverError
        The receiver is closed, or gone for good.
    ValueError
        A journal without a destination.

    Warns
    -----
    InterruptedWarning
        It was interrupted: of the rest of the rows, it is not known how many instances they hold.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> cohort = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4", "1.2.3.4", "1.2.*"]})
    >>> with demo_pacs() as pacs:
    ...     planned = plan(cohort, pacs, progress=False)
    >>> planned["action"].tolist()
    ['move', 'repeated', 'invalid']
    """
    identifiers = move_identifiers(table, level, query_model)
    steps = _steps(table, identifiers)
    archive: ArchiveAtDestination | None = None
    if destination is not None:
        settings = run_settings(pacs, destination, Options(journal=journal))
        _look_at_disk(settings, steps)
        _look_into_journal(settings, journal, steps)
        archive = ArchiveAtDestination(settings.archive, threading.Event()) if settings.archive else None
    elif journal:
        message = f"journal={os.fspath(journal)!r}: say to which destination, as in move(table, pacs, destination)"
        raise ValueError(message)
    with display(progress) as show:
        interrupted = _ask_all(pacs, archive, list(table.index), identifiers, steps, show)
    if interrupted:
        warnings.warn("interrupted: some rows were not looked up", InterruptedWarning, stacklevel=2)
    return _table(table, identifiers, steps)


@dataclass(slots=True)
class _Step:
    """What becomes of the rows that name the same."""

    first: int
    action: Action = "move"
    expected: int | None = None
    on_disk: int | None = None
    availability: str | None = None
    advice: str | None = None
    where: Literal["on disk", "at the destination"] = "on disk"


Steps = Mapping[Identifier, _Step]


def _steps(table: pd.DataFrame, identifiers: Sequence[Requested]) -> dict[Identifier, _Step]:
    where = keyword_columns(table.columns, COUNT_KEYS.values())
    known = {name: table.iloc[:, column].tolist() for name, column in where.items()}
    said = availabilities(table)
    steps: dict[Identifier, _Step] = {}
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            step = steps.setdefault(identifier, _Step(position))
            cells = known.get(COUNT_KEYS.get(identifier.level, ""))
            if step.expected is None and cells:
                step.expected = columns.whole_number(cells[position])
            step.availability = step.availability or said[position]
    return steps


def _look_at_disk(settings: RunSettings, steps: Steps) -> None:
    for identifier, step in steps.items() if settings.receivers else ():
        rows = [
            receiver.row(run, step.first, dict(identifier.keys))
            for receiver, run in zip(settings.receivers, settings.runs, strict=True)
        ]
        step.on_disk = len({uid for row in rows for uid in row.held()})


def _look_into_journal(
    settings: RunSettings, journal: str | os.PathLike[str] | Literal[False] | None, steps: Steps
) -> None:
    path = settings.receivers[0].folder / JOURNAL_FILE if journal is None and settings.receivers else journal
    if not path or not Path(path).exists():
        return
    keys = {identifier: settings.key(identifier) for identifier in steps}
    with Journal.open(path) as opened:
        done = (
            {key: resumed(*found) for key, found in completed(opened, list(keys.values())).items()}
            if settings.archive
            else still_on_disk(opened, list(keys.values()), settings)
        )
    for identifier, key in keys.items():
        if key in done:
            step = steps[identifier]
            step.action, step.expected, step.advice = "skip", done[key].expected, done[key].advice


def _look_at_archive(archive: ArchiveAtDestination, identifier: Identifier, step: _Step) -> None:
    """Take in what the archive at the destination has; what an earlier run completed may be gone."""
    found = archive.look(identifier)
    if isinstance(found, Unverified):
        step.advice = sentences(step.advice or "", found.why)
        return
    step.on_disk, step.where = len(found.held), "at the destination"
    if step.action == "skip" and step.on_disk < (step.expected or 1):
        step.action, step.advice = "move", None


def _ask_all(
    pacs: Pacs,
    archive: ArchiveAtDestination | None,
    labels: Sequence[Hashable],
    identifiers: Sequence[Requested],
    steps: Steps,
    show: Display,
) -> bool:
    """Ask the PACS what the rows hold; return whether that was interrupted."""
    unknown = {identifier for identifier, step in steps.items() if step.action == "move" and step.expected is None}
    unseen = set(steps) if archive else set()
    interrupted = False
    try:
        show(RunStarted(verb="plan", rows=len(labels), requests=len(unknown)))
        with FindScu(pacs) as scu:
            counting = Counting(scu)
            for position, identifier in enumerate(identifiers):
                show(RowStarted(row=labels[position], position=position))
                if isinstance(identifier, Identifier) and identifier in unknown:
                    unknown.remove(identifier)
                    _take_in(counting.expected(identifier), steps[identifier])
                if archive and isinstance(identifier, Identifier) and identifier in unseen:
                    unseen.remove(identifier)
                    _look_at_archive(archive, identifier, steps[identifier])
                show(_finished(labels[position], position, identifier, steps))
    except KeyboardInterrupt:
        interrupted = True
    with suppress(KeyboardInterrupt):  # too late to stop anything
        if archive:
            archive.close()
        show(RunEnded(verb="plan", interrupted=interrupted))
    return interrupted


def _take_in(answer: Counted, step: _Step) -> None:
    step.expected, step.advice = answer.expected, answer.advice
    step.availability = step.availability or answer.availability


def _finished(label: Hashable, position: int, requested: Requested, steps: Steps) -> RowFinished:
    step = steps[requested] if isinstance(requested, Identifier) else None
    said = None if step else not_sent(requested)
    return RowFinished(
        row=label,
        position=position,
        outcome=_action(position, step) if step else _action_without(requested),
        error=said.error if said else None,
        instances=step.expected if step else None,
        duration_s=None,
    )


def _action_without(requested: Requested) -> Action:
    return "nothing" if isinstance(requested, Unmatched) and requested.outcome != "invalid" else "invalid"


def _action(position: int, step: _Step) -> Action:
    return step.action if position == step.first or step.action != "move" else "repeated"


def _advice(action: Action, step: _Step) -> str | None:
    if action == "repeated":
        return _REPEATED
    if step.advice or action != "move":
        return step.advice
    if step.expected == 0:
        return _NOTHING
    if step.expected and (step.on_disk or 0) >= step.expected:
        return f"All of it is {step.where} already."
    return _SLOW.format(step.availability) if step.availability in SLOW else None


def _table(table: pd.DataFrame, identifiers: Sequence[Requested], steps: Steps) -> pd.DataFrame:
    where = keyword_columns(table.columns, [_LEVEL])
    had = table.iloc[:, where[_LEVEL]].tolist() if where else [None] * len(table)
    rows: list[tuple[Action, str | None, int | None, int | None, str | None, str | None]] = []
    for position, identifier in enumerate(identifiers):
        if isinstance(identifier, Identifier):
            step = steps[identifier]
            action = _action(position, step)
            known = (step.expected, step.on_disk, step.availability)
            rows.append((action, identifier.level, *known, _advice(action, step)))
        else:
            advice = not_sent(identifier).advice
            rows.append((_action_without(identifier), _text(had[position]), None, None, None, advice))
    actions, levels, expected, on_disk, available, advices = zip(*rows, strict=True) if rows else ((),) * 6
    made = {
        "action": columns.text(actions),
        _LEVEL: columns.text(levels),
        "expected": columns.counts(expected),
        "on_disk": columns.counts(on_disk),
        "availability": columns.text(available),
        "advice": columns.text(advices),
    }
    added = [name for name in PLAN_COLUMNS if name != _LEVEL or _is_another(had, levels)]
    message = columns.kept_message(table, added)
    if message:
        warnings.warn(message, CohortWarning, stacklevel=3)
    return columns.with_columns(table, made, added)


def _is_another(had: Sequence[object], levels: Sequence[str | None]) -> bool:
    """Whether a column of levels said something else than the levels at which the rows would be moved."""
    return any(
        not is_blank(cell) and str(cell).strip().upper() != (level or "").upper()
        for cell, level in zip(had, levels, strict=False)
    )


def _text(cell: object) -> str | None:
    return None if is_blank(cell) else str(cell)
