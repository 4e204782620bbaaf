"""A run over the rows of a table: what is moved when, how an attempt ends, and what is written down of it.

Decisions, without I/O, clocks or threads::

    options         the keywords of `move`
    guards          limits of what a run may bring
    attempt         how an attempt ends, and the row that it makes
    requests        the tasks of a run, and what holds for all of them
    messages        what the state of a run takes in, and what it asks for
    schedule        which task begins next, and whether one is tried again
    asking          when a PACS that left C-FINDs without an answer is asked again
    outages         what keeps a run from asking for more: PACS down, receiver away, disk full
    rows            the results of the rows, and what is shown of them
    state           all decisions of a run: events in, instructions out
    narrowing       what to ask for where only some of a row is missing; several C-MOVEs as one
    split           a large study whose series are moved side by side
    tasks           what the rows of a table ask for
    path_cells      what rows have in the columns that the path of a receiver names
    row_cells       what the cells of a table say of its rows
    patients        what rows name of a study and its patient beside what is moved
    estimates       bytes and seconds that a move is likely to take
    planned         what becomes of the rows of a plan, and their table
    pacing/         hours, retry, congestion, outages, rate

Actions::

    prepared        a run over a table, from its checks to its result
    destinations    AE titles, archives and receivers
    resuming        what an earlier run with the same journal has done already
    run             the run itself, in the caller's thread: executes the instructions
    worker          one attempt: C-MOVEs, and the reconciliation of what came
    moves           the C-MOVEs of one attempt
    reconciliation  what was expected, what came, what is on disk
    inventory       what a PACS should have moved, by C-FIND
    questions       the C-FINDs about what a PACS holds of an identifier
    holdings        how many instances a row has, and whether they are at hand, by one C-FIND
    archive         what the archive at the destination has, by C-FIND
    threads         workers in threads of this process
    executors       workers of any `concurrent.futures.Executor`
    channel         the connection between such a worker and the run
    writer          makes rows durable: files, then the journal
"""

from dicomove.run.destinations import MoveDestination, run_settings
from dicomove.run.options import Distributed, MoveOptions, OnFailure, Options, shows_options
from dicomove.run.pacing import Hours
from dicomove.run.path_cells import check_path_columns, path_cells, path_columns
from dicomove.run.prepared import PreparedRun, warn_of
from dicomove.run.requests import RunSettings

__all__ = [
    "Distributed",
    "Hours",
    "MoveDestination",
    "MoveOptions",
    "OnFailure",
    "Options",
    "PreparedRun",
    "RunSettings",
    "check_path_columns",
    "path_cells",
    "path_columns",
    "run_settings",
    "shows_options",
    "warn_of",
]
