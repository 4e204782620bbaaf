"""Instances whose place cannot be decided, and peers that announce an instance and fall silent: rows go on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, ImplicitVRLittleEndian

import dicomove as dm
from dicomove.errors import AssociationError, ReceiverWarning
from dicomove.receiver import AskedRow, LocalRow, RowId
from dicomove.receiver.admission import Admission
from dicomove.receiver.own_process.commit import Committer
from dicomove.receiver.own_process.server import StorageServer
from dicomove.receiver.own_process.storage import Storage
from dicomove.receiver.own_process.tallies import RowTallies
from dicomove.receiver.paths import DEFAULT_PATH, PathTemplate
from dicomove.receiver.placing import CompleteFile, FileStore, Placed
from dicomove.receiver.settings import Limits
from dicomove.store.instances import InstanceIndex
from dicomove.testing.associations import storing
from dicomove.testing.raw import pdus
from tests import receiving
from tests.attacked import data_pdu, store_request
from tests.receiving import instance
from tests.servers import wait_until

pytestmark = pytest.mark.timeout(120)

FIRST, OTHER = instance(pixels=b"first!"), instance(pixels=b"other!")


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """In the block, SQLite cannot read the index, as if another program held it locked for longer than we wait."""
    index = folder / ".dicomove" / "record.sqlite"
    content = index.read_bytes()
    index.write_bytes(b"x" * len(content))
    yield
    index.write_bytes(content)


@contextmanager
def in_flight(receiver: dm.Receiver, *studies: str) -> Iterator[list[LocalRow]]:
    run = receiver.runs.begin_run()
    asked = [
        AskedRow(RowId(run, position), {"StudyInstanceUID": study}, "127.0.0.1")
        for position, study in enumerate(studies)
    ]
    rows = [receiver.runs.row(one) for one in asked]
    for row in rows:
        row.open_again()
    yield rows
    receiver.runs.end_run(run)


@pytest.mark.parametrize("existing", ["keep", "replace", "keep_both"])
def test_an_index_that_cannot_be_read_while_an_instance_is_placed(tmp_path: Path, existing: str) -> None:
    with receiving.receiver(tmp_path, existing=existing) as receiver, in_flight(receiver, "1.2.3") as (row,):
        assert receiving.send(receiver, FIRST) == [0]
        receiver.flush()
        with unreadable(tmp_path):
            assert receiving.send(receiver, OTHER) == [0]
        received = row.await_arrivals(None)
        assert received.dispositions == {"stored": 1, "differs": 1}
        assert "the record could not be read" in next(iter(received.aside))
        assert receiving.partial(tmp_path) == []
        manifest = receiver.manifest()
    assert manifest["quarantine"].isna().tolist() == [False, True]
    assert receiving.data_set(tmp_path / manifest["path"].iloc[0]) == OTHER.read()
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


class Defect(FileStore):
    """Raises what nothing expects."""

    def place(self, written: CompleteFile, relative: PurePosixPath, *_: Any) -> Placed:
        message = f"a defect, {written.size} {relative}"
        raise RuntimeError(message)


def test_a_defect_while_an_instance_is_placed_does_not_keep_it_on_its_way(tmp_path: Path) -> None:
    files, tallies = Defect(tmp_path), RowTallies()
    index = InstanceIndex(tmp_path)
    committer = Committer(tmp_path, index)
    storage = Storage(files, PathTemplate(DEFAULT_PATH), committer, tallies, accept_any=True)
    server = StorageServer("127.0.0.1", 0, "DICOMOVE", Admission((), anybody=True), storage, Limits())
    to = ("127.0.0.1", server.port)
    with pytest.raises((AssociationError, OSError)), storing(to, "DICOMOVE", "PEER", [FIRST], ("O", 7)) as store:
        store(FIRST)
    wait_until(lambda: not storage.coming(), 10)
    server.close()
    committer.close()
    index.close()
    assert receiving.partial(tmp_path) == []


def test_a_peer_that_falls_silent_delays_only_the_row_of_its_instance(tmp_path: Path) -> None:
    request = pdus.associate_request("DICOMOVE", {CTImageStorage: [ImplicitVRLittleEndian]})
    begun = b"\x20\x00\x0d\x00\x06\x00\x00\x001.2.9\x00" + b"\x20\x00\x0e\x00"
    studies = ("1.2.3", "1.2.8", "1.2.9")
    with receiving.receiver(tmp_path) as receiver, in_flight(receiver, *studies) as rows, ThreadPoolExecutor() as pool:
        with socket.create_connection(("127.0.0.1", receiver.port)) as peer:
            peer.sendall(request)
            assert peer.recv(1) == b"\x02"
            peer.sendall(store_request("1.2.9.9"))
            # It may be of any row. The limit between two PDUs is five minutes.
            assert pool.submit(rows[0].await_arrivals, None).result(20).arrivals == 0
            peer.sendall(data_pdu(begun, last=False))
            wait_until(lambda: rows[2].progress()[1] > 0, 10)
            waiting = pool.submit(rows[2].await_arrivals, None)
            assert pool.submit(rows[1].await_arrivals, None).result(20).arrivals == 0
            assert not waiting.done()
        assert waiting.result(20).arrivals == 0


def test_what_could_not_be_recorded_at_the_end_is_recorded_by_the_next_receiver(tmp_path: Path) -> None:
    receiver = receiving.receiver(tmp_path, accept="any")
    assert receiving.send(receiver, FIRST) == [0]
    receiver.flush()
    with unreadable(tmp_path):
        assert receiving.send(receiver, instance(uid="1.2.3.4.6")) == [0]
        with pytest.warns(ReceiverWarning, match="record cannot be written.* next receiver"):
            receiver.close()
    assert set(dm.verify(tmp_path)["verified"]) == {"ok", "unrecorded"}
    with receiving.receiver(tmp_path):
        pass
    assert dm.verify(tmp_path)["verified"].tolist() == ["ok", "ok"]
    assert not (tmp_path / ".dicomove" / "owner").exists()
