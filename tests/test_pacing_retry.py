from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial, wraps
from typing import get_args

import pytest
import tenacity
from hypothesis import given, strategies as st

from dicomove.run.pacing import Retry
from dicomove.run.pacing.retry import LONGEST_S, Wait
from dicomove.words import ADVICE, NEVER, OPTIONAL, RETRYABLE, Outcome


class Slotted:
    """A strategy of a caller, which has no attributes to show."""

    __slots__ = ()

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        return float(retry_state.attempt_number)


def twice_the_attempt(retry_state: tenacity.RetryCallState) -> float:
    return 2.0 * retry_state.attempt_number


@pytest.mark.parametrize("numbers", [[0.5, 2.0], [0.5, 2.0, "x", None]])
def test_a_strategy_without_a_number_for_later_attempts_repeats_its_last_one(numbers: list[float]) -> None:
    retry = Retry(attempts=9, wait=lambda state: numbers[state.attempt_number - 1])
    assert [retry.pause_s(attempt) for attempt in (1, 2, 3, 4, 9)] == [0.5, 2.0, 2.0, 2.0, 2.0]


def test_a_strategy_that_has_no_numbers_any_more_is_replaced_by_the_default() -> None:
    numbers = iter([0.5])
    retry = Retry(wait=lambda _: next(numbers))
    assert 10 <= retry.pause_s(1) <= 12


def test_each_word_of_the_error_column_may_pass_or_may_not() -> None:
    """A new word belongs into one of the sets, unless another attempt is out of the question, or none was made."""
    assert set(ADVICE) - {"cancelled", "internal_error", "capped", "nearline"} == RETRYABLE | OPTIONAL | NEVER
    assert len(ADVICE) - 4 == len(RETRYABLE) + len(OPTIONAL) + len(NEVER)


@pytest.mark.parametrize("error", [*sorted(ADVICE), None])
def test_only_errors_that_may_pass_are_tried_again(error: str | None) -> None:
    assert Retry().wants("failed", error, attempt=1) == (error in RETRYABLE)


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_ended_rows_are_not_tried_again_whatever_the_error(outcome: str) -> None:
    ended = outcome in ("complete", "cancelled", "invalid")
    assert Retry().wants(outcome, "idle_timeout", attempt=1) == (not ended)
    assert not Retry().wants(outcome, None, attempt=1)


@pytest.mark.parametrize("error", sorted(ADVICE))
def test_a_partial_row_lacks_instances_whatever_the_word(error: str) -> None:
    assert Retry().wants("partial", error, attempt=1) == (error not in NEVER)
    assert not Retry(attempts=2).wants("partial", error, attempt=2)
    chosen = Retry(on={"idle_timeout"})  # the caller leaves missing instances out
    assert chosen.wants("partial", error, attempt=1) == (error == "idle_timeout")


@pytest.mark.parametrize("attempts", [1, 2, 3, 50])
def test_a_row_is_tried_so_often_in_all(attempts: int) -> None:
    retry = Retry(attempts=attempts)
    done = 1
    while retry.wants("unreachable", "connection_failed", attempt=done):
        done += 1
    assert done == attempts


@pytest.mark.parametrize("on", [["idle_timeout"], {"idle_timeout"}, ("idle_timeout",), iter(["idle_timeout"])])
def test_the_words_may_be_chosen(on: Iterable[str]) -> None:
    retry = Retry(on=on)
    for _ in range(2):  # an iterator is read once, and not at the first question
        assert retry.wants("interrupted", "idle_timeout", attempt=1)
        assert not retry.wants("interrupted", "connection_lost", attempt=1)


@pytest.mark.parametrize("error", sorted(OPTIONAL))
def test_listed_errors_are_tried_again(error: str) -> None:
    assert Retry(on=RETRYABLE | {error}).wants("failed", error, attempt=1)


def test_without_words_there_is_no_retry() -> None:
    assert not any(Retry(on=()).wants("failed", error, attempt=1) for error in ADVICE)


@pytest.mark.parametrize(
    ("wait", "expected"),
    [
        (7, [7, 7, 7, 7]),
        (0, [0, 0, 0, 0]),
        (LONGEST_S, [LONGEST_S] * 4),
        (0.5, [0.5, 0.5, 0.5, 0.5]),
        (tenacity.wait_none(), [0, 0, 0, 0]),
        (tenacity.wait_fixed(60), [60, 60, 60, 60]),
        (tenacity.wait_fixed(timedelta(minutes=2)), [120, 120, 120, 120]),
        (tenacity.wait_exponential(multiplier=10, max=60), [10, 20, 40, 60]),
        (tenacity.wait_exponential(multiplier=1, min=3), [3, 3, 4, 8]),
        (tenacity.wait_incrementing(start=5, increment=10), [5, 15, 25, 35]),
        (tenacity.wait_fixed(5) + tenacity.wait_exponential(multiplier=10), [15, 25, 45, 85]),
        (sum([tenacity.wait_fixed(1), tenacity.wait_fixed(2)], start=tenacity.wait_fixed(3)), [6, 6, 6, 6]),
        (tenacity.wait_chain(tenacity.wait_fixed(1), tenacity.wait_fixed(9)), [1, 9, 9, 9]),
        (twice_the_attempt, [2, 4, 6, 8]),
        (tenacity.wait_combine(tenacity.wait_fixed(1), twice_the_attempt), [3, 5, 7, 9]),
        (lambda _: -5.0, [0, 0, 0, 0]),
        (lambda _: float("nan"), [0, 0, 0, 0]),
        (lambda _: float("inf"), [LONGEST_S] * 4),
        (tenacity.wait_exponential(multiplier=1e6), [LONGEST_S] * 4),
    ],
)
def test_every_strategy_of_tenacity_tells_how_long_to_wait(wait: Wait, expected: list[float]) -> None:
    assert [Retry(wait=wait).pause_s(attempt) for attempt in (1, 2, 3, 4)] == expected


