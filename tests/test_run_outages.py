from __future__ import annotations

import math
from collections.abc import Hashable, Iterable

import pytest
from hypothesis import given, strategies as st

from dicomove.run.attempt.ends import row_after
from dicomove.run.outages import Outages
from dicomove.run.pacing import Retry
from dicomove.run.pacing.breaker import Breaker
from tests.run_events import UNREACHABLE, task


def opened(breaker: Breaker, now: float = 0.0) -> Breaker:
    key = 0
    while not breaker.is_open:
        breaker.failed(key, now)
        key += 1
    return breaker


@pytest.mark.parametrize(
    ("after", "keys", "opens"),
    [
        (1, "a", True),
        (2, "a", False),
        (2, "ab", True),
        (3, "ab", False),
        (3, "aaaaaaaaaa", False),  # a row that fails again and again may be to blame itself
        (3, "ababababab", False),
        (3, "aabbc", True),
        (2, "a+b", False),  # + is a success
        (2, "a+bc", True),
        (5, "abcd+efgh+ijkl", False),
        (5, "abcd+efghi", True),
    ],
)
def test_failures_of_different_rows_in_a_row_open_it(after: int, keys: str, opens: bool) -> None:
    breaker = Breaker(after=after, give_up_after_s=None)
    for now, key in enumerate(keys):
        breaker.succeeded() if key == "+" else breaker.failed(key, now)
    assert breaker.is_open == opens
    assert (breaker.opened_at is not None) == (breaker.probe_at is not None) == opens


@pytest.mark.parametrize("key", ["row", 7, ("PACS", "1.2.3"), None, frozenset({1})])
def test_a_row_is_anything_that_can_be_told_from_others(key: Hashable) -> None:
    breaker = Breaker(after=2)
    breaker.failed(key, 0.0)
    breaker.failed(key, 0.0)
    breaker.failed("another", 0.0)
    assert breaker.is_open


def test_time_that_is_left_out_does_not_count() -> None:
    breaker = opened(Breaker(after=1, give_up_after_s=60), now=100.0)
    breaker.probed(False, now=101.0)
    assert breaker.given_up(160.0)
    breaker.leave_out(30.0, now=160.0)
    assert not breaker.given_up(189.0)
    assert breaker.given_up(190.0)
    late = opened(Breaker(after=1), now=150.0)  # within the time that is left out
    late.leave_out(30.0, now=160.0)
    assert late.opened_at == 160.0


def test_probes_become_rarer() -> None:
    breaker = Breaker(after=1)
    now = 100.0
    breaker.failed("row", now)
    for pause in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        assert breaker.probe_at == now + pause
        now += pause + 3.0  # a probe takes its time, and the pause begins after it
        breaker.probed(False, now)
    assert breaker.is_open


def test_a_probe_that_works_closes_it() -> None:
    breaker = opened(Breaker(after=3))
    breaker.probed(False, 1.0)
    breaker.probed(True, 3.0)
    assert not breaker.is_open
    assert breaker.opened_at is None
    assert breaker.probe_at is None
    for key in range(2):  # it counts anew
        breaker.failed(key, 4.0)
        assert not breaker.is_open
    breaker.failed(2, 4.0)
    assert breaker.is_open


def test_a_row_in_flight_that_works_closes_it() -> None:
    breaker = opened(Breaker(after=3))
    breaker.probed(False, 1.0)
    breaker.succeeded()
    assert not breaker.is_open
    breaker.probed(False, 2.5)  # the probe that was under way
    assert not breaker.is_open
    assert breaker.probe_at is None
    assert opened(breaker, now=9.0).probe_at == 10.0


def test_rows_in_flight_that_fail_do_not_put_off_the_probe() -> None:
    breaker = opened(Breaker(after=3))
    for now in range(1, 50):
        breaker.failed(f"in flight {now}", now)
    assert (breaker.opened_at, breaker.probe_at) == (0.0, 1.0)


