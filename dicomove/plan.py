"""`plan`: what a move would do. Nothing is moved."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pandas as pd

from dicomove.cohort import Identifier, Requested, move_identifiers
from dicomove.columns import PLAN_COLUMNS
from dicomove.dimse import FindScu
from dicomove.errors import InterruptedWarning, warn
from dicomove.events import RowStarted, RunEnded, RunStarted
from dicomove.notebook import Display, Progress, display
from dicomove.outcome import Unverified, of_other_person, sentences
from dicomove.pacs import Pacs
from dicomove.results import contradicted_by_pacs, resumed
from dicomove.run import MoveDestination, Options, path_cells, run_settings
from dicomove.run.archive import ArchiveAtDestination
from dicomove.run.estimates import Sizes, rate_of, windows_needed
from dicomove.run.holdings import Counted, Counting
from dicomove.run.inventory import Inventory
from dicomove.run.options import Method
from dicomove.run.pacing import Hours
from dicomove.run.patients import compared, contradicted, other_person
from dicomove.run.planned import Known, Step, Steps, finished, plan_table, steps_of
from dicomove.run.prepared import sizes_of
from dicomove.run.requests import RunSettings
from dicomove.run.resuming import completed, renamed, still_on_disk
from dicomove.store import JOURNAL_FILE, Journal, read_journal
from dicomove.switch_interval import short_switch_interval

__all__ = ["PLAN_COLUMNS", "plan"]


def plan(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination | None = None,
    *,
    level: str | None = None,
    query_model: str = "StudyRoot",
    method: Method = "move",
    journal: str | os.PathLike[str] | Literal[False] | None = None,
    hours: Hours | str | None = None,
    progress: Progress = "auto",
) -> pd.DataFrame:
    """Say for each row of a table what `move` would do with it. Nothing is moved.

    The PACS is asked with one C-FIND for each row that would be moved, and whose number of instances the table of
    `find` does not hold already; with another one whose study it is, where a table of your own names a PatientID or
    AccessionNumber beside the UID. ``move(plan)`` then does what the plan says: a row whose ``action`` is another word
    than ``move`` or ``repeated``, also one of your own, is left out. It does not ask for the numbers again that the
    PACS gave; whose a study is, it asks again, and a `Destination` what it has. ``summary(plan)`` adds it up.

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
    method
        As for `move`. For C-GET the PACS is also asked which SOP classes a study has, by the same C-FIND.
    journal
        As for `move`; one that is not there yet is not made. The latest run in it tells how fast the PACS is.
    hours
        As for `move`: in how many windows (nights, say) it fits is in ``summary(plan)``.
    progress
        ``"auto"``, ``"panel"``, ``"tqdm"``, ``False``, or a function that gets the events.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `table`, on its index and in its order, and

        - ``action``: ``move``; ``repeated`` (an earlier row is the same); ``skip`` (an earlier run completed it);
          ``nothing`` (`find` has matched nothing for it, and ``advice`` says why); ``invalid`` (it cannot be sent).
        - ``QueryRetrieveLevel``: the level at which it would be moved. A row that is invalid keeps what it had.
        - ``expected``: how many instances it holds; null where that is not known.
        - ``on_disk``: how many of them a `Receiver` or a `Destination` has already; null for another destination.
        - ``availability``: whether the PACS has it at hand (``ONLINE``), or has to fetch it from a slow medium
          (``NEARLINE``, ``OFFLINE``), or cannot (``UNAVAILABLE``); null where it does not say it.
        - ``bytes``, ``bytes_low``, ``bytes_high``: an estimate of what is still to come, and the range in which half of
          all instances lie: from the sizes of the modality's instances in the receiver's folder, or else from what is
          usual; null where the number of instances is not known.
        - ``duration_s``: an estimate from the rate of the latest run in the journal; null without one.
        - ``advice``: one line for a person.
        - ``SOPClassesInStudy``, where it is for C-GET: what `move` proposes to the PACS.

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
    checked = Options(journal=journal, hours=hours, method=_method(destination, method))
    steps = steps_of(table, identifiers)
    archive: ArchiveAtDestination | None = None
    known = Known(Sizes(()), None, None)
    if destination is not None:
        settings = run_settings(pacs, destination, checked)
        path_cells(table, identifiers, settings.receivers)
        _look_at_disk(settings, steps)
        path = _journal_path(settings, journal)
        if path:
            _look_into_journal(settings, path, table, steps)
        known = _known(settings, path)
        archive = ArchiveAtDestination(settings.archive, threading.Event()) if settings.archive else None
    elif journal:
        message = f"journal={os.fspath(journal)!r}: say to which destination, as in move(table, pacs, destination)"
        raise ValueError(message)
    is_get = checked.method == "get"
    with display(progress) as show:
        interrupted = _ask_all(pacs, archive, list(table.index), identifiers, steps, show, with_classes=is_get)
    if interrupted:
        warn("interrupted: some rows were not looked up", InterruptedWarning)
    made = plan_table(table, identifiers, steps, known, with_classes=is_get)
    seconds = made["duration_s"].sum() if made["duration_s"].notna().any() else None
    windows = windows_needed(checked.read_hours(), seconds, datetime.now(UTC))
    made.attrs["plan"] = {"windows": windows, "free_bytes": known.free_bytes}
    return made


