"""Decides when the next row may begin, whether dicomove tries a row again, and when a run ends. Pure.

::

    hours          the hours in which moves may begin
    retry          `Retry`: which failures dicomove tries again, and when; how many failures end a run
    breaker        a circuit breaker: after some failures in a row, only probes are sent
    associations   how many moves are in flight: by `growth`, and fewer for a busy PACS
    growth         ``concurrency="auto"``: more or fewer associations
    throughput     instances per second: their measurement, and the limit ``max_instances_per_second``

The modules do not sleep, start threads or read clocks: `now` is an argument, in seconds of `time.monotonic`. Only one
thread may use the objects: the one that runs `dicomove.run.run`.
"""

from __future__ import annotations

from dicomove.run.pacing.associations import Associations
from dicomove.run.pacing.hours import Hours
from dicomove.run.pacing.retry import Failures, Retry
from dicomove.run.pacing.throughput import Rate

__all__ = ["Associations", "Failures", "Hours", "Rate", "Retry"]