@pytest.mark.parametrize(
    ("wait", "low", "high"),
    [
        (tenacity.wait_random(2, 5), [2, 2, 2], [5, 5, 5]),
        (tenacity.wait_random_exponential(multiplier=10, max=30), [0, 0, 0], [10, 20, 30]),
        (tenacity.wait_random_exponential(multiplier=10, min=5), [5, 5, 5], [10, 20, 40]),
        (tenacity.wait_fixed(60) + tenacity.wait_random(0, 1), [60, 60, 60], [61, 61, 61]),
        (tenacity.wait_exponential(10) + tenacity.wait_random_exponential(2), [10, 20, 40], [12, 24, 48]),
    ],
)
def test_strategies_with_chance_in_them(wait: Wait, low: list[float], high: list[float]) -> None:
    retry = Retry(wait=wait)
    for attempt, (least, most) in enumerate(zip(low, high, strict=True), start=1):
        pauses = [retry.pause_s(attempt) for _ in range(50)]
        assert least <= min(pauses) < max(pauses) <= most


@given(st.integers(1, 10_000))
def test_by_default_it_doubles_from_ten_seconds_to_ten_minutes(attempt: int) -> None:
    least = min(540.0, 10.0 * 2.0 ** min(attempt - 1, 100))
    assert least <= Retry().pause_s(attempt) <= min(600.0, 1.2 * least + 60 * (least == 540))


def test_rows_that_failed_together_do_not_come_back_together() -> None:
    assert len({Retry().pause_s(1) for _ in range(20)}) > 10


@pytest.mark.parametrize("attempts", [0, -1, 2.0, "3", None, True])
def test_attempts_that_cannot_be_right(attempts: object) -> None:
    with pytest.raises(ValueError, match="whole number from 1"):
        Retry(attempts=attempts)  # type: ignore[arg-type]  # what a user may try


@pytest.mark.parametrize(
    ("wait", "says"),
    [
        (-1, "from 0 to a day"),
        (float("nan"), "from 0 to a day"),
        (float("inf"), "from 0 to a day"),
        (LONGEST_S + 1, "from 0 to a day"),
        (True, "from 0 to a day"),
        ("10", "from 0 to a day"),
        (None, "from 0 to a day"),
        (timedelta(seconds=5), "from 0 to a day"),
        (lambda: 5.0, "no number"),
        (lambda _: "soon", "no number"),
        (lambda _: None, "no number"),
        (lambda state: state.outcome.exception(), "no exception"),
    ],
)
def test_a_wait_that_cannot_be_right_is_refused_before_the_night(wait: Wait, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Retry(wait=wait)


@pytest.mark.parametrize(
    ("on", "says"),
    [
        *[([word], f"{word} cannot pass") for word in sorted(NEVER)],
        (["idle_timeout", "not_supported"], "on: not_supported cannot pass"),
        (["idle_timout"], "idle_timout cannot be tried again; the possible words are all_failed"),
        (["complete"], "complete cannot be tried again"),
        ([None], "None cannot be tried again"),
        ([3, "x"], "3, x cannot be tried again"),
        ("idle_timeout", r"a list of words: \['idle_timeout'\]"),
    ],
)
def test_words_that_cannot_be_right(on: Iterable[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Retry(on=on)


@pytest.mark.parametrize(
    ("retry", "said"),
    [
        (Retry(attempts=2, wait=60), "Retry(attempts=2, wait=60)"),
        (Retry(wait=1.5, on=["idle_timeout"]), "Retry(attempts=3, wait=1.5, on=['idle_timeout'])"),
        (Retry(wait=tenacity.wait_fixed(1) + tenacity.wait_fixed(2)), "wait_fixed(1) + wait_fixed(2)"),
        (Retry(wait=twice_the_attempt), "Retry(attempts=3, wait=twice_the_attempt)"),
        (Retry(wait=wraps(twice_the_attempt)(partial(twice_the_attempt))), "Retry(attempts=3, wait=twice_the_attempt)"),
        (Retry(wait=Slotted()), "Retry(attempts=3, wait=Slotted)"),
        (
            Retry(wait=tenacity.wait_chain(tenacity.wait_none(), tenacity.wait_fixed(9))),
            "wait_chain(wait_none(0), wait_fixed(9))",
        ),
    ],
)
def test_how_it_shows_itself(retry: Retry, said: str) -> None:
    assert said.replace(".0", "") in repr(retry).replace(".0", "")
    assert " at 0x" not in repr(retry)


def test_it_is_a_value() -> None:
    assert Retry() == Retry()
    assert hash(Retry()) == hash(Retry(on=sorted(RETRYABLE)))
    assert Retry(attempts=2) != Retry()
    copied = pickle.loads(pickle.dumps(Retry(attempts=4)))  # noqa: S301 - made on this line
    assert repr(copied) == repr(Retry(attempts=4))
    assert 10 <= copied.pause_s(1) <= 12


def test_a_strategy_is_asked_for_one_attempt_at_a_time() -> None:
    asked: list[int] = []

    def strategy(state: tenacity.RetryCallState) -> float:
        asked.append(state.attempt_number)
        return 0.0

    wait: Callable[[tenacity.RetryCallState], float] = strategy
    retry = Retry(wait=wait)
    asked.clear()  # it was tried once when it was made
    for attempt in (1, 2, 5):
        retry.pause_s(attempt)
    assert asked == [1, 2, 5]
