"""`move` and `start_move`: a table of what is wanted in, a table of what happened out."""

from __future__ import annotations

from typing import Unpack

import pandas as pd

from dicomove.cohort import Requested, move_identifiers, on_coarser_rows
from dicomove.columns import COUNTED_BY_COLUMN, METHOD_COLUMN, RESULT_COLUMNS, kept_message
from dicomove.errors import CohortWarning, warn
from dicomove.frozen import in_bulk
from dicomove.interrupts import Interrupts
from dicomove.job import MoveJob
from dicomove.notebook import Progress, check_progress, display
from dicomove.pacs import Pacs
from dicomove.run import (
    MoveDestination,
    MoveOptions,
    Options,
    PreparedRun,
    RunSettings,
    run_settings,
    shows_options,
    warn_of,
)
from dicomove.switch_interval import short_switch_interval

__all__ = ["RESULT_COLUMNS", "move", "start_move"]


@shows_options
def move(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination,
    *,
    level: str | None = None,
    query_model: str = "StudyRoot",
    progress: Progress = "auto",
    **options: Unpack[MoveOptions],
) -> pd.DataFrame:
    """Move what each row of a table names, with one C-MOVE each (PS3.4 C.4.2), and say what happened to each row.

    Only the level and its unique keys are sent. Rows that name the same are moved once, and all get the result. An
    interrupt (Ctrl-C, the stop button, SIGTERM) sends C-CANCEL and returns the table so far; a second one does not
    wait for the PACS. With a journal, the same call goes on where the last one ended.

    Parameters
    ----------
    table
        One row per C-MOVE, on any index: StudyInstanceUID, and by level SeriesInstanceUID, SOPInstanceUID, PatientID.
    pacs
        The PACS.
    destination
        The Move Destination: an AE title that the PACS knows, or a `Receiver` on this machine, by whose AE title the
        PACS knows it; or a list of receivers, among which the rows are shared. With a receiver, what is on disk
        decides. Or a `Destination`: another archive, which is asked with C-FIND what it has, and that decides.
    level
        ``"PATIENT"``, ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``; ``None`` reads the column ``QueryRetrieveLevel``, or
        else takes the deepest UID that the row fills. Whole patients are moved only where the level says so.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    concurrency
        Associations at the same time, at the most. A PACS that refuses some, or runs out of resources, gets fewer.
        ``"auto"`` begins with one, and doubles their number while the PACS gives clearly more instances per second for
        it; then it adds one, or takes one away, where that is better. It takes one away when the response times rise,
        or the PACS refuses one. It learns from the counts of the PACS, and from what arrives at a `Receiver`. The
        default is 1: a PACS has other users, and its administrator decides how much more than one association it may
        give. Associations for which no row waits move the series of a large study.
    max_concurrency
        The most associations with ``concurrency="auto"``.
    delay
        Seconds that each association rests between two moves.
    total_timeout
        Seconds that one move may take; ``None`` is no limit.
    verify
        How to learn what is expected: ``"auto"`` takes the numbers of related instances from the table, or else from
        C-FIND, and lists the instances where they do not add up; ``"counts"`` does without the list, ``"instances"``
        always makes it, ``"arrivals"`` asks nothing. ``"hash"`` is ``"auto"``, and reads again what an earlier run
        stored, before it takes that for complete.
    retry
        Tries rows again whose failure may pass: a `Retry`, or the number of attempts. With a receiver, only what is
        missing is asked for again.
    journal
        The file in which everything is written down, and from which the same call goes on. ``None`` keeps one in the
        folder of the receiver, if there is one; ``False`` keeps none.
    hours
        When rows may begin: ``"19:00-06:00 Europe/Berlin"``. What is in flight is finished.
    max_instances_per_second
        Over all associations; it delays the rows that follow.
    outage_timeout
        Seconds for which the run waits for a PACS that is down (five rows in a row without an answer), or for room on a
        full disk; ``None`` is no limit. With ``"auto"``, it waits for room without a limit, for a PACS for a minute, or
        ten times as long as `retry` would wait for one row if that is longer, and for a PACS that has never answered as
        long as `retry` would, or not at all.
    on_failure
        ``"continue"``, or ``"stop"`` after the first row that fails for good.
    max_failures
        Rows that may fail before the run ends; ``None`` is no limit.
    executor
        Where the associations are made: any `concurrent.futures.Executor`, or a `Distributed`, whose workers are on
        other machines; ``None`` is threads of this process.
    method
        ``"move"`` sends C-MOVE. ``"get"`` sends C-GET (PS3.4 C.4.3): the PACS sends the images on the association that
        asks for them, and has to know and to reach no port of this machine. ``"auto"`` moves; from the first row on
        that cannot be moved (the PACS does not know the receiver, or cannot reach it), it gets, unless instances came
        before. C-GET needs a `Receiver`, whose process does it; the column ``method`` of the result says which it was.
    nearline
        Rows whose images the PACS has to fetch from a slow medium, by the column ``InstanceAvailability`` of `find`
        (``NEARLINE``, ``OFFLINE``, ``UNAVAILABLE``). ``"last"`` moves them after the others, and waits for the first
        response ten times as long as `Pacs` says; ``"skip"`` leaves them as ``not_attempted``, with the error
        ``nearline``; ``"as_is"`` takes them like the others.
    max_studies, max_instances, max_bytes
        What the run may bring at the most. If it would bring more, a `CohortError` says so, and nothing is sent. The
        PACS is asked for numbers that the table lacks; bytes are estimated, as `plan` does.
    max_per_row
        The most instances of a row. A larger row is ``invalid`` with the error ``too_large``; the others go.
    progress
        ``"auto"`` (a panel in a notebook, a bar elsewhere), ``"panel"``, ``"tqdm"``, ``False``, or a function that
        gets the events.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `table`, on its index and in its order, and the columns `RESULT_COLUMNS`: docs/tables.md
        tells what each holds. Those of an earlier run, and of `find`, are replaced; a column of your own that bears
        the name of one of them (``outcome``: died or alive) is kept as ``<name>_cohort``, with a warning.

    Raises
    ------
    CohortError
        The table cannot be right. Nothing was sent.
    AddressError
        `destination` is no AE title.
    JournalError
        The journal is of something else, damaged, or another process has it. Nothing was sent.
    ValueError
        Another argument cannot be right.

    Warns
    -----
    CohortWarning
        Rows lack a UID that others have, and bring a whole study, say, and not one series; or a column of your own
        has another name in the table.
    InterruptedWarning
        It was stopped: the table is partial.
    JournalWarning
        The end of the run could not be written down.
    VerificationWarning
        How many instances some rows should have is not known, since C-FIND did not say it: their advice tells why.

    Examples
    --------
    >>> from dicomove.testing import demo_pacs
    >>> studies = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4", ""]}, index=["a", "b"])
    >>> with demo_pacs() as pacs:
    ...     results = move(studies, pacs, pacs.destination, progress=False)
    >>> results["outcome"].to_dict()
    {'a': 'empty', 'b': 'invalid'}
    """
    with short_switch_interval():
        show = display(progress)
        run = _prepared(table, pacs, destination, level, query_model, options)
        # All of it within, so that an interrupt that comes when the run has ended does not take its table away.
        with Interrupts() as interrupts:
            with show:
                run.do(show, lambda: interrupts.count)
            warn_of(run)
            return run.results


