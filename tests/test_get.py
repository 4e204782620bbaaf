"""C-GET into the folder of a receiver: Orthanc, DCMTK's dcmqrscp, and the embedded PACS."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest
from pydicom import Dataset, config, dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE, evt

import dicomove as dm
from dicomove.cohort import Identifier
from dicomove.dimse.presentation_contexts import COMMON_CLASSES, GET, MOST_CONTEXTS, storage_contexts
from dicomove.events import CompletedEvent, Event, SubOperationEvent
from dicomove.receiver.api import Get, RowId
from dicomove.receiver.lines import read_request, request_line
from dicomove.run.attempt.moves import AttemptMoves
from dicomove.run.attempt.narrowing import combined
from dicomove.run.channel import LocalChannel
from dicomove.run.requests import Task
from dicomove.run.settings import RunSettings
from dicomove.testing import RehearsalPacs, Synthetic, faults
from dicomove.testing.faults.base import Abort, Close, Fault, Refuse, Request
from dicomove.testing.images import series_uid, study_uid
from tests import receiving, servers
from tests.conftest import LONG
from tests.images import pixels
from tests.servers import Server

pytestmark = pytest.mark.timeout(60)

CT = study_uid("A0001")
SOURCE = Synthetic(studies=3, instances=12, size=20_000)
ROWS = receiving.studies(SOURCE, 3)


def without_port(folder: Path) -> dm.Receiver:
    return dm.Receiver(folder, port=None)


def get(table: pd.DataFrame, pacs: dm.Pacs, receiver: dm.Receiver, **options: object) -> pd.DataFrame:
    return receiving.move(table, pacs, receiver, **{"method": "get", **options})


def tags(path: Path) -> set[int]:
    """The tags of a file, without those of lengths and padding."""
    with config.disable_value_validation():
        found = dcmread(path, stop_before_pixels=True).keys()
    return {int(tag) for tag in found if tag.element != 0 and tag.group != 0xFFFC}


def test_every_study_arrives_as_it_is(server: Server, tmp_path: Path) -> None:
    uids = list(dict.fromkeys(one.study for one in server.holds))
    with without_port(tmp_path) as receiver:
        result = get(pd.DataFrame({"StudyInstanceUID": uids}), server.pacs, receiver)
        assert dm.verify(tmp_path)["verified"].eq("ok").all()
        manifest = receiver.manifest().set_index("SOPInstanceUID")
    wanted = [len(server.instances(study=uid)) for uid in uids]
    assert result["outcome"].tolist() == ["complete"] * len(uids), result[["outcome", "error", "advice"]].to_dict()
    assert result["received"].tolist() == result["completed"].tolist() == wanted
    assert result["method"].tolist() == ["get"] * len(uids)
    there = receiving.files(tmp_path)
    assert there.keys() == {one.instance for one in server.holds}
    for one in server.holds:
        ours, syntax = there[one.instance], manifest.loc[one.instance, "TransferSyntaxUID"]
        if server.name == "embedded":
            assert receiving.data_set(ours) == one.data_set(), one.path
        # DCMTK, and Orthanc with it, write every element anew; dcmqrscp in the first transfer syntax that fits.
        assert tags(ours) == tags(one.path), one.path
        if server.name != "dcmqrscp":
            assert syntax == one.transfer_syntax
        if syntax == one.transfer_syntax:
            assert pixels(ours) == pixels(one.path), one.path


def test_one_study_without_a_table(server: Server, tmp_path: Path) -> None:
    told: list[SubOperationEvent | CompletedEvent] = []
    with without_port(tmp_path) as receiver, dm.GetScu(server.pacs) as scu:
        result = scu.get_study({"StudyInstanceUID": CT}, receiver, on_completed=told.append)
        assert (result.outcome, result.status, result.completed, result.evidence.received) == (
            "complete",
            "0x0000",
            5,
            5,
        )
        series = {"StudyInstanceUID": CT, "SeriesInstanceUID": series_uid("A0001", 1)}
        assert scu.get_study(series, receiver).outcome == "complete"
        nothing = scu.get_study({"StudyInstanceUID": "1.2.3.4"}, receiver)
    # Orthanc answers 0xC000; in a table, C-FIND tells that there is nothing.
    assert nothing.outcome == ("failed" if server.name == "orthanc" else "empty")
    assert [one.outcome for one in told if isinstance(one, CompletedEvent)] == ["complete"]


def test_a_run_is_resumed(server: Server, tmp_path: Path) -> None:
    table = pd.DataFrame({"StudyInstanceUID": [CT]})
    with without_port(tmp_path) as receiver:
        first = dm.move(table, server.pacs, receiver, method="get", progress=False)
        again = dm.move(first, server.pacs, receiver, method="get", progress=False)
    for run, returned in enumerate((first, again), 1):
        pd.testing.assert_frame_equal(dm.read_journal(tmp_path, run=run), returned)
    assert receiving.row(first, "outcome", "attempts", "resumed", "method") == ("complete", 1, False, "get")
    assert receiving.row(again, "outcome", "attempts", "resumed", "method") == ("complete", 0, True, None)


def test_cancelling(tmp_path: Path) -> None:
    stop = threading.Event()

    def callback(event: SubOperationEvent) -> None:
        assert event.completed
        stop.set()

    slow = faults.Latency(seconds=0.05)
    with without_port(tmp_path) as receiver, receiving.pacs({}, slow, source=SOURCE) as pacs, dm.GetScu(pacs) as scu:
        uid = ROWS["StudyInstanceUID"].iloc[0]
        result = scu.get_study({"StudyInstanceUID": uid}, receiver, on_sub_operation=callback, stop=stop)
        assert (result.outcome, result.status) == ("cancelled", "0xFE00")
        assert 0 < len(receiving.files(tmp_path)) < 12
        assert get(ROWS, pacs, receiver)["outcome"].tolist() == ["complete"] * 3
    receiving.assert_whole(tmp_path, SOURCE)


@dataclasses.dataclass(frozen=True)
class StopsAt(faults.Fault):
    """The run is stopped while the n-th request is under way, and the PACS ignores C-CANCEL."""

    number: int
    stop: threading.Event
    seen: list[str] = dataclasses.field(default_factory=list)

    def on_request(self, request: Request) -> None:
        if request.command == "C-GET":
            self.seen.append(request.level)
        if len(self.seen) == self.number:
            self.stop.set()

    def on_cancel(self, request: Request) -> bool:  # noqa: ARG002 (it ignores each)
        return False


@pytest.mark.parametrize("sent", [1, 2])
def test_no_request_for_a_series_is_sent_after_a_stop(tmp_path: Path, sent: int) -> None:
    source = Synthetic(studies=1, series=4, instances=1, size=512)
    missing = {one.sop_instance_uid: one.series_instance_uid for one in source.instances_of_all()}
    uid = receiving.studies(source)["StudyInstanceUID"][0]
    study = Identifier("STUDY", "StudyRoot", (("StudyInstanceUID", uid),))
    stops = StopsAt(sent, threading.Event())
    with without_port(tmp_path) as receiver, receiving.pacs({}, stops, source=source) as pacs:
        settings = RunSettings(pacs, (receiver.ae_title,), (receiver,), (receiver.runs.begin_run(),))
        task = Task(study, (0,), settings.key(study), receiver=0, method="get", depth="series")
        channel = LocalChannel(settings, lambda _: None)
        channel.stop = stops.stop
        with channel.row(task) as row, dm.MoveScu(pacs) as scu, dm.GetScu(pacs) as get_scu:
            attempt = AttemptMoves(scu, get_scu, settings, task, channel, row)
            attempt.narrowed(missing)
    assert stops.seen == ["SERIES"] * sent
    assert combined(attempt.answered).outcome == "cancelled"
    assert channel.sent == {0: sent}, "what a row that is given up counts"


def test_nothing_is_sent_if_it_is_stopped_before(tmp_path: Path) -> None:
    stops = StopsAt(1, threading.Event())
    stops.stop.set()
    with without_port(tmp_path) as receiver, receiving.pacs({}, stops, source=SOURCE) as pacs, dm.GetScu(pacs) as scu:
        result = scu.get_study({"StudyInstanceUID": ROWS["StudyInstanceUID"][0]}, receiver, stop=stops.stop)
    assert (result.outcome, result.evidence.sent, stops.seen) == ("not_attempted", False, [])


def test_a_system_without_further_threads_gets_nevertheless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name == "dicomove-get":
            message = "can't start new thread"
            raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with without_port(tmp_path) as receiver, receiving.pacs({}, source=SOURCE) as pacs:
        assert get(ROWS, pacs, receiver)["outcome"].tolist() == ["complete"] * 3


def test_another_attempt_gets_the_missing_instances(tmp_path: Path) -> None:
    lost = faults.LosesInstances(attempts=1)
    with without_port(tmp_path) as receiver, receiving.pacs({}, lost, source=SOURCE) as pacs:
        first = get(ROWS[:1], pacs, receiver)
        assert receiving.row(first, "outcome", "error") == ("partial", "missing_instances")
        again = get(ROWS[:1], pacs, receiver, retry=dm.Retry(attempts=2, wait=0))
    assert receiving.row(again, "outcome", "missing") == ("complete", 0)


def killing(receiver: dm.Receiver) -> Callable[[Event], None]:
    seen: list[Event] = []

    def callback(event: Event) -> None:
        if isinstance(event, SubOperationEvent) and not seen:
            seen.append(event)
            os.kill(receiver.pid, signal.SIGKILL)

    return callback


def test_the_receiver_is_killed(tmp_path: Path) -> None:
    with (
        without_port(tmp_path) as receiver,
        RehearsalPacs(SOURCE, [faults.Latency(seconds=0.05)]) as pacs,
    ):
        with pytest.warns(dm.errors.ReceiverWarning, match="was killed by SIGKILL and was started again"):
            result = get(ROWS, pacs, receiver, progress=killing(receiver))
        assert receiving.row(result[:1], "outcome", "error") == ("interrupted", "receiver_failed")
        assert result["outcome"].tolist()[1:] == ["complete"] * 2
        again = get(result, pacs, receiver)
        assert again["outcome"].tolist() == ["complete"] * 3
    receiving.assert_whole(tmp_path, SOURCE)
    assert len(receiving.files(tmp_path)) == 36
    assert receiving.partial(tmp_path) == []


def test_every_piece_counts_if_the_receiver_is_killed_during_one(tmp_path: Path) -> None:
    source = Synthetic(studies=1, series=4, instances=2, size=512)
    with without_port(tmp_path) as receiver:
        pieces = receiving.InPieces(3, lambda: os.kill(receiver.pid, signal.SIGKILL))
        options = {"journal": tmp_path / "journal.sqlite", "retry": dm.Retry(attempts=2, wait=0)}
        with receiving.pacs({}, pieces, source=source) as pacs, pytest.warns(dm.errors.ReceiverWarning):
            result = get(receiving.studies(source), pacs, receiver, **options)
    assert pieces.seen == ["STUDY", "IMAGE", "SERIES", "SERIES", "SERIES"]
    assert result["attempts"][0] == len(pieces.seen)
    assert dm.store.read_attempts(tmp_path / "journal.sqlite")["sent"].sum() == len(pieces.seen)


def test_auto_gets_where_the_destination_is_not_known(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs({}, source=SOURCE) as pacs:
        result = receiving.move(ROWS, pacs, receiver, method="auto", journal=None)
    assert result["outcome"].tolist() == ["complete"] * 3
    assert result["method"].tolist() == dm.read_journal(tmp_path)["method"].tolist() == ["get"] * 3
    assert result["attempts"].tolist() == [2, 1, 1]


def test_auto_gets_where_the_pacs_cannot_reach_the_receiver(tmp_path: Path) -> None:
    with (
        servers.dead_port() as port,
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs({receiver.ae_title: ("127.0.0.1", port)}, source=SOURCE) as pacs,
    ):
        result = receiving.move(ROWS, pacs, receiver, method="auto")
    assert result["outcome"].tolist() == ["complete"] * 3
    assert result["method"].tolist() == ["get"] * 3


def test_auto_moves_where_that_works(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        result = receiving.move(ROWS, pacs, receiver, method="auto")
        assert result["method"].tolist() == ["move"] * 3
        # An earlier run's column goes.
        assert "method" not in receiving.move(result, pacs, receiver)
    assert result["attempts"].tolist() == [1, 1, 1]


def test_auto_gets_from_orthanc(orthanc: Server, tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, ae_title="NOT_KNOWN") as receiver:
        result = receiving.move(pd.DataFrame({"StudyInstanceUID": [CT, LONG]}), orthanc.pacs, receiver, method="auto")
    assert result["outcome"].tolist() == ["complete"] * 2
    assert result["method"].tolist() == ["get"] * 2


def test_what_cannot_be(tmp_path: Path) -> None:
    pacs = dm.Pacs("127.0.0.1:1")
    with without_port(tmp_path) as receiver:
        assert repr(receiver) == f"Receiver({str(tmp_path)!r}): listens at no port, and is filled by C-GET"
        with pytest.raises(ValueError, match="listens at no port, so that no PACS can move to it: use method='get'"):
            dm.move(ROWS, pacs, receiver)
        with pytest.raises(ValueError, match="method='fetch' is not one of move, get, auto"):
            dm.move(ROWS, pacs, receiver, method="fetch")  # type: ignore[arg-type]
        with pytest.raises(dm.errors.ReceiverError, match="listens at no port"):
            receiver.dcmtk_host()
        result = get(ROWS[:1], pacs, receiver)
        assert receiving.row(result, "outcome", "error", "attempts") == ("unreachable", "connection_failed", 0)
    with pytest.raises(ValueError, match="needs a Receiver"):
        dm.move(ROWS, pacs, "ELSEWHERE", method="get")


def test_a_pacs_without_get(tmp_path: Path) -> None:
    """Storescp offers no query model."""
    with without_port(tmp_path / "images") as receiver, servers.storescp(tmp_path) as store:
        pacs = dm.Pacs(f"{servers.DESTINATION}@127.0.0.1:{store.port}")
        result = get(ROWS[:1], pacs, receiver)
    assert receiving.row(result, "outcome", "error", "attempts") == ("failed", "not_supported", 0)
    assert "does not offer StudyRoot GET" in str(result["advice"].iloc[0])


@dataclasses.dataclass(frozen=True)
class Counted(faults.Fault):
    """A PACS that is well-behaved, and notes how many connections its peers have when an association begins.

    Its own ends take a moment longer to go.
    """

    pacs: list[dm.Pacs] = dataclasses.field(default_factory=list, compare=False)
    at_once: list[int] = dataclasses.field(default_factory=list, compare=False)

    def on_association(self, open_associations: int) -> None:  # noqa: ARG002 (it counts the PACS's own ends)
        address = (self.pacs[0].host, self.pacs[0].port)
        connected = [one for one in psutil.net_connections("tcp4") if one.status == psutil.CONN_ESTABLISHED]
        self.at_once.append(sum(one.raddr == address for one in connected))


@pytest.mark.parametrize("verify", ["auto", "instances"])
@pytest.mark.parametrize("concurrency", [1, 2])
def test_there_are_no_more_associations_than_concurrency(verify: str, concurrency: int, tmp_path: Path) -> None:
    """That of C-FIND is released before the C-GET."""
    counted = Counted()
    with without_port(tmp_path) as receiver, receiving.pacs({}, counted, source=SOURCE) as pacs:
        counted.pacs.append(pacs)
        results = get(ROWS, pacs, receiver, verify=verify, concurrency=concurrency)
    assert results["outcome"].tolist() == ["complete"] * 3, results[["error", "advice"]].to_dict()
    assert results["attempts"].tolist() == [1, 1, 1]
    assert max(counted.at_once) <= concurrency


def test_a_column_of_the_callers_own(tmp_path: Path) -> None:
    with without_port(tmp_path) as receiver, receiving.pacs({}, source=SOURCE) as pacs:
        own = ROWS[:1].assign(method="biopsy")
        with pytest.warns(dm.errors.CohortWarning, match="method_cohort"):
            result = get(own, pacs, receiver)
        assert receiving.row(result, "method_cohort", "method") == ("biopsy", "get")
        assert receiving.row(get(result, pacs, receiver), "method_cohort", "method") == ("biopsy", "get")


@pytest.mark.parametrize("count", [1, 4, 5, 40, 127, 200])
def test_the_contexts_fit(count: int) -> None:
    contexts = storage_contexts([f"1.2.{number}" for number in range(count)])
    assert len(contexts) <= MOST_CONTEXTS
    assert len({abstract for abstract, _ in contexts}) == min(count, MOST_CONTEXTS)
    by_class = [syntax for abstract, syntaxes in contexts if abstract == "1.2.0" for syntax in syntaxes]
    assert len(by_class) == len(set(by_class)) == len({syntax for _, syntaxes in contexts for syntax in syntaxes})


def test_the_common_classes_are_different() -> None:
    assert len(set(COMMON_CLASSES)) == len(COMMON_CLASSES)
    assert not set(GET.values()) & set(COMMON_CLASSES)


def test_the_user_is_named() -> None:
    """As over every other association; the repr of what the process is told shows nothing of it."""
    pacs = dataclasses.replace(dm.Pacs("127.0.0.1:104"), user="night shift")
    asked = {"query_model": "StudyRoot", "level": "STUDY", "keys": {"StudyInstanceUID": "1.2"}}
    request = Get.of(3, pacs, RowId(1, 2), asked, sop_classes=(), total_timeout=None)
    told = read_request(request_line(7, request))
    assert isinstance(told, tuple)
    number, read = told
    assert number == 7
    assert isinstance(read, Get)
    assert (read.number, read.row) == (3, RowId(1, 2))
    assert read.user() == pacs.identity()
    assert dm.Pacs(**read.pacs_values()) == dataclasses.replace(pacs, user=None)
    assert "night" not in repr(request)


@contextmanager
def grants(*, role: bool | None, instances: int = 0) -> Iterator[dm.Pacs]:
    """Pynetdicom's C-GET SCP, with or without the roles that we ask for. Without them, it can send nothing."""
    found = [Dataset() for _ in range(instances)]
    for one in found:
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, "1.2.3.4"
    ae = AE("STRICT")
    ae.add_supported_context(GET["StudyRoot"])
    ae.add_supported_context(CTImageStorage, scu_role=role, scp_role=role)

    def answer(_: evt.Event) -> Iterator[object]:
        yield len(found)
        yield from ((0xFF00, one) for one in found)

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_GET, answer)])
    assert server
    try:
        yield dm.Pacs(f"STRICT@127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()


@pytest.mark.parametrize("role", [None, False, True])
def test_role_selection(tmp_path: Path, role: bool | None) -> None:
    with without_port(tmp_path) as receiver, grants(role=role) as pacs, dm.GetScu(pacs) as scu:
        result = scu.get_study({"StudyInstanceUID": "1.2.3"}, receiver)
    if role is not False:  # without an answer about the role, only what comes shows whether the PACS may send
        assert (result.outcome, result.status) == ("empty", "0x0000")
        return
    assert (result.outcome, result.error, result.attempts) == ("failed", "not_supported", 0)
    assert "role selection" in str(result.advice)


def test_a_pacs_that_does_not_answer_the_role_selection_and_sends_nothing(tmp_path: Path) -> None:
    with without_port(tmp_path) as receiver, grants(role=None, instances=1) as pacs, dm.GetScu(pacs) as scu:
        result = scu.get_study({"StudyInstanceUID": "1.2.3"}, receiver)
    assert (result.outcome, result.error, result.attempts, result.failed) == ("failed", "not_supported", 1, 1)
    assert "did not answer" in str(result.advice)


class _Roleless(faults.RefusesRoles):
    """A-ASSOCIATE-AC says nothing of roles."""

    def _user_items(self, items: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        return [one for one in items if one[0] != 0x54]


class _Busy(faults.OutOfResources):
    """Refuses a C-GET before it looks for the instances."""

    commands = ("C-GET",)

    def on_request(self, request: Request) -> None:  # noqa: ARG002 (as in its base class)
        raise Refuse(0xA701, "busy")


class _Leaving(_Busy):
    """Ends the association instead of the first C-STORE."""

    order: type[Exception] = Close

    def on_request(self, request: Request) -> None:  # noqa: ARG002 (as in its base class)
        raise self.order


class _Aborting(_Leaving):
    order = Abort


@pytest.mark.parametrize(
    ("leaving", "roles", "error"),
    [
        (_Leaving(), _Roleless(), "connection_lost"),
        (_Aborting(), _Roleless(), "association_aborted"),
        (_Leaving(), Fault(), "connection_lost"),
    ],
)
def test_a_pacs_that_leaves_may_do_so_for_lack_of_a_role(
    tmp_path: Path, leaving: Fault, roles: Fault, error: str
) -> None:
    with without_port(tmp_path) as receiver, receiving.pacs({}, roles, leaving, source=SOURCE) as pacs:
        result = get(ROWS.head(1), pacs, receiver, retry=None)
    assert receiving.row(result, "outcome", "error") == ("interrupted", error)
    assert ("did not answer" in str(result["advice"][0])) == isinstance(roles, _Roleless)


def test_a_pacs_that_has_sent_without_a_role_is_asked_again_after_a_refusal(tmp_path: Path) -> None:
    busy = _Busy(studies=(ROWS["StudyInstanceUID"][1],), attempts=1)
    with without_port(tmp_path) as receiver, receiving.pacs({}, _Roleless(), busy, source=SOURCE) as pacs:
        result = get(ROWS, pacs, receiver, retry=dm.Retry(attempts=2, wait=0.01), concurrency=1)
    assert result["outcome"].tolist() == ["complete"] * 3
    assert result["attempts"].tolist() == [1, 2, 1]


def test_success_without_instances_at_a_pacs_that_does_not_answer_the_role_selection(tmp_path: Path) -> None:
    with without_port(tmp_path) as receiver, grants(role=None) as pacs:
        expected = pd.DataFrame({"StudyInstanceUID": ["1.2.3"], "NumberOfStudyRelatedInstances": [2]})
        result = get(expected, pacs, receiver)
    assert receiving.row(result, "outcome", "error") == ("failed", "missing_instances")
    assert "did not answer" in str(result["advice"][0])


def test_doctor_moves_nothing_to_a_receiver_without_a_port(tmp_path: Path) -> None:
    with without_port(tmp_path) as receiver, receiving.pacs({}, source=SOURCE) as pacs:
        table = dm.doctor(pacs, receiver).set_index("check")
        without_destination = dm.doctor(pacs).set_index("check")
    assert table["verdict"].to_dict() == without_destination["verdict"].to_dict()
    assert table.loc["destination", "verdict"] == "skipped"
    assert table.loc["C-GET offered", "verdict"] == "ok"