def test_probes_that_work_while_rows_fail_become_rarer_too() -> None:
    """A PACS that answers echoes and drops every move is not asked for all its rows within a minute."""
    breaker, pauses = Breaker(after=2), []
    now = 0.0
    for _ in range(8):
        opened(breaker, now)
        assert breaker.probe_at is not None
        pauses.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.probed(True, now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    breaker.succeeded()
    assert opened(breaker, now).probe_at == now + 1


@pytest.mark.parametrize(
    ("give_up_after_s", "probes", "gives_up"),
    [
        (0, [], [(0.0, False), (1e9, False)]),  # nobody has looked
        (0, [1.0], [(1.0, True)]),
        (10, [1.0, 3.0, 7.0], [(7.0, False), (9.9, False), (10.0, True), (99.0, True)]),
        (10, [], [(99.0, False)]),
        (0.5, [1.0], [(1.0, True)]),
        (None, [1.0, 3.0, 7.0], [(7.0, False), (1e12, False)]),
        (math.inf, [1.0, 3.0, 7.0], [(7.0, False), (1e12, False)]),
    ],
)
def test_when_it_gives_up(
    give_up_after_s: float | None, probes: Iterable[float], gives_up: list[tuple[float, bool]]
) -> None:
    breaker = Breaker(after=1, give_up_after_s=give_up_after_s)
    assert not breaker.given_up(-1.0)
    breaker.failed("row", 0.0)
    for now in probes:
        breaker.probed(False, now)
    for now, expected in gives_up:
        assert breaker.given_up(now) == expected


def test_patience_begins_again_when_it_has_worked() -> None:
    breaker = opened(Breaker(after=1, give_up_after_s=10))
    breaker.probed(False, 1.0)
    breaker.probed(True, 3.0)
    assert not breaker.given_up(100.0)
    breaker.failed("row", 100.0)
    assert not breaker.given_up(105.0)  # nobody has looked since it opened again
    breaker.probed(False, 106.0)
    assert not breaker.given_up(109.0)
    assert breaker.given_up(110.0)


def test_a_probe_that_failed_before_it_worked_does_not_count() -> None:
    breaker = opened(Breaker(after=1, give_up_after_s=0))
    breaker.probed(False, 1.0)
    breaker.probed(True, 3.0)
    breaker.failed("row", 3.0)
    assert not breaker.given_up(100.0)


@given(
    st.lists(st.floats(0, 10_000), max_size=30),
    st.integers(1, 12),
    st.floats(0, 600),
)
def test_a_run_never_waits_for_longer_than_a_minute(jumps: list[float], failing: int, give_up_after_s: float) -> None:
    """A driver that waits for each probe, on a clock that jumps: it gets through, or it gives up, after few probes."""
    clock, breaker = 0.0, Breaker(after=1, give_up_after_s=give_up_after_s)
    breaker.failed("row", clock)
    remaining = list(jumps)
    for probes in range(failing + 1):
        clock += remaining.pop() if remaining else 0.0
        if breaker.given_up(clock):
            break
        assert breaker.probe_at is not None
        wait = max(0.0, breaker.probe_at - clock)
        assert wait <= 60.0
        clock += wait
        breaker.probed(probes == failing, clock)
    assert breaker.given_up(clock) or not breaker.is_open


def test_how_it_shows_itself() -> None:
    breaker = Breaker(after=2)
    breaker.failed("PATIENT^NAME", 0.0)
    assert repr(breaker) == "<Breaker: closed, 1 of 2 failures>"
    breaker.failed("another", 0.0)
    for now in (1.0, 3.0):
        breaker.probed(False, now)
    assert repr(breaker) == "<Breaker: open, 2 probes have failed>"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("attempts", [10**6, 10**9, 10**400], ids=["million", "billion", "more"])
def test_a_run_that_retries_for_ever_begins_at_once(attempts: int) -> None:
    assert not Outages("auto", Retry(attempts)).pacs_is_lost(0.0)


def down(retry: Retry, outage_timeout: float | str = 60.0) -> Outages:
    """Return the outages of a run that could not reach its PACS at 0 s, and whose first probe has failed."""
    outages = Outages(outage_timeout, retry)  # type: ignore[arg-type]  # a word of the test
    outages.learn(task(0), row_after(UNREACHABLE), 0.0, one_too_many=False)
    outages.probed(1.0, worked=False)
    return outages


def test_the_time_of_a_pause_does_not_count_for_an_outage() -> None:
    outages = down(Retry(3))
    assert outages.pacs_is_lost(60.0)
    outages.sleep(10.0)
    outages.sleep(30.0)
    outages.wake(40.0)
    outages.wake(50.0)
    assert not outages.pacs_is_lost(89.0)
    assert outages.pacs_is_lost(90.0)


def test_a_run_with_very_many_attempts_waits_for_its_pacs() -> None:
    outages = down(Retry(1000, wait=60), "auto")
    outages.probed(10_000.0, worked=False)
    assert not outages.pacs_is_lost(10_000.0)