@shows_options
def start_move(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination,
    *,
    level: str | None = None,
    query_model: str = "StudyRoot",
    progress: Progress = "auto",
    **options: Unpack[MoveOptions],
) -> MoveJob:
    """Begin a `move` in the background, and return at once: the cell ends, and others can be run meanwhile.

    Parameters
    ----------
    table, pacs, destination, level, query_model, progress
        As in `move`; a panel gets the buttons Cancel and Pause.
    **options
        Every other keyword of `move`.

    Returns
    -------
    MoveJob
        The run: ``job.results``, ``job.wait()``, ``job.cancel()``, ``job.pause()``, ``job.resume()``, ``job.done``.

    Raises
    ------
    CohortError, AddressError, JournalError, ValueError
        As in `move`: nothing was sent.
    """
    check_progress(progress)
    with short_switch_interval():
        return MoveJob(_prepared(table, pacs, destination, level, query_model, options), progress)


def _prepared(
    table: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination,
    level: str | None,
    query_model: str,
    options: MoveOptions,
) -> PreparedRun:
    identifiers = identifiers_of(table, level, query_model)
    checked = Options(**options)
    settings = run_settings(pacs, destination, checked)
    warn_of_own(table, settings, checked)
    return PreparedRun(table, identifiers, settings, checked)


def identifiers_of(table: pd.DataFrame, level: str | None, query_model: str) -> list[Requested]:
    """Return what each row asks for, and warn where some ask for more than the others."""
    with in_bulk():
        identifiers = move_identifiers(table, level, query_model)
    message = None if level else on_coarser_rows(table, identifiers)
    if message:
        warn(message, CohortWarning)
    return identifiers


def warn_of_own(table: pd.DataFrame, settings: RunSettings, options: Options) -> None:
    """Warn where columns of the caller's own get another name."""
    method = () if options.method == "move" else (METHOD_COLUMN,)
    counted_by = (COUNTED_BY_COLUMN,) if settings.archive else ()
    message = kept_message(table, (*RESULT_COLUMNS, *method, *counted_by))
    if message:
        warn(message, CohortWarning)
