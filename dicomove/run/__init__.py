"""A run over the rows of a table: the order of the moves, the end of each attempt, and its record in the journal.

Decisions, without I/O, clocks or threads::

    options         the keywords of `move`
    guards          limits of what a run may bring
    attempt         the ways in which an attempt ends, and the result of its row
    requests        one task, the settings for all tasks, and the journal's records of an attempt
    messages        the events and instructions of `state`
    schedule        which task begins next, whether it is tried again, nearline rows last
    asking          pauses in C-FIND for a PACS that does not answer it
    outages         pauses of the run: PACS down, receiver away, disk full
    rows            the results of the rows, and the events that displays get
    state           all decisions of a run: events in, instructions out
    narrowing       the C-MOVEs for what is missing of a row; several C-MOVEs as one result; C-GET instead
    split           a large study whose series are moved side by side
    tasks           from rows to tasks: rows with one identifier share a task
    path_cells      the columns that the path of a receiver names
    row_cells       further columns of a table: expected, patients, availability, SOP classes
    patients        compares the patient and accession number of a row with those of the PACS
    estimates       the bytes and seconds that a move is likely to take
    planned         the actions and the table of `plan`
    pacing/         hours, retry, associations, congestion, outages, rate

Actions::

    prepared        a run over a table, from its checks to its result
    destinations    checks the destination: AE titles, archives and receivers
    resuming        rows that an earlier run with the same journal completed
    run             the loop, in the caller's thread: waits for events, executes the instructions
    worker          one attempt: looks, moves, and reconciles
    moves           the C-MOVEs or C-GETs of one attempt
    reconciliation  compares what was expected with what came and what is on disk
    inventory       how many instances are expected, and which: the policy of ``verify=``
    questions       the C-FINDs of `inventory`
    holdings        one C-FIND per row for `plan` and for limits: number of instances, availability
    archive         what another archive at the destination has, by C-FIND
    threads         workers in threads of this process
    executors       workers of any `concurrent.futures.Executor`
    channel         the connection between a worker elsewhere and the run
    writer          makes rows durable: first their files, then the journal
"""

from dicomove.run.destinations import MoveDestination, run_settings
from dicomove.run.options import Distributed, MoveOptions, Options, shows_options
from dicomove.run.pacing import Hours
from dicomove.run.pacing.retry import OnFailure
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
