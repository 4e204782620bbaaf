"""What keeps a run from asking for more: the PACS is down, the receiver is away, the disk is full. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from dicomove.results import Row
from dicomove.run.pacing import Breaker, Retry
from dicomove.run.requests import Task
from dicomove.words import LOST

#: So many different rows in a row, and the run asks the PACS how it is before it goes on.
_IN_A_ROW: Final = 5
_FULL_IN_A_ROW: Final = 3
#: How long a run waits for a PACS that is down, if the caller does not say it: seconds, and how many times as long as
#: one row would wait for its attempts.
_LEAST_OUTAGE_S: Final = 60.0
_TIMES_OF_A_ROW: Final = 10
#: At which the answer to a probe is looked for.
_PROBING_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Ask:
    """The PACS is asked whether it is up again."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing begins for now: `reason` and `message` as in `Waiting`, no reason where all is well and in flight.

    Attributes
    ----------
    until
        When to ask again, on the monotonic clock; ``None``: after the next report.
    """

    reason: str = ""
    message: str = ""
    until: float | None = None


class Outages:
    """What is down, away or full, as far as the rows and the probes tell.

    Parameters
    ----------
    outage_timeout
        How long a run waits for a PACS that is down, as in `move`.
    retry
        Which failures are tried again.

    Attributes
    ----------
    down
        How the PACS said last that it is down: a word of the column ``error``.
    """

    def __init__(self, outage_timeout: float | Literal["auto"] | None, retry: Retry | None) -> None:
        self._is_auto, self._retry = outage_timeout == "auto", retry
        give_up_after_s = _give_up_after_s(outage_timeout, retry)
        # With retry, a PACS that cannot be reached costs no row an attempt.
        self._unreachable = Breaker(after=1 if retry else _IN_A_ROW, give_up_after_s=give_up_after_s)
        self._lost = Breaker(after=_IN_A_ROW, give_up_after_s=give_up_after_s)
        room_within_s = None if outage_timeout == "auto" else outage_timeout
        self._disk = Breaker(after=_FULL_IN_A_ROW, give_up_after_s=room_within_s)
        self._receiver = Breaker(after=1, give_up_after_s=give_up_after_s)
        self._pacs_worked = self._disk_worked = self._probing = False
        self._gave_up_disk = self._is_no_pacs = False
        self.down = "connection_failed"

    def pacs_is_lost(self, now: float) -> bool:
        """Whether the PACS has been down for so long that the run ends."""
        return self._is_no_pacs or self._unreachable.given_up(now) or self._lost.given_up(now)

    @property
    def suspects_disk(self) -> bool:
        """Whether it matters if the disk has room."""
        return self._disk.is_open

    def obstacle(self, now: float, *, has_room: bool, is_alone: bool) -> Hold | Ask | None:
        """Return what to do instead of beginning a row; ``None`` where nothing is in its way.

        Parameters
        ----------
        now
            The time.
        has_room
            Whether the disk of the receivers has room, as far as that was looked at.
        is_alone
            Whether no other request is in flight.
        """
        if self._unreachable.is_open or self._lost.is_open:
            return self._outage(now)
        if self._receiver.is_open and not self._may_try_receiver(now, is_alone=is_alone):
            at = self._receiver.probe_at
            until = at if at and at > now else None  # a row finds out just now
            return Hold("receiver_away", "the receiver does not answer: the run goes on when it does", until)
        if self._disk.is_open and not self._may_store(now, has_room=has_room):
            return Hold("disk_full", "the disk of the receiver is full: make room", now + 1)
        return None

    def probed(self, now: float, *, worked: bool) -> None:
        """Take in whether the PACS is up again."""
        self._probing = False
        opened_at = self._unreachable.opened_at
        if not worked and not self._pacs_worked and self._is_auto and opened_at is not None:
            # Nothing has ever answered at this address: the PACS is not down, the address is wrong.
            self._is_no_pacs = now - opened_at >= _waits_of_a_row_s(self._retry)
        for breaker in self._open():
            breaker.probed(worked, now)

    def learn(self, task: Task, row: Row, now: float, *, one_too_many: bool) -> None:
        """Take in what the result of an attempt says of the PACS, the receiver and the disk."""
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
        """Return after how long a row is tried again whose receiver was away: that costs it no attempt."""
        if self._retry is None or "receiver_failed" not in self._retry.on:
            return None
        self._receiver.failed(again.identifier, now)
        if (self._receiver.probe_at or now) <= now:
            self._receiver.probed(worked=False, now=now)
        if self._receiver.given_up(now):
            return None
        return (self._receiver.probe_at or now) - now

    def _outage(self, now: float) -> Hold | Ask:
        at = max(breaker.probe_at or now for breaker in self._open())
        if at <= now and not self._probing:
            self._probing = True
            return Ask()
        return Hold("pacs_down", "the PACS does not answer: the run goes on when it does", max(at, now + _PROBING_S))

    def _open(self) -> list[Breaker]:
        """Return what keeps the run from asking the PACS for more."""
        return [breaker for breaker in (self._unreachable, self._lost) if breaker.is_open]

    def _may_try_receiver(self, now: float, *, is_alone: bool) -> bool:
        """Whether a row may find out if the receiver is back: one at a time, or each if it was away for too long."""
        if self._receiver.given_up(now):
            return True
        return is_alone and (self._receiver.probe_at or now) <= now

    def _may_store(self, now: float, *, has_room: bool) -> bool:
        """Whether the disk has room again; where nothing was ever stored, or for too long, each row finds out."""
        if not has_room:
            self._disk.probed(worked=False, now=now)
        if has_room or self._disk.given_up(now) or not (self._disk_worked or self._retry):
            self._disk.succeeded()
            self._gave_up_disk = not has_room
            return True
        return False


def is_unreachable(row: Row) -> bool:
    """Whether the PACS could not be reached; an executor that is gone says nothing about the PACS."""
    return row.outcome == "unreachable" and row.error != "executor_failed"


def _waits_of_a_row_s(retry: Retry | None) -> float:
    """Return how long one row would wait for all of its attempts."""
    if retry is None:
        return 0.0
    return sum(retry.pause_s(attempt) for attempt in range(1, retry.attempts))


def _give_up_after_s(outage_timeout: float | Literal["auto"] | None, retry: Retry | None) -> float | None:
    """Return how long a run waits for a PACS that is down; ``None`` is no limit."""
    if outage_timeout == "auto":
        return max(_LEAST_OUTAGE_S, _TIMES_OF_A_ROW * _waits_of_a_row_s(retry))
    return outage_timeout