def _method(destination: MoveDestination | None, method: Method) -> Method:
    """Return by what a move to the destination would be: a receiver without a port is filled by C-GET."""
    given = destination if isinstance(destination, list | tuple) else [destination]
    return method if all(getattr(one, "listens", True) for one in given) else "get"


def _known(settings: RunSettings, journal: Path | None) -> Known:
    free = [shutil.disk_usage(receiver.folder).free for receiver in settings.receivers]
    return Known(sizes_of(settings), _rate(journal) if journal else None, min(free, default=None))


def _rate(journal: Path) -> float | None:
    results = read_journal(journal)
    options = results.attrs["run"].get("options") or {}
    concurrency = options.get("concurrency", 1) if isinstance(options, Mapping) else 1
    return rate_of(results, concurrency if isinstance(concurrency, int) else 1)


def _look_at_disk(settings: RunSettings, steps: Steps) -> None:
    for identifier, step in steps.items() if settings.receivers else ():
        rows = [
            receiver.row(run, step.first, dict(identifier.keys))
            for receiver, run in zip(settings.receivers, settings.runs, strict=True)
        ]
        step.on_disk = len({uid for row in rows for uid in row.held()})


def _journal_path(settings: RunSettings, journal: str | os.PathLike[str] | Literal[False] | None) -> Path | None:
    path = settings.receivers[0].folder / JOURNAL_FILE if journal is None and settings.receivers else journal
    return Path(path) if path and Path(path).exists() else None


def _look_into_journal(settings: RunSettings, path: Path, table: pd.DataFrame, steps: Steps) -> None:
    keys = {identifier: settings.key(identifier) for identifier in steps}
    with Journal.open(path) as opened:
        done = (
            {key: resumed(*found) for key, found in completed(opened, list(keys.values())).items()}
            if settings.archive
            else still_on_disk(opened, list(keys.values()), settings)
        )
        names = {key: (one, steps[one].patients, steps[one].named) for one, key in keys.items() if key in done}
        anew = renamed(opened, table, names)
    for identifier, key in keys.items():
        if key in done and key not in anew:
            step = steps[identifier]
            step.action, step.expected, step.advice = "skip", done[key].expected, done[key].advice


def _look_at_archive(archive: ArchiveAtDestination, identifier: Identifier, step: Step) -> None:
    """Take in what the archive at the destination has; what an earlier run completed may be gone."""
    found = archive.look(identifier)
    if isinstance(found, Unverified):
        step.advice = sentences(step.advice or "", found.why)
        return
    step.on_disk, step.where = len(found.held), "at the destination"
    if step.action == "skip" and step.on_disk < (step.expected or 1):
        step.action, step.advice = "move", None


@short_switch_interval()
def _ask_all(
    pacs: Pacs,
    archive: ArchiveAtDestination | None,
    labels: Sequence[Hashable],
    identifiers: Sequence[Requested],
    steps: Steps,
    show: Display,
    *,
    with_classes: bool,
) -> bool:
    """Ask the PACS what the rows hold; return whether that was interrupted."""
    unknown = {identifier for identifier, step in steps.items() if step.action == "move" and step.expected is None}
    unseen = set(steps) if archive else set()
    interrupted = False
    try:
        show(RunStarted(verb="plan", rows=len(labels), requests=len(unknown)))
        with FindScu(pacs) as scu:
            counting, inventory = Counting(scu, with_classes=with_classes), Inventory(scu, "auto", threading.Event())
            for position, identifier in enumerate(identifiers):
                show(RowStarted(row=labels[position], position=position))
                if isinstance(identifier, Identifier) and identifier in unknown:
                    unknown.remove(identifier)
                    _take_in(counting.expected(identifier), steps[identifier])
                if isinstance(identifier, Identifier):
                    _ask_whose(inventory, identifier, steps[identifier])
                if archive and isinstance(identifier, Identifier) and identifier in unseen:
                    unseen.remove(identifier)
                    _look_at_archive(archive, identifier, steps[identifier])
                show(finished(labels[position], position, identifier, steps))
    except KeyboardInterrupt:
        interrupted = True
    with suppress(KeyboardInterrupt):  # too late to stop anything
        if archive:
            archive.close()
        show(RunEnded(verb="plan", interrupted=interrupted))
    return interrupted


def _ask_whose(inventory: Inventory, identifier: Identifier, step: Step) -> None:
    """Leave out what the PACS has of another patient than the rows name; a PACS that is silent once is not asked."""
    named = compared(step.patients, step.named)
    if step.action != "move" or not named:
        return
    there = {} if _is_silent(inventory) else inventory.values(identifier, named)
    if contrary := contradicted(there, named):
        step.action, step.advice = "invalid", contradicted_by_pacs(contrary).advice
    else:
        step.advice = sentences(step.advice or "", *map(of_other_person, other_person(there, named))) or None
    step.patients = step.named = ()


def _is_silent(inventory: Inventory) -> bool:
    return any(one.lost_s is not None for one in inventory.asked)


def _take_in(answer: Counted, step: Step) -> None:
    step.expected, step.advice = answer.expected, answer.advice
    step.sop_classes, step.modalities = answer.sop_classes or step.sop_classes, answer.modalities
    step.availability = step.availability or answer.availability
