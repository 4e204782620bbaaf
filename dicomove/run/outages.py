"""Pauses of a run while nothing can work: the PACS is down, the receiver is away, or the disk is full. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dicomove.results import Row
from dicomove.run.messages import Probe
from dicomove.run.pacing import Retry
from dicomove.run.pacing.breaker import Breaker
from dicomove.run.requests import Task
from dicomove.words import LOST

#: After failures of so many different rows, one after the other, the run pauses and probes the PACS.
_IN_A_ROW: Final = 5
_FULL_IN_A_ROW: Final = 3
#: The default of outage_timeout: the longer one of so many seconds, and so many times the wait of one row between its
#: attempts.
_LEAST_OUTAGE_S: Final = 60.0
_TIMES_OF_A_ROW: Final = 10
#: Waits of one row that are added one by one, and the most that are counted: ``retry=10**9`` may mean "for ever".
_WAITS_ADDED: Final = 100
_MOST_WAITS: Final = 10**9
#: How often the run looks for the answer to a probe, in seconds.
_PROBING_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Hold:
    """Begin nothing for now. `reason` and `message` are those of `Waiting`; without a reason, rows in flight continue.

    Attributes
    ----------
    until
        When to decide again, on the monotonic clock; ``None`` waits for the next report.
    """

    reason: str = ""
    message: str = ""
    until: float | None = None


class Outages:
    """Whether the PACS is down, the receiver away or the disk full, according to the rows and the probes.

    Parameters
    ----------
    outage_timeout
        How long a run waits for a PACS that is down, as in `move`.
    retry
        Which failures are tried again.

    Attributes
    ----------
    down
        The latest error of the PACS that is down: a word of the column ``error``.
    """

    def __init__(self, outage_timeout: float | Literal["auto"] | None, retry: Retry | None) -> None:
        self._is_auto, self._retry = outage_timeout == "auto", retry
        give_up_after_s = _give_up_after_s(outage_timeout, retry)
        # With retry, an attempt that cannot reach the PACS does not count.
        self._unreachable = Breaker(after=1 if retry else _IN_A_ROW, give_up_after_s=give_up_after_s)
        self._lost = Breaker(after=_IN_A_ROW, give_up_after_s=give_up_after_s)
        room_within_s = None if outage_timeout == "auto" else outage_timeout
        self._disk = Breaker(after=_FULL_IN_A_ROW, give_up_after_s=room_within_s)
        self._receiver = Breaker(after=1, give_up_after_s=give_up_after_s)
        self._pacs_worked = self._disk_worked = self._probing = False
        self._gave_up_disk = self._is_no_pacs = False
        self._asleep_at: float | None = None
        self.down = "connection_failed"

    def sleep(self, now: float) -> None:
        """Take note that the run begins nothing now, because it is paused or outside its hours: no time counts."""
        if self._asleep_at is not None:
            for breaker in (self._unreachable, self._lost, self._disk, self._receiver):
                breaker.leave_out(now - self._asleep_at, now)
        self._asleep_at = now

    def wake(self, now: float) -> None:
        """Take note that the run may begin rows."""
        if self._asleep_at is not None:
            self.sleep(now)
            self._asleep_at = None

    def pacs_is_lost(self, now: float) -> bool:
        """Whether the PACS has been down for so long that the run ends."""
        return self._is_no_pacs or self._unreachable.given_up(now) or self._lost.given_up(now)

    @property
    def is_asleep(self) -> bool:
        """Whether the run begins nothing now: it is paused or outside its hours."""
        return self._asleep_at is not None

    @property
    def suspects_disk(self) -> bool:
        """Whether the run needs to know if the disk has room."""
        return self._disk.is_open

    def obstacle(self, now: float, *, has_room: bool, is_alone: bool) -> Hold | Probe | None:
        """Return what to do instead of beginning a row; ``None`` if a row may begin.

        Parameters
        ----------
        now
            The time.
        has_room
            Whether the disk of the receivers has room; true if the run did not check it.
        is_alone
            Whether no other request is in flight.
        """
        if self._unreachable.is_open or self._lost.is_open:
            return self._outage(now)
        if self._receiver.is_open and not self._may_try_receiver(now, is_alone=is_alone):
            at = self._receiver.probe_at
            until = at if at and at > now else None  # a row is testing the receiver at the moment
            return Hold("receiver_away", "the receiver does not answer: the run goes on when it does", until)
        if self._disk.is_open and not self._may_store(now, has_room=has_room):
            return Hold("disk_full", "the disk of the receiver is full: make room", now + 1)
        return None

    def probed(self, now: float, *, worked: bool) -> None:
        """Take note of the end of a probe."""
        self._probing = False
        opened_at = self._unreachable.opened_at
        if not worked and not self._pacs_worked and self._is_auto and opened_at is not None:
            # Nothing has ever answered at this address, so the address may be wrong.
            self._is_no_pacs = now - opened_at >= _waits_of_a_row_s(self._retry)
        for breaker in self._open_breakers():
            breaker.probed(worked, now)

    def learn(self, task: Task, row: Row, now: float, *, one_too_many: bool) -> None:
        """Update the state of PACS, receiver and disk after an attempt."""
        if row.error != "receiver_failed":
            self._receiver.succeeded()
        if is_unreachable(row) and not one_too_many:
            self._unreachable.failed(task.identifier, now)
            self.down = row.error or self.down
        elif row.error in LOST:
            self._pacs_worked = True
            self._unreachable.succeeded()  # it was reached
            self._lost.failed(task.identifier, now)
        elif row.status is not None:
            self._pacs_worked = True
            self._unreachable.succeeded()
            self._lost.succeeded()
        if row.error == "storage_failed":
            if not self._gave_up_disk:
                self._disk.failed(task.identifier, now)
        elif row.received:
            self._disk.succeeded()
            self._disk_worked, self._gave_up_disk = True, False

    def without_receiver(self, again: Task, now: float) -> float | None:
        """Return the wait before a row is tried again after its receiver was away; such an attempt does not count."""
        if self._retry is None or "receiver_failed" not in self._retry.on:
            return None
        self._receiver.failed(again.identifier, now)
        if (self._receiver.probe_at or now) <= now:
            self._receiver.probed(worked=False, now=now)
        if self._receiver.given_up(now):
            return None
        return (self._receiver.probe_at or now) - now

    def _outage(self, now: float) -> Hold | Probe:
        at = max(breaker.probe_at or now for breaker in self._open_breakers())
        if at <= now and not self._probing:
            self._probing = True
            return Probe()
        return Hold("pacs_down", "the PACS does not answer: the run goes on when it does", max(at, now + _PROBING_S))

    def _open_breakers(self) -> list[Breaker]:
        """Return the breakers that pause the run because of the PACS."""
        return [breaker for breaker in (self._unreachable, self._lost) if breaker.is_open]

    def _may_try_receiver(self, now: float, *, is_alone: bool) -> bool:
        """Whether a row may test the receiver: one row at a time, or every row after too long an absence."""
        if self._receiver.given_up(now):
            return True
        return is_alone and (self._receiver.probe_at or now) <= now

    def _may_store(self, now: float, *, has_room: bool) -> bool:
        """Whether the disk has room. Every row may test it if nothing was ever stored, or not for too long."""
        if not has_room:
            self._disk.probed(worked=False, now=now)
        if has_room or self._disk.given_up(now) or not (self._disk_worked or self._retry):
            self._disk.succeeded()
            self._gave_up_disk = not has_room
            return True
        return False


def is_unreachable(row: Row) -> bool:
    """Whether the PACS could not be reached. The loss of an executor does not count: it is not a fault of the PACS."""
    return row.outcome == "unreachable" and row.error != "executor_failed"


def _waits_of_a_row_s(retry: Retry | None) -> float:
    """Return how long one row waits between its attempts, in all."""
    if retry is None:
        return 0.0
    waits = retry.attempts - 1
    # The later waits are as long as each other, and there may be very many.
    first = sum(retry.pause_s(attempt) for attempt in range(1, min(waits, _WAITS_ADDED) + 1))
    return first + min(max(0, waits - _WAITS_ADDED), _MOST_WAITS) * retry.pause_s(_WAITS_ADDED + 1)


def _give_up_after_s(outage_timeout: float | Literal["auto"] | None, retry: Retry | None) -> float | None:
    """Return how long the run waits for a PACS that is down; ``None`` is no limit."""
    if outage_timeout == "auto":
        return max(_LEAST_OUTAGE_S, _TIMES_OF_A_ROW * _waits_of_a_row_s(retry))
    return outage_timeout
