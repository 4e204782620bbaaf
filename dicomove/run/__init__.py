"""Moves the rows of a table: decides on their order, ends each attempt with a result, and records it in the journal.

The modules of the first three groups only decide: they use no network, disk, clock or thread. `receivers` is an
exception: it looks which receiver has a part of a row.

From a table to tasks::

    options                  the keywords of `move`, each checked alone
    cells                    further columns of a table: expected, patients, availability, SOP classes; those of paths
    patients                 compares the patient and accession number of a row with those of the PACS
    shared_rows              which rows share one C-MOVE: those with the same identifier that name the same patient
    tasks                    from rows to tasks: one for each identifier; what a plan and limits leave out, their order
    planned                  the table of `plan`: actions, numbers of instances, advice
    estimates                the bytes and seconds of a plan, and the nights that it needs

A run::

    state                    all decisions of a run: events in, instructions out
    messages                 the events and instructions of `state`
    requests                 one task, and the journal's records of an attempt
    schedule                 which task begins next, whether it is tried again
    outages                  pauses of the run: PACS down, receiver away, disk full
    receivers                which receiver gets a row, if there are several
    pacing/                  hours, retry, associations, instances per second
    rows                     the results of the rows, and the events that displays get

A row::

    attempt                  the ways in which an attempt ends, and the result of its row
    questions                the C-FINDs of `inventory`, and pauses for a PACS that does not answer them
    narrowing                the C-MOVEs for what is missing of a row; several C-MOVEs as one result; C-GET instead
    split                    a large study whose series are moved side by side

Actions::

    settings                 what a run and its workers need: the PACS, the checked destination, the method
    prepared                 a run over a table, from its tasks to its result
    run                      the loop, in the caller's thread: waits for events, executes the instructions
    journal                  finds rows that an earlier run completed; makes a row durable: its files, then the journal
    pools                    the workers: threads of this process, or any `concurrent.futures.Executor`
    channel                  the connection between a worker, in this process or elsewhere, and the run
    worker                   one attempt: asks what is there, moves, and compares the result with C-FIND and the disk
    moves                    the C-MOVEs or C-GETs of one attempt
    patient_check            whose a study is: asks the PACS for the patient of a typed row, before it is moved
    inventory                how many instances are expected, and which: the policy of ``verify=``
    reconciliation           compares what was expected with what came and what is on disk
    counting                 how many instances a PACS has of a row, for `plan` and for limits
    archive_at_destination   what another archive at the destination has of a row
"""

from dicomove.run.cells import check_path_columns, path_cells, path_columns
from dicomove.run.options import Distributed, MoveOptions, Options, shows_options
from dicomove.run.pacing import Hours
from dicomove.run.prepared import PreparedRun, identifiers_of
from dicomove.run.settings import MoveDestination, RunSettings, run_settings

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
