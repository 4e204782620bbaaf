"""How a row reads, as far as the faults that it can meet leave that open."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.run import Run
from tests.model.table import Asked
from tests.model.words import HARMLESS, LIES, LIES_TOGETHER, RECEIVER, SPOILS


@dataclass(frozen=True)
class Expected:
    """How a row reads that meets no fault: from a PACS that follows the standard there is one answer only."""

    outcome: str
    completed: int


def without_faults(run: Run, wanted: Asked) -> Expected:
    """Return how a row reads from a PACS without faults."""
    held = len(run.world.instances(wanted))
    return Expected("complete" if held else "empty", held)


def is_untouched(run: Run, wanted: Asked) -> bool:
    """Whether a row's C-MOVE meets nothing that could change how it reads."""
    harmless = HARMLESS - SPOILS if run.options.into == RECEIVER else HARMLESS
    return not run.reaches_everyone and all(fault.name in harmless for fault in run.may_meet(wanted))


def is_honest(run: Run, wanted: Asked) -> bool:
    """Whether the counts that the PACS gives for a row can be believed."""
    met = {fault.name for fault in run.may_meet(wanted)}
    return not met & LIES and not (len(met) > 1 and met & LIES_TOGETHER)


def has_inventory(run: Run, wanted: Asked) -> bool:
    """Whether somebody tells truly, by C-FIND or in the table, how many instances there are."""
    told, there = run.number_in_table(wanted), len(run.world.instances(wanted))
    listed = wanted.level != "PATIENT" or run.options.verify != "instances"
    asks = run.options.verify != "arrivals" and listed and not run.blind(wanted) and not run.interrupted
    return wanted.level != "IMAGE" and asks and told in (None, there)


def is_misled(run: Run, wanted: Asked) -> bool:
    """Whether the table has another number of instances than the archive, and C-FIND does not put it right."""
    told = None if wanted.level == "IMAGE" else run.number_in_table(wanted)
    puts_right = run.options.verify in ("auto", "counts") and not run.blind(wanted) and not run.interrupted
    return told not in (None, len(run.world.instances(wanted))) and not puts_right
