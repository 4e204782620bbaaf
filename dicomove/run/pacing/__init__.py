"""When the next row may begin, whether a row is tried again, and when a run ends: decisions over a clock. Pure.

::

    hours         the hours in which moves may begin
    retry         which failures are tried again, and after how long; how many of them end a run
    associations  how many moves may be in flight: a fixed number, or one that grows
    growth        whether one more association, or one fewer, is better
    throughput    what the PACS gives over all associations
    congestion    how many moves at a time a PACS bears
    breaker       a pause while the PACS is down, or the disk is full
    rate          instances per second
    backoff       waiting times that grow

Nothing here sleeps, starts a thread, or looks at a clock: `now` is an argument, in seconds of `time.monotonic`. The
objects belong to one thread, the driver of the run.
"""

from __future__ import annotations

from dicomove.run.pacing.associations import Associations
from dicomove.run.pacing.breaker import Breaker
from dicomove.run.pacing.congestion import Congestion
from dicomove.run.pacing.hours import Hours
from dicomove.run.pacing.rate import Rate
from dicomove.run.pacing.retry import Failures, Retry

__all__ = ["Associations", "Breaker", "Congestion", "Failures", "Hours", "Rate", "Retry"]
