"""A kernel that computes: threads that wait for the network get Python's lock soon, and all is as before afterwards.

Also: copies of frozen records where something changes, and many records at a time.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import dicomove as dm
from dicomove.interpreter import SHORT_S, changed, in_bulk, short_switch_interval
from dicomove.outcome import Counts, Evidence
from dicomove.testing import Synthetic, demo_pacs, faults
from tests import receiving, servers

SOURCE = Synthetic(studies=3, instances=2, size=512)
TABLE = receiving.studies(SOURCE, 3)
USUAL = 0.005


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """Begin with the interval that Python begins with, and leave the one that was there."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL)
    yield
    sys.setswitchinterval(before)


def is_short() -> bool:
    return sys.getswitchinterval() == pytest.approx(SHORT_S)


def is_usual() -> bool:
    return sys.getswitchinterval() == pytest.approx(USUAL)


@pytest.fixture(scope="module")
def pacs_and_receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dm.Pacs, dm.Receiver]]:
    with (
        receiving.receiver(tmp_path_factory.mktemp("here")) as receiver,
        receiving.pacs(receiver, faults.Latency(seconds=0.01), source=SOURCE) as pacs,
    ):
        yield pacs, receiver


def _find(show: Callable[[object], None], pacs: dm.Pacs, _: dm.Receiver) -> pd.DataFrame:
    return dm.find(TABLE, pacs, progress=show)


def _plan(show: Callable[[object], None], pacs: dm.Pacs, receiver: dm.Receiver) -> pd.DataFrame:
    return dm.plan(TABLE, pacs, receiver, progress=show)


def _move(show: Callable[[object], None], pacs: dm.Pacs, receiver: dm.Receiver) -> pd.DataFrame:
    return dm.move(TABLE, pacs, receiver, progress=show)


@pytest.mark.parametrize("verb", [_find, _plan, _move])
def test_it_is_short_while_rows_are_asked_for(
    verb: Callable[..., pd.DataFrame], pacs_and_receiver: tuple[dm.Pacs, dm.Receiver]
) -> None:
    seen: list[bool] = []

    def note(event: object) -> None:
        if isinstance(event, dm.events.RowFinished):
            seen.append(is_short())

    verb(note, *pacs_and_receiver)
    assert seen == [True] * 3
    assert is_usual()


def test_it_is_as_before_after_an_error(pacs_and_receiver: tuple[dm.Pacs, dm.Receiver], tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("something else")
    with pytest.raises(dm.errors.JournalError):
        dm.move(TABLE, *pacs_and_receiver, journal=tmp_path / "journal", progress=False)
    assert is_usual()


def test_the_last_of_two_jobs_sets_it_back(pacs_and_receiver: tuple[dm.Pacs, dm.Receiver], tmp_path: Path) -> None:
    journals = tmp_path / "first.sqlite", tmp_path / "second.sqlite"
    jobs = [dm.start_move(TABLE, *pacs_and_receiver, journal=one, progress=False) for one in journals]
    servers.wait_until(lambda: is_short() or all(job.done for job in jobs))
    for job in jobs:
        job.wait(60)
    assert is_usual()


def test_threads_at_once_leave_it_as_it_was() -> None:
    begin = threading.Barrier(8)

    def enter() -> None:
        begin.wait()
        for _ in range(200):
            with short_switch_interval():
                assert is_short()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert is_usual()


def test_a_shorter_one_stays() -> None:
    sys.setswitchinterval(SHORT_S / 10)
    with short_switch_interval():
        assert sys.getswitchinterval() == pytest.approx(SHORT_S / 10)
    assert sys.getswitchinterval() == pytest.approx(SHORT_S / 10)


def test_one_that_the_user_sets_meanwhile_stays() -> None:
    with short_switch_interval():
        sys.setswitchinterval(0.02)
    assert sys.getswitchinterval() == pytest.approx(0.02)


def test_a_record_that_has_the_fields_already_is_itself() -> None:
    evidence = Evidence(counts=Counts(completed=2), expected=2)
    assert changed(evidence, expected=2, counts=Counts(completed=2)) is evidence
    other = changed(evidence, expected=2, received=1)
    assert (other.expected, other.received, evidence.received) == (2, 1, None)


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_search_for_cycles_is_as_it_was_before(was_enabled: bool) -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4"]})
    if not was_enabled:
        gc.disable()
    try:
        with demo_pacs() as pacs:
            dm.move(table, pacs, pacs.destination, progress=False)
            with pytest.raises(dm.CohortError):
                dm.move(table[[]], pacs, pacs.destination, progress=False)
        with pytest.raises(ZeroDivisionError), in_bulk():
            assert 1 / 0
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
