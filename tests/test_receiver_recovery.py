"""What a receiver makes of the folder of one that was killed: files without a record, spoilt ones, the user's own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom.data
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

import dicomove as dm
from dicomove.processes import Process
from dicomove.receiver import process
from dicomove.receiver.own_process import recovery
from dicomove.receiver.paths import DEFAULT
from dicomove.receiver.placing import FileStore
from dicomove.store.instances import InstanceIndex
from dicomove.store.ownership import owned
from dicomove.testing.archive import Instance
from tests import receiving, servers
from tests.receiving import as_file, instance

pytestmark = pytest.mark.timeout(60)

WHOLE = instance()
PLACE = "1.2.3/1.2.3.1/1.2.3.4.5.dcm"


def put(folder: Path, name: str, content: Instance | bytes) -> Path:
    """Write a file without a record."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else as_file(content))
    return path


def was_killed(folder: Path) -> None:
    """Leave what a receiver leaves that was killed before it recorded anything."""
    owner = folder / ".dicomove" / "owner"
    owner.parent.mkdir(exist_ok=True)
    owner.write_text("1:1 1:1")


def after_a_kill(folder: Path, **options: object) -> dict[str, str | None]:
    """The record that the next receiver makes: path -> reason of the quarantine."""
    was_killed(folder)
    with receiving.receiver(folder, **options) as receiver:
        manifest = receiver.manifest()
    return {
        path: None if pd.isna(reason) else reason
        for path, reason in manifest[["path", "quarantine"]].itertuples(index=False, name=None)
    }


def aside(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / ".dicomove" / "quarantine").glob("*.changed"))]


@pytest.mark.parametrize("spoilt", [b"", bytes(900), as_file(WHOLE)[:100], as_file(WHOLE)[:200]])
def test_a_file_that_a_power_cut_spoilt_is_put_aside(tmp_path: Path, spoilt: bytes) -> None:
    there = put(tmp_path, PLACE, spoilt)
    assert after_a_kill(tmp_path) == {}
    assert not there.exists()
    assert aside(tmp_path) == [spoilt]


@pytest.mark.parametrize(("pixels", "stale"), [(b"PIXELS", "hash_differs"), (b"other pixels", "size_differs")])
def test_a_file_that_is_newer_than_its_record_gets_a_new_one(tmp_path: Path, pixels: bytes, stale: str) -> None:
    """It had replaced the recorded one, and the receiver was killed before it recorded that."""
    options: dict[str, Any] = {"accept": "any", "existing": "replace"}
    with receiving.receiver(tmp_path, **options) as receiver:
        receiving.send(receiver, WHOLE)
    put(tmp_path, PLACE, instance(pixels=pixels))
    assert dm.verify(tmp_path)["verified"].tolist() == [stale]
    assert after_a_kill(tmp_path, **options) == {PLACE: None}
    assert dm.verify(tmp_path)["verified"].tolist() == ["ok"]


@pytest.mark.parametrize("existing", ["keep", "replace"])
def test_a_file_that_somebody_changed_is_still_found(tmp_path: Path, existing: str) -> None:
    with receiving.receiver(tmp_path, accept="any", existing=existing) as receiver:
        receiving.send(receiver, WHOLE)
    there = put(tmp_path, PLACE, instance(pixels=b"PIXELS"))
    if existing == "replace":
        os.utime(there, (0, 0))
    after_a_kill(tmp_path, accept="any", existing=existing)
    assert dm.verify(tmp_path)["verified"].tolist() == ["hash_differs"]


def test_cut_data_sets_are_in_quarantine(tmp_path: Path) -> None:
    packed = zlib.compress(WHOLE.read(), wbits=-15)
    deflated = replace(WHOLE, transfer_syntax=DeflatedExplicitVRLittleEndian, source=lambda: packed[:-20])
    put(tmp_path, PLACE, as_file(WHOLE)[:-3])
    put(tmp_path, "1.2.3/1.2.3.1/1.2.3.4.5~2.dcm", deflated)
    put(tmp_path, "1.2.4/1.2.4.1/1.2.9.dcm", as_file(instance("1.2.4", uid="1.2.9"))[:-60])
    found = after_a_kill(tmp_path)
    assert len(found) == 3
    assert all(path.startswith(".dicomove/quarantine/") for path in found)
    assert all(str(reason).startswith("damaged: ") for reason in found.values())
    assert receiving.files(tmp_path) == {}


