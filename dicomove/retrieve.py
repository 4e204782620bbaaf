"""`retrieve`: `find` and `move` in one call."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable
from contextlib import closing
from typing import Final, Unpack

import pandas as pd

from dicomove.cohort import Broad, PartialKeys, at_level_of_find, check_table, with_own_columns
from dicomove.columns import label
from dicomove.errors import CohortWarning, warn
from dicomove.find import find
from dicomove.interrupts import Interrupts
from dicomove.move import warn_of_own
from dicomove.notebook import Phases, Progress
from dicomove.pacs import Pacs
from dicomove.results import not_sent, result_table
from dicomove.run import (
    MoveDestination,
    MoveOptions,
    Options,
    PreparedRun,
    RunSettings,
    check_path_columns,
    identifiers_of,
    path_columns,
    run_settings,
    shows_options,
)
from dicomove.search import Matches

__all__ = ["retrieve"]

_ABOVE: Final = (
    "the column QueryRetrieveLevel of {changed} of {count} rows has a level above {level}, at which find searched: "
    "these rows bring what find matched, and no more. To move all of a patient or study, give retrieve that level="
)


@shows_options
def retrieve(
    cohort: pd.DataFrame,
    pacs: Pacs,
    destination: MoveDestination,
    *,
    level: str = "STUDY",
    keys: Iterable[str] = (),
    query_model: str = "StudyRoot",
    broad: Broad = "refuse",
    partial_keys: PartialKeys = "ask",
    matches: Matches = "all",
    within: str | dt.timedelta | None = None,
    loose: Iterable[str] = (),
    find_concurrency: int = 1,
    find_delay: float = 0,
    find_journal: str | os.PathLike[str] | None = None,
    max_age: str | dt.timedelta | None = None,
    progress: Progress = "auto",
    **options: Unpack[MoveOptions],
) -> pd.DataFrame:
    """Find the studies of each row of a cohort, and move them: ``move(find(cohort))``, with one progress display.

    ``verdicts(cohort, results)`` then has one verdict for each row of the cohort. With a journal, which a `Receiver`
    keeps by itself, the same call goes on where the last one ended: it searches again, and moves only missing
    instances.

    Parameters
    ----------
    cohort
        As for `find`: PatientID, AccessionNumber, dates, UIDs, under the usual headers, on any index.
    pacs
        The PACS.
    destination
        As for `move`: an AE title that the PACS knows, a `Receiver` on this machine, a list of receivers, or another
        archive as a `Destination`.
    level, keys, query_model, broad, partial_keys, matches, within, loose
        As for `find`. The level ``"PATIENT"`` moves whole patients. A row never brings more than `find` matched: in its
        column QueryRetrieveLevel, a level above this one does not count, and a warning says so.
    find_concurrency, find_delay, find_journal, max_age
        `concurrency`, `delay`, `journal` and `max_age` of `find`; the names without ``find_`` are those of `move`.
    progress
        ``"auto"`` (a panel in a notebook, a bar elsewhere), ``"panel"``, ``"tqdm"``, ``False``, or a function that
        gets the events of both.
    **options
        Every other keyword of `move`.

    Returns
    -------
    pandas.DataFrame
        The table that `move` returns for the table of `find`: one row per match, and one for each row of the cohort
        without a match; ``cohort_row`` has the label of the row that asked.

    Raises
    ------
    CohortError, IdentifierError
        As in `find`: nothing was sent.
    AddressError, ValueError
        Another argument is invalid: nothing was sent.
    JournalError
        The journal has other content, is damaged, or another process has it. Nothing was moved.

    Warns
    -----
    CohortWarning, FindWarning, JournalWarning, ReceiverWarning, VerificationWarning
        As `find` and `move` do.
    InterruptedWarning
        The call was interrupted. The table has the matches and results so far.

    Examples
    --------
    >>> import dicomove as dm
    >>> from dicomove.testing import demo_pacs
    >>> cohort = pd.DataFrame({"accession": ["A0010", "A9999"]}, index=["first", "second"])
    >>> with demo_pacs() as pacs:
    ...     results = dm.retrieve(cohort, pacs, pacs.destination, progress=False)
    >>> dm.verdicts(cohort, results)["outcome"].to_dict()
    {'first': 'complete', 'second': 'empty'}
    """
    check_table(cohort)
    checked = Options.of(options)
    settings = run_settings(pacs, destination, checked)
    check_path_columns(cohort, settings.receivers)
    # From before the first C-FIND, so that an interrupt between find and move does not lose the matches.
    with Interrupts() as interrupts, Phases(progress) as phases:
        studies = find(
            with_own_columns(cohort, path_columns(settings.receivers)),
            pacs,
            level=level,
            keys=keys,
            query_model=query_model,
            broad=broad,
            partial_keys=partial_keys,
            matches=matches,
            within=within,
            loose=loose,
            concurrency=find_concurrency,
            delay=find_delay,
            journal=find_journal,
            max_age=max_age,
            progress=phases,
        )
        return _moved(studies, level, query_model, settings, checked, phases, interrupts)


def _moved(
    studies: pd.DataFrame,
    level: str,
    query_model: str,
    settings: RunSettings,
    options: Options,
    phases: Phases,
    interrupts: Interrupts,
) -> pd.DataFrame:
    """Return the result table of the studies that `find` has found."""
    # `move` moves whole patients only if the level is given.
    whole = "PATIENT" if level.strip().upper() == "PATIENT" else None
    leveled, changed = (studies, 0) if whole else at_level_of_find(studies, level, query_model)
    if changed:
        warn(_ABOVE.format(changed=changed, count=len(studies), level=level.strip().upper()), CohortWarning)
    requested = identifiers_of(leveled, whole, query_model)
    warn_of_own(studies, settings, options)
    if (studies[label(studies, "outcome")] == "not_attempted").any():  # `find` has already warned
        return result_table(studies, [not_sent(one) for one in requested])
    with closing(PreparedRun(studies, requested, settings, options)) as run:
        run.do(phases, lambda: interrupts.count)
    run.warn_of_problems()
    return run.results
