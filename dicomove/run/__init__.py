"""A run over the rows of a table: what is moved when, by whom, and what is written down of it.

::

    tasks        the values of a run: its order, its tasks, and what is reported of them
    narrowing    what to ask for where only some of a row is missing                          (pure)
    schedule     which task begins next, and what the run waits for, over a clock             (pure)
    mover        one task: the C-MOVEs, and the reconciliation of what came
    threads      movers in threads of this process
    channel      one end of a connection between two processes
    executors    movers in the workers of any `concurrent.futures.Executor`
    ledger       makes rows durable: their files, then their entries in the journal
    resuming     what an earlier run with the same journal has done already
    book         the rows as their results come in, and what is shown of them
    loop         the run itself, in the caller's thread
    options      the arguments that hold for all rows, checked
    work         all of it put together
"""

from dicomove.run.executors import Distributed
from dicomove.run.options import Destination, Keywords, OnFailure, Options, order_of
from dicomove.run.pacing import Hours
from dicomove.run.work import Work, warn_of

__all__ = ["Destination", "Distributed", "Hours", "Keywords", "OnFailure", "Options", "Work", "order_of", "warn_of"]
