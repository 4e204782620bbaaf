"""`move` and `start_move`: C-MOVE or C-GET for each row of a table."""

from __future__ import annotations

from contextlib import closing
from typing import Unpack

import pandas as pd

from dicomove.cohort import table_for
from dicomove.columns import COUNTED_BY_COLUMN, METHOD_COLUMN, RESULT_COLUMNS, kept_message
from dicomove.errors import CohortWarning, warn
from dicomove.interpreter import short_switch_interval
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
    identifiers_of,
    run_settings,
    shows_options,
)

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
    """Move each row of a table with one C-MOVE (PS3.4 C.4.2), and return a table with the result of each row.

    Only the level and its unique keys are sent. Rows with the same identifier are moved once, and all get the result.
    An interrupt (Ctrl-C, the stop button, SIGTERM, SIGHUP) sends C-CANCEL and returns the table so far; a second one
    does not wait for the PACS. With a journal, the same call goes on where the last one ended.

    Parameters
    ----------
    table
        One row per C-MOVE, on any index: StudyInstanceUID, and by level SeriesInstanceUID, SOPInstanceUID, PatientID.
    pacs
        The PACS.
    destination
        The Move Destination: an AE title that the PACS knows; a `Receiver` on this machine, whose AE title the PACS
        knows; a list of receivers, which share the rows; or a `Destination`, another archive. With a receiver, the
        files on disk decide about the outcome; with a `Destination`, its answers to C-FIND.
    level
        ``"PATIENT"``, ``"STUDY"``, ``"SERIES"`` or ``"IMAGE"``. With ``None``, the column ``QueryRetrieveLevel``
        decides, or else the deepest UID of the row. Whole patients are moved only at the level ``"PATIENT"``.
    query_model
        ``"StudyRoot"`` or ``"PatientRoot"``.
    concurrency
        The largest number of simultaneous associations. If the PACS refuses some, or runs out of resources, there are
        fewer. ``"auto"`` begins with one, and doubles the number while the PACS sends clearly more instances per
        second; then it adds or removes one if that is better. It removes one when the response times rise, or the PACS
        refuses one. It learns from the counts of the PACS, and from the arrivals at a `Receiver`. The default is 1: a
        PACS has other users, and its administrator decides about more than one association. Associations without a
        waiting row move the series of a large study.
    max_concurrency
        The largest number of associations with ``concurrency="auto"``.
    delay
        Seconds of rest for each association between two moves.
    total_timeout
        Seconds that one move may take; ``None`` is no limit.
    verify
        The source of the expected numbers. ``"auto"`` takes the numbers of related instances from the table, or else
        from C-FIND, and lists the instances if the numbers do not agree. ``"counts"`` never lists them,
        ``"instances"`` always does, ``"arrivals"`` asks for neither. ``"hash"`` is ``"auto"``, and also compares the
        files of an earlier run with their hashes before it counts them as complete.
    retry
        Tries rows again whose failure may pass: a `Retry`, or the number of attempts. With a receiver, a retry asks
        only for missing instances.
    journal
        The file that records the run, so that the same call can go on. With ``None``, it is in the folder of the
        receiver, if there is one; ``False`` keeps no journal.
    hours
        When rows may begin: ``"19:00-06:00 Europe/Berlin"``. Rows in flight are finished.
    max_instances_per_second
        The limit over all associations. It delays the next rows.
    outage_timeout
        How many seconds the run waits for a PACS that is down (no answer to five rows one after the other; with
        `retry`, to one row), or for room on a full disk; ``None`` is no limit. With ``"auto"``, it waits for room
        without a limit. It waits for a PACS for a minute, or ten times as long as `retry` waits for one row if that is
        longer. For a PACS that has never answered, it waits as long as `retry` waits for one row, and not at all
        without `retry`.
    on_failure
        ``"continue"``, or ``"stop"`` after the first row that fails for good.
    max_failures
        The number of failed rows that ends the run; ``None`` is no limit.
    executor
        Where the associations are opened: any `concurrent.futures.Executor`, or a `Distributed` for workers on other
        machines; ``None`` means threads of this process.
    method
        ``"move"`` sends C-MOVE. ``"get"`` sends C-GET (PS3.4 C.4.3): the PACS sends the images on the association of
        the request, and does not need to know or reach a port of this machine. ``"auto"`` sends C-MOVE until a row
        cannot be moved (the PACS does not know the receiver, or cannot reach it). If no instance came before, this row
        and all later ones use C-GET, if the PACS offers it. C-GET needs a `Receiver`, whose process sends it. The
        column ``method`` of the result has the method of each row.
    nearline
        For rows with images on a slow medium, by the column ``InstanceAvailability`` of `find` (``NEARLINE``,
        ``OFFLINE``, ``UNAVAILABLE``). ``"last"`` moves them after the others, and gives the PACS ten times as long for
        the first response; ``"skip"`` leaves them as ``not_attempted``, with the error ``nearline``; ``"as_is"``
        treats them like the others.
    max_studies, max_instances, max_bytes
        The limits of the run. A run above a limit raises a `CohortError`, and sends nothing. The PACS is asked for
        numbers that the table lacks; bytes are estimated, as in `plan`.
    max_per_row
        The largest number of instances of a row. A larger row is ``invalid`` with the error ``too_large``; the others
        are moved.
    progress
        ``"auto"`` (a panel in a notebook, a bar elsewhere), ``"panel"``, ``"tqdm"``, ``False``, or a function that
        gets the events.

    Returns
    -------
    pandas.DataFrame
        The rows and columns of `table`, on its index and in its order, and the columns `RESULT_COLUMNS`, which
        docs/tables.md explains. They replace those of an earlier run and of `find`. If a column of your own has one of
        these names (``outcome``: died or alive), it becomes ``<name>_cohort``, with a warning.

    Raises
    ------
    CohortError
        The table is invalid. Nothing was sent.
    AddressError
        `destination` is not an AE title.
    JournalError
        The journal has other content, is damaged, or another process has it. Nothing was sent.
    ValueError
        Another argument is invalid.

    Warns
    -----
    CohortWarning
        Rows lack a UID that others have, and so bring more, for example a study and not one series. Or rows of `find`
        bring a whole patient, because their column QueryRetrieveLevel says so. Or such rows name an IssuerOfPatientID,
        which a C-MOVE does not have. Or a column of your own got another name in the table. Or the PACS has studies
        under another PatientName or PatientBirthDate.
    InterruptedWarning
        The run was stopped: the table is partial.
    JournalWarning
        The end of the run could not be recorded.
    ReceiverWarning
        Images have another PatientID than their row; the receiver's process was started again; or the PACS may not
        reach the receiver's address.
    VerificationWarning
        C-FIND did not give the expected number for some rows; their advice has the reason. Or the PACS moved more
        instances than that, to a destination that does not show which.

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
    # Everything is in the block, so that an interrupt after the end of the run does not lose the table.
    with closing(run), Interrupts() as interrupts, short_switch_interval():
        with show:
            run.do(show, lambda: interrupts.count)
        run.warn_of_problems()
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
    """Begin a `move` in the background, and return at once, so that other cells can run meanwhile.

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
    table = table_for(table, pacs)
    identifiers = identifiers_of(table, level, query_model)
    checked = Options.of(options)
    settings = run_settings(pacs, destination, checked)
    warn_of_own(table, settings, checked)
    return PreparedRun(table, identifiers, settings, checked)


def warn_of_own(table: pd.DataFrame, settings: RunSettings, options: Options) -> None:
    """Warn if columns of the caller's own get another name."""
    method = () if options.method == "move" else (METHOD_COLUMN,)
    counted_by = (COUNTED_BY_COLUMN,) if settings.archive else ()
    message = kept_message(table, (*RESULT_COLUMNS, *method, *counted_by))
    if message:
        warn(message, CohortWarning)
