"""Moves the rows of a table: decides on their order, ends each attempt with a result, and records it in the journal.

The modules of the first two groups only decide: they use no network, disk, clock or thread. `receivers` is an
exception: it looks which receiver has a part of a row.

From a table to tasks::

    options      the keywords of `move`, each checked alone
    table/       from the rows of a table to the tasks of a run; the table of `plan`

A run::

    state        all decisions of a run: events in, instructions out
    messages     the events and instructions of `state`
    requests     one task, and the journal's records of an attempt
    schedule     which task begins next, whether it is tried again
    split        a large study whose series are moved side by side
    outages      pauses of the run: PACS down, receiver away, disk full
    receivers    which receiver gets a row, if there are several
    pacing/      hours, retry, associations, instances per second
    rows         the results of the rows, and the events that displays get

Actions::

    settings     what a run and its workers need: the PACS, the checked destination, the method
    prepared     a run over a table, from its tasks to its result
    run          the loop, in the caller's thread: waits for events, executes the instructions
    journal      finds rows that an earlier run completed; makes a row durable: its files, then the journal
    pools        the workers: threads of this process, or any `concurrent.futures.Executor`
    channel      the connection between a worker, in this process or elsewhere, and the run
    attempt/     one attempt of a task: its C-FINDs and C-MOVEs, and how it ends
"""

from dicomove.run.options import Distributed, MoveOptions, Options, shows_options
from dicomove.run.pacing import Hours
from dicomove.run.prepared import PreparedRun, identifiers_of
from dicomove.run.settings import MoveDestination, RunSettings, run_settings
from dicomove.run.table.cells import check_path_columns, path_cells, path_columns

__all__ = [
    "Distributed",
    "Hours",
    "MoveDestination",
    "MoveOptions",
    "Options",
    "PreparedRun",
    "RunSettings",
    "check_path_columns",
    "identifiers_of",
    "path_cells",
    "path_columns",
    "run_settings",
    "shows_options",
]
