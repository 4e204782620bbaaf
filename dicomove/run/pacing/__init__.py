"""Decisions over a clock: when the next row may begin, whether a row is tried again, and when a run ends. Pure.

::

    hours         the hours in which moves may begin
    retry         `Retry`: which failures are tried again, and after how long; the number of failures that ends a run
    associations  the number of moves in flight: `growth` and `congestion` together
    growth        ``concurrency="auto"``: more or fewer associations
    throughput    measures the instances per second over all associations
    congestion    fewer moves at a time for a busy PACS
    breaker       the pause while the PACS is down, or the disk is full
    rate          ``max_instances_per_second``
    backoff       waiting times from numbers and from strategies of tenacity

The modules do not sleep, start threads or read clocks: `now` is an argument, in seconds of `time.monotonic`. The
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
