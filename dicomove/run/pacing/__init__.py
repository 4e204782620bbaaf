"""Decisions over a clock: when the next row may begin, whether a row is tried again, and when a run ends. Pure.

::

    hours         the hours in which moves may begin
    retry         `Retry`: which failures are tried again, and after how long; the number of failures that ends a run
    associations  the number of moves in flight: `growth`, and fewer of them for a busy PACS
    growth        ``concurrency="auto"``: more or fewer associations
    throughput    instances per second: their measurement, and the limit ``max_instances_per_second``

The modules do not sleep, start threads or read clocks: `now` is an argument, in seconds of `time.monotonic`. The
objects belong to one thread, the driver of the run.
"""

from __future__ import annotations

from dicomove.run.pacing.associations import Associations
from dicomove.run.pacing.hours import Hours
from dicomove.run.pacing.retry import Failures, Retry
from dicomove.run.pacing.throughput import Rate

__all__ = ["Associations", "Failures", "Hours", "Rate", "Retry"]