def test_one_odd_file_does_not_keep_the_others_from_their_record(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each of these once ended the process at its start, and the next one recorded nothing."""
    impossible = bytearray(as_file(WHOLE))
    impossible[138] = 0xF7
    put(tmp_path, "0.1/0.2/0.3.dcm", bytes(impossible))
    if os.name == "posix":
        put(tmp_path, os.fsdecode(b"0.1/0.2/M\xfcller.dcm"), WHOLE)
        os.mkfifo(tmp_path / "0.1" / "0.2" / "0.4.dcm")  # no reader of it ever ends
    put(tmp_path, PLACE, WHOLE)
    assert after_a_kill(tmp_path) == {PLACE: None}
    assert "Traceback" not in capfd.readouterr().err


OWN = ["CT_small.dcm", "MR_truncated.dcm", "rtplan_truncated.dcm", "no_meta_group_length.dcm", "DICOMDIR"]


@pytest.mark.parametrize("path", [None, "sub-{subject}/{Modality}/{InstanceNumber}.dcm"])
def test_the_files_of_the_user_stay_as_they_are(tmp_path: Path, path: str | None) -> None:
    for name in OWN:
        put(tmp_path, f"mine/{name}", Path(str(pydicom.data.get_testdata_file(name))).read_bytes())
    # A folder of the same form, with another study.
    put(tmp_path, "9.1/9.2/9.3.dcm", WHOLE)
    put(tmp_path, "9.1/9.2/9.4.dcm", as_file(WHOLE)[:-3])
    put(tmp_path, "notes/today/9.dcm", b"")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after_a_kill(tmp_path, **({"path": path} if path else {})) == {}
    assert {path: path.read_bytes() for path in before} == before
    assert aside(tmp_path) == []


def test_files_in_quarantine_have_a_record_again(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, port=servers.free_port(), allow=["127.0.0.1"]) as receiver:
        damaged = replace(instance(uid="1.2.9"), source=lambda: WHOLE.read()[:-3])
        assert receiving.send(receiver, WHOLE, damaged) == [0, 0]
        before = receiver.manifest()
    (tmp_path / ".dicomove" / "record.sqlite").unlink()
    found = after_a_kill(tmp_path)
    assert sorted(found) == sorted(before["path"])
    assert sorted(str(reason).split(":")[0] for reason in found.values()) == [
        "damaged",
        "the receiver was killed before it recorded the reason",
    ]
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


BOMB = """
import resource, sys
from pathlib import Path
from dicomove.receiver.paths import DEFAULT
from dicomove.receiver.placing import FileStore
from dicomove.receiver.own_process.recovery import recover
from dicomove.store.instances import InstanceIndex
folder = Path(sys.argv[1])
files, index = FileStore(folder), InstanceIndex(folder)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert recover(folder, index, files, DEFAULT)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_deflated_bomb_needs_no_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    data = packer.compress(WHOLE.read()[:-14] + b"\0\0" + (100_000_000).to_bytes(4, "little"))
    data += b"".join(packer.compress(bytes(10_000_000)) for _ in range(10)) + packer.flush()
    put(tmp_path, PLACE, replace(WHOLE, transfer_syntax=DeflatedExplicitVRLittleEndian, source=lambda: data))
    command = [sys.executable, "-c", BOMB, str(tmp_path)]
    kibibytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(kibibytes) < 60_000


def test_a_record_that_cannot_be_written_is_written_by_the_next_receiver(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, PLACE, WHOLE)
    files, index = FileStore(tmp_path), InstanceIndex(tmp_path)
    index.close()
    was_killed(tmp_path)
    with owned(tmp_path, Process.of(os.getpid())) as ownership:
        assert ownership.needs_recovery
        ownership.needs_recovery = not recovery.recover(tmp_path, index, files, DEFAULT)
        assert ownership.needs_recovery
    assert "cannot be recorded" in caplog.text
    with receiving.receiver(tmp_path) as receiver:
        assert receiver.manifest()["path"].tolist() == [PLACE]
    with owned(tmp_path, Process.of(os.getpid())) as ownership:
        assert not ownership.needs_recovery


def test_the_next_receiver_looks_for_files_if_this_one_failed(tmp_path: Path) -> None:
    (tmp_path / ".dicomove").mkdir()

    def fail() -> None:
        with owned(tmp_path, Process.of(os.getpid())):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with owned(tmp_path, Process.of(os.getpid())) as ownership:
        assert ownership.needs_recovery


# The time that it takes.


def test_many_files_are_recorded_in_few_transactions(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_BATCH", 10)
    monkeypatch.setattr(recovery, "_SIGN_S", 0)
    names = [put(tmp_path, f"1.2.3/1.2.3.1/1.2.{number}.dcm", instance(uid=f"1.2.{number}")) for number in range(25)]
    files, index = FileStore(tmp_path), InstanceIndex(tmp_path)
    added: list[int] = []
    index._connection.set_trace_callback(lambda text: added.append(1) if text == "COMMIT" else None)
    with caplog.at_level(logging.INFO, "dicomove.receiver"):
        assert recovery.recover(tmp_path, index, files, DEFAULT)
    assert len(set(index.arrivals())) == len(names)
    assert len(added) == 3
    assert "25 so far" in caplog.text
    index.close()


SLOW = """
import sys, time
for number in range(6):
    print('["Logged", {"level": 20, "text": "sign of life"}]', flush=True)
    time.sleep(0.5)
print('["Ready", {"port": 4711}]', flush=True)
sys.stdin.read()
"""


def test_a_start_may_take_long_with_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "own_program", lambda _: [sys.executable, "-S", "-c", SLOW])
    monkeypatch.setattr(process, "_START_S", 2.5)
    with receiving.receiver(tmp_path) as receiver:
        assert receiver.port == 4711
