"""`find` of many rows: several associations, lists of UIDs, a rate limit, interrupts."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from pydicom import Dataset

import dicomove as dm
from dicomove.cohort import Query, find_queries
from dicomove.events import Event, RowFinished, RunEnded
from dicomove.search.lists import batches, uid_of
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.archive import Archive, IdentifierMismatch
from dicomove.testing.images import study_uid
from tests import servers
from tests.servers import Here, Server

pytestmark = pytest.mark.timeout(60)

ACCESSIONS = ["A0001", "A0002", "A001", "A0010", "A0100", "A0101", "A0200", "A0201", "A0300"]
UIDS = [study_uid(accession) for accession in ACCESSIONS]
ABSENT = ["1.2.3.4.5", "1.2.3.4.6"]


def studies(*uids: str, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"StudyInstanceUID": list(uids), **columns})


def find(table: pd.DataFrame, pacs: dm.Pacs, **options: Any) -> pd.DataFrame:
    return dm.find(table, pacs, progress=options.pop("progress", False), **options)


def asked(here: Here) -> list[int]:
    """The number of UIDs in each C-FIND."""
    return [len(re.findall(r"[0-9.]+", keys["StudyInstanceUID"])) for keys in here.recorder.asked("C-FIND")]


def queries(table: pd.DataFrame, level: str = "STUDY") -> list[Query]:
    return [query for query in find_queries(table, level) if isinstance(query, Query)]


# ------------------------------------------------------------------------------------------- which rows go together


def test_rows_that_differ_in_a_uid_alone_go_together() -> None:
    made = batches(queries(studies(*(f"1.2.{number}" for number in range(120)))))
    assert [len(batch) for batch in made] == [50, 50, 20]
    assert [uid_of(query) for batch in made for query in batch] == [f"1.2.{number}" for number in range(120)]


def test_series_go_together_within_one_study() -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.1", "1.2"] * 3, "SeriesInstanceUID": [f"1.3.{n}" for n in range(6)]})
    made = batches(queries(table, "SERIES"))
    assert [[uid_of(query) for query in batch] for batch in made] == [
        ["1.3.0", "1.3.2", "1.3.4"],
        ["1.3.1", "1.3.3", "1.3.5"],
    ]


@pytest.mark.parametrize(
    ("table", "level"),
    [
        (pd.DataFrame({"AccessionNumber": ["A1", "A2"]}), "STUDY"),
        (pd.DataFrame({"PatientID": ["1", "2"]}), "STUDY"),
        (studies("1.2", "1.3"), "SERIES"),  # a C-FIND has one value of each level above
    ],
)
def test_other_rows_are_asked_one_by_one(table: pd.DataFrame, level: str) -> None:
    assert [len(batch) for batch in batches(queries(table, level))] == [1, 1]


def test_the_keys_that_answers_are_compared_with_are_the_same_in_a_batch() -> None:
    table = studies("1.2", "1.3", "1.4", PatientID=["1", "", "2"])
    assert [[uid_of(query) for query in batch] for batch in batches(queries(table))] == [["1.2", "1.4"], ["1.3"]]


# --------------------------------------------------------------------------------------------------- lists of UIDs


def test_a_list_brings_what_single_searches_bring(server: Server) -> None:
    table = studies(*UIDS[:3], *ABSENT, *UIDS[3:], UIDS[0])
    together = find(table, server.pacs)
    alone = pd.concat([find(table.iloc[[place]], server.pacs) for place in range(len(table))], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)
    assert together["outcome"].tolist()[:5] == ["matched"] * 3 + ["empty"] * 2


def test_series_in_a_list(server: Server) -> None:
    series = find(studies(UIDS[0]), server.pacs, level="SERIES")
    table = series[["StudyInstanceUID", "SeriesInstanceUID"]]
    again = find(table, server.pacs, level="SERIES")
    assert len(table) > 1
    assert again["outcome"].eq("matched").all()
    assert again["SeriesInstanceUID"].tolist() == table["SeriesInstanceUID"].tolist()


def test_one_search_for_all_of_them_and_one_for_what_it_lacks(here: Here) -> None:
    find(studies(*UIDS, ABSENT[0]), here.pacs)
    assert asked(here) == [10, 1]


def test_each_row_is_compared_with_its_own_answer(here: Here) -> None:
    right = find(studies(*UIDS), here.pacs)["PatientID"].tolist()
    wrong = [*right[:4], "another", *right[5:]]
    with pytest.warns(dm.errors.FindWarning, match="1 rows"):
        found = find(studies(*UIDS, PatientID=wrong), here.pacs)
    assert found["outcome"].tolist() == ["matched"] * 4 + ["empty"] + ["matched"] * 4
    assert found["filtered"].tolist() == [0] * 4 + [1] + [0] * 4


class Refuses(Archive):
    """Refuses lists."""

    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        if len(_uids(identifier)) > 1:
            message = "no lists"
            raise IdentifierMismatch(message)
        return super().find(identifier, query_model)


class TakesTheFirst(Archive):
    """Takes the first UID of a list for the only one."""

    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        identifier.StudyInstanceUID = _uids(identifier)[0]
        return super().find(identifier, query_model)


class FindsNothing(Archive):
    """Takes a list for one long UID."""

    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        if len(_uids(identifier)) > 1:
            return iter(())
        return super().find(identifier, query_model)


class GivesAll(Archive):
    """Takes a list for no key at all."""

    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        if len(_uids(identifier)) > 1:
            identifier.StudyInstanceUID = ""
        return super().find(identifier, query_model)


def _uids(identifier: Dataset) -> list[str]:
    value = identifier.get("StudyInstanceUID") or ""
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("kind", [Refuses, TakesTheFirst, FindsNothing, GivesAll])
def test_a_pacs_without_lists_is_asked_one_by_one_from_then_on(archive: Archive, kind: type[Archive]) -> None:
    with servers.here(archive) as here:
        expected = find(studies(*UIDS[1:8]), here.pacs)
    with servers.here(kind(archive.instances)) as here:
        rows = [*UIDS[1:8], *(f"1.9.{number}" for number in range(60))]
        found = find(studies(*rows), here.pacs)
        several = [number for number in asked(here) if number > 1]
    pd.testing.assert_frame_equal(found.iloc[:7], expected)
    assert found["outcome"].tolist() == ["matched"] * 7 + ["empty"] * 60
    assert found["filtered"].sum() == 0
    assert several in ([50], [50, 50])  # where it is refused, once more without keys that it may not know


def test_a_pacs_that_gives_few_answers_gets_shorter_lists() -> None:
    archive = Synthetic(studies=60, instances=1, size=64)
    uids = list(dict.fromkeys(instance.study_instance_uid for instance in archive.instances_of_all()))
    with RehearsalPacs(archive, [faults.CapsFind(most=20)]) as pacs:
        found = find(studies(*uids), pacs)
        number = len(pacs.requests())
    assert found["outcome"].tolist() == ["matched"] * 60
    assert found["StudyInstanceUID"].tolist() == uids
    assert number <= 1 + 30 + 1


def test_a_pacs_that_ignores_all_keys_is_not_heard_to_the_end() -> None:
    archive = Synthetic(studies=200, instances=1, size=64)
    uids = list(dict.fromkeys(instance.study_instance_uid for instance in archive.instances_of_all()))
    with RehearsalPacs(archive, [faults.FindIgnoresAllKeys()]) as pacs, pytest.warns(dm.errors.FindWarning):
        found = find(studies(*uids[:8]), pacs)
    assert found["outcome"].tolist() == ["matched"] * 8
    assert found["StudyInstanceUID"].tolist() == uids[:8]


# ----------------------------------------------------------------------------------------------- several at a time


@pytest.mark.parametrize("concurrency", [2, 5])
def test_several_associations_give_the_same_table(server: Server, concurrency: int) -> None:
    table = pd.DataFrame({"AccessionNumber": [*ACCESSIONS, "", "A9999", *ACCESSIONS[:3]]})
    expected = find(table, server.pacs)
    pd.testing.assert_frame_equal(find(table, server.pacs, concurrency=concurrency), expected)
    by_uid = studies(*UIDS, *ABSENT)
    pd.testing.assert_frame_equal(find(by_uid, server.pacs, concurrency=concurrency), find(by_uid, server.pacs))


def test_an_association_with_nothing_left_to_ask_is_released_while_others_ask(archive: Archive) -> None:
    pacs: list[dm.Pacs] = []

    class WaitsForTheEnd(Archive):
        def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
            if identifier.AccessionNumber == ACCESSIONS[0]:
                servers.wait_until(lambda: servers.associations(pacs[0]) == 1)
            return super().find(identifier, query_model)

    with servers.here(WaitsForTheEnd(archive.instances)) as here:
        pacs.append(here.pacs)
        found = find(pd.DataFrame({"AccessionNumber": ACCESSIONS}), here.pacs, concurrency=4)
    assert found["outcome"].tolist() == ["matched"] * len(ACCESSIONS)


def test_they_ask_at_the_same_time_and_the_same_thing_once(archive: Archive) -> None:
    class Meets(Archive):
        both = threading.Barrier(2)

        def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
            self.both.wait(20)
            return super().find(identifier, query_model)

    events: list[Event] = []
    threads: set[threading.Thread] = set()

    def show(event: Event) -> None:
        events.append(event)
        threads.add(threading.current_thread())

    with servers.here(Meets(archive.instances)) as here:
        table = pd.DataFrame({"AccessionNumber": ["A0001", "A0002", "A0001", "A0200"] + ["A0300"] * 3})
        found = find(table, here.pacs, concurrency=2, progress=show)
        assert len(here.recorder.asked("C-FIND")) == 4
    assert found["cohort_row"].tolist() == list(range(7))
    assert threads == {threading.main_thread()}
    assert sorted(event.position for event in events if isinstance(event, RowFinished)) == list(range(7))
    assert events[-1] == RunEnded(verb="find", interrupted=False)


def test_an_interrupt_cancels_all_and_returns_the_table_so_far(archive: Archive) -> None:
    class Stalls(Archive):
        gone, held = threading.Event(), threading.Semaphore(0)

        def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
            if identifier.AccessionNumber != "A0001":
                self.held.release()
                assert self.gone.wait(20)
            return super().find(identifier, query_model)

    pacs = Stalls(archive.instances)

    def press(event: Event) -> None:
        if isinstance(event, RowFinished):
            assert pacs.held.acquire(timeout=20)
            assert pacs.held.acquire(timeout=20)
            threading.Timer(0.5, pacs.gone.set).start()
            signal.raise_signal(signal.SIGINT)

    table = pd.DataFrame({"AccessionNumber": ["A0001", "A0002", "A0010", "A0200"]})
    with servers.here(pacs) as here, pytest.warns(dm.InterruptedWarning, match="found so far"):
        found = find(table, here.pacs, concurrency=2, progress=press)
    assert found["outcome"].tolist() == ["matched"] + ["not_attempted"] * 3
    assert len(here.recorder.asked("C-FIND")) == 3
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("dicomove-find")]


def test_a_second_interrupt_does_not_wait_for_the_pacs(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomove.dimse.scu.CANCEL_GRACE_S", 300)

    class Stalls(Archive):
        gone, held = threading.Event(), threading.Semaphore(0)

        def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
            self.held.release()
            assert self.gone.wait(30)
            return super().find(identifier, query_model)

    pacs = Stalls(archive.instances)

    def press() -> None:
        assert pacs.held.acquire(timeout=20)
        assert pacs.held.acquire(timeout=20)
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.5)
        signal.raise_signal(signal.SIGINT)

    table = pd.DataFrame({"AccessionNumber": ["A0001", "A0002"]})
    with servers.here(pacs) as here:
        pressing = threading.Thread(target=press)
        pressing.start()
        began = time.monotonic()
        with pytest.warns(dm.InterruptedWarning):
            found = find(table, here.pacs, concurrency=2)
        assert time.monotonic() - began < 30
        pressing.join()
        pacs.gone.set()
    assert found["outcome"].tolist() == ["not_attempted"] * 2


def test_a_pacs_that_cannot_be_reached_by_any_association() -> None:
    with servers.dead_port() as dead:
        found = find(studies(*UIDS), dm.Pacs(f"127.0.0.1:{dead}"), concurrency=3)
    assert found["outcome"].tolist() == ["unreachable"] * 9


# --------------------------------------------------------------------------------------------------- the rate limit


def test_a_short_delay_is_no_longer_than_it_says() -> None:
    """50 ms was the shortest one. A busy machine may hold up one of three searches."""
    table = pd.DataFrame({"PatientID": [f"SYN{number:06d}" for number in range(1, 101)]})
    with RehearsalPacs(Synthetic(studies=100, instances=1, size=64, patients=100)) as pacs:
        find(table.iloc[:5], pacs)
        taken: list[float] = []
        while len(taken) < 3 and min(taken, default=math.inf) >= 100 * 0.045:
            began = time.monotonic()
            find(table, pacs, delay=0.002)
            taken.append(time.monotonic() - began)
    assert 100 * 0.002 < min(taken) < 100 * 0.045


def test_a_delay_between_two_searches(here: Here) -> None:
    table = pd.DataFrame({"AccessionNumber": ACCESSIONS[:4]})
    began = time.monotonic()
    find(table, here.pacs, delay=0.2)
    assert time.monotonic() - began >= 0.6


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 0}, {"concurrency": 1.5}, {"concurrency": True}, {"delay": -1}, {"delay": float("nan")}],
    ids=str,
)
def test_settings_that_cannot_be_right(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        find(studies("1.2"), dm.Pacs("127.0.0.1:1"), **wrong)
