"""What the receiver puts into its folder, where, and what it refuses."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

import dicomove as dm
from dicomove.dimse.associate import IMPLEMENTATION_CLASS_UID
from dicomove.events import Arriving, Event
from dicomove.logs import SparingLog
from dicomove.testing import Synthetic, faults
from dicomove.testing.archive import Archive, Instance
from dicomove.testing.associations import storing
from dicomove.testing.faults.instances import PRIVATE_SOP_CLASS
from tests import receiving, servers
from tests.receiving import as_file, instance

pytestmark = pytest.mark.timeout(60)

BIG = Synthetic(studies=2, instances=3, size=200_000)


@contextmanager
def plain(folder: Path, **options: object) -> Iterator[dm.Receiver]:
    with receiving.receiver(folder, accept="any", **options) as receiver:
        yield receiver


# The bytes.


def test_every_byte_is_kept_in_every_transfer_syntax(tmp_path: Path, archive: Archive) -> None:
    sent = archive.instances
    with plain(tmp_path) as receiver:
        assert receiving.send(receiver, *sent) == [0] * len(sent)
        manifest = receiver.manifest().set_index("SOPInstanceUID")
    assert len({one.transfer_syntax for one in sent}) >= 12
    for one in sent:
        row = manifest.loc[one.sop_instance_uid]
        path = tmp_path / str(row["path"])
        assert row["path"] == f"{one.study_instance_uid}/{one.series_instance_uid}/{one.sop_instance_uid}.dcm"
        assert receiving.data_set(path) == one.read()
        assert row["bytes"] == path.stat().st_size
        assert (row["SOPClassUID"], row["TransferSyntaxUID"]) == (one.sop_class_uid, one.transfer_syntax)
        meta = read_file_meta_info(path)
        assert meta.MediaStorageSOPClassUID == one.sop_class_uid
        assert meta.MediaStorageSOPInstanceUID == one.sop_instance_uid
        assert meta.TransferSyntaxUID == one.transfer_syntax
        assert meta.FileMetaInformationVersion == b"\0\1"
        assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
        assert path.read_bytes()[:132] == bytes(128) + b"DICM"
        assert path.stat().st_size - len(one.read()) == 132 + 12 + meta.FileMetaInformationGroupLength
        assert dcmread(path).StudyInstanceUID == one.study_instance_uid
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_any_sop_class_is_taken(tmp_path: Path) -> None:
    classes = [PRIVATE_SOP_CLASS, "1.2.840.10008.5.1.4.1.1.3", "1.2.3", "1.2.840.10008.5.1.4.34.7"]
    sent = [
        replace(instance(uid=f"1.2.{number}", SOPClassUID=uid), sop_class_uid=uid) for number, uid in enumerate(classes)
    ]
    with plain(tmp_path) as receiver:
        assert receiving.send(receiver, *sent) == [0] * 4
        assert receiver.manifest()["SOPClassUID"].tolist() == classes
    for one in sent:
        assert dcmread(receiving.files(tmp_path)[one.sop_instance_uid]).file_meta.MediaStorageSOPClassUID in classes


@pytest.mark.parametrize("size", [0, 1, 2, 16_382, 131_072, 1_000_001])
def test_any_size(tmp_path: Path, size: int) -> None:
    sent = instance(pixels=bytes(range(256)) * (size // 256) + bytes(size % 256 // 2 * 2))
    with plain(tmp_path) as receiver:
        assert receiving.send(receiver, sent) == [0]
    assert receiving.data_set(receiving.files(tmp_path)["1.2.3.4.5"]) == sent.read()


def test_the_file_meta_group_is_the_same_whoever_sends(tmp_path: Path) -> None:
    with plain(tmp_path) as receiver:
        receiving.send(receiver, instance(), calling="A")
        before = receiving.files(tmp_path)["1.2.3.4.5"].read_bytes()
        receiving.send(receiver, instance(), calling="B")
        manifest = receiver.manifest()
    assert manifest[["times_received", "calling_ae_title"]].to_numpy().tolist() == [[2, "A"]]
    assert receiving.files(tmp_path)["1.2.3.4.5"].read_bytes() == before


# The paths.


def test_a_template(tmp_path: Path) -> None:
    path = "{PatientID}/{StudyDate}/{Modality}_{SeriesNumber}/x-{SOPInstanceUID}"
    with plain(tmp_path, path=path) as receiver:
        receiving.send(receiver, instance(PatientID="00012", Modality="CT", SeriesNumber="3"))
        (found,) = receiver.manifest()["path"]
    patient, day, series, name = found.split("/")
    assert (patient, series, name) == ("00012", "CT_3", "x-1.2.3.4.5")
    assert day.startswith("~")  # there is none
    assert (tmp_path / found).is_file()


HOSTILE = [
    *("../../../outside", "/etc/passwd", "..", ".", "CON", "nul.txt", "a/b", "a\\b", "*", "1.2.é", "9" * 300),
    *("1.2.3\r\n", "~1.2.3", "C:1.2", "-rf", "$(touch x)", "1.2.3.dcm", "a", "A"),
]


def test_hostile_uids_stay_in_the_folder_and_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "images"
    sent = [
        instance(study=uid, uid=uid, SeriesInstanceUID=uid, PatientID=uid, SpecificCharacterSet="ISO_IR 192")
        for uid in HOSTILE
    ]
    with plain(folder, path="{PatientID}/{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm") as receiver:
        for one in sent:
            assert receiving.send(receiver, one) == [0]
        manifest = receiver.manifest()
    assert len(manifest) == len(HOSTILE)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(folder)] == []
    # A UID that a command set cannot hold is another one there: such an instance is safe in quarantine.
    for one in sent:
        row = manifest[manifest["StudyInstanceUID"] == one.study_instance_uid.strip("\0 ")].iloc[0]
        path = (folder / row["path"]).resolve()
        assert path.is_relative_to(folder)
        assert receiving.data_set(path) == one.read()
    assert len({path.casefold() for path in manifest["path"]}) == len(HOSTILE)
    assert set(dm.verify(folder)["verified"]) == {"ok"}


# The same, and other bytes.


def test_the_same_again_is_one_file(tmp_path: Path) -> None:
    with plain(tmp_path) as receiver:
        for _ in range(3):
            assert receiving.send(receiver, instance()) == [0]
        manifest = receiver.manifest()
    assert manifest["times_received"].tolist() == [3]
    assert len(receiving.files(tmp_path)) == 1
    assert receiving.partial(tmp_path) == []


FIRST, OTHER = instance(pixels=b"first!"), instance(pixels=b"other!")


def test_other_bytes_are_kept_out(tmp_path: Path) -> None:
    with plain(tmp_path, existing="keep") as receiver:
        for one in (FIRST, OTHER, OTHER, FIRST):
            assert receiving.send(receiver, one) == [0]
        manifest = receiver.manifest().sort_values("quarantine", na_position="first")
    assert manifest["SOPInstanceUID"].tolist() == ["1.2.3.4.5"] * 2
    assert manifest["times_received"].tolist() == [2, 2]
    assert manifest["quarantine"].isna().tolist() == [True, False]
    assert "with other bytes" in manifest["quarantine"].iloc[1]
    assert receiving.data_set(receiving.files(tmp_path)["1.2.3.4.5"]) == FIRST.read()
    assert receiving.data_set(tmp_path / manifest["path"].iloc[1]) == OTHER.read()
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_other_bytes_replace(tmp_path: Path) -> None:
    with plain(tmp_path, existing="replace") as receiver:
        receiving.send(receiver, FIRST)
        receiving.send(receiver, OTHER, calling="LATER")
        manifest = receiver.manifest()
    assert manifest[["times_received", "calling_ae_title"]].to_numpy().tolist() == [[1, "LATER"]]
    assert receiving.data_set(receiving.files(tmp_path)["1.2.3.4.5"]) == OTHER.read()
    assert dm.verify(tmp_path)["verified"].tolist() == ["ok"]


def test_both_are_kept(tmp_path: Path) -> None:
    third = instance(pixels=b"third!")
    with plain(tmp_path, existing="keep_both") as receiver:
        for one in (FIRST, OTHER, third, OTHER, FIRST):
            assert receiving.send(receiver, one) == [0]
        manifest = receiver.manifest()
    found = receiving.files(tmp_path)
    assert sorted(found) == ["1.2.3.4.5", "1.2.3.4.5~2", "1.2.3.4.5~3"]
    assert [receiving.data_set(found[name]) for name in sorted(found)] == [FIRST.read(), OTHER.read(), third.read()]
    assert sorted(manifest["times_received"]) == [1, 2, 2]
    assert manifest["SOPInstanceUID"].tolist() == ["1.2.3.4.5"] * 3
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


@pytest.mark.parametrize("mine", [OTHER, instance(uid="1.2.9")], ids=["other bytes", "another instance"])
def test_an_image_that_was_there_before_is_not_overwritten(tmp_path: Path, mine: Instance) -> None:
    there = tmp_path / "1.2.3" / "1.2.3.1" / "1.2.3.4.5.dcm"
    there.parent.mkdir(parents=True)
    there.write_bytes(as_file(mine))
    with plain(tmp_path) as receiver:
        assert receiving.send(receiver, FIRST) == [0]
        assert "with other bytes" in receiver.manifest()["quarantine"].iloc[0]
    assert there.read_bytes() == as_file(mine)


FILE = as_file(FIRST)
PACKED = zlib.compress(FIRST.read(), wbits=-15)
DEFLATED = as_file(replace(FIRST, transfer_syntax=DeflatedExplicitVRLittleEndian, source=lambda: PACKED))

#: What a power cut may leave of a file that was not synchronised, and another program's file.
SPOILT = {
    "empty": b"",
    "zeros": bytes(len(FILE)),
    "cut in the preamble": FILE[:100],
    "cut in the meta group": FILE[:200],
    "cut in the data set": FILE[:-3],
    "cut deflated data": DEFLATED[:-20],
    "zeros in the end": FILE[:-80] + bytes(80),
    "text": b"mine",
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
@pytest.mark.parametrize("path", [None, "sub-{subject}/{Modality}/{InstanceNumber}.dcm"], ids=["UIDs", "own names"])
def test_a_file_that_a_power_cut_spoilt_makes_room(tmp_path: Path, spoilt: bytes, path: str | None) -> None:
    rows, template = receiving.studies().assign(subject="01"), {"path": path} if path else {}
    source = Synthetic(studies=1, instances=1)
    with receiving.receiver(tmp_path / "first", **template) as receiver:
        with receiving.pacs(receiver, source=source) as pacs:
            receiving.move(rows, pacs, receiver)
        (name,) = receiver.manifest()["path"]
    there = tmp_path / "again" / name
    there.parent.mkdir(parents=True)
    there.write_bytes(spoilt)
    with receiving.receiver(tmp_path / "again", **template) as receiver:
        with receiving.pacs(receiver, source=source) as pacs:
            assert receiving.move(rows, pacs, receiver)["outcome"].tolist() == ["complete"]
        assert receiver.manifest()["path"].tolist() == [name]
    assert there.read_bytes() == (tmp_path / "first" / name).read_bytes()
    (aside,) = (tmp_path / "again" / ".dicomove" / "quarantine").iterdir()
    assert aside.suffix == ".changed"
    assert aside.read_bytes() == spoilt


@pytest.mark.skipif(sys.platform != "linux", reason="a file of Linux that cannot be read")
def test_a_recorded_file_that_cannot_be_read_makes_room(tmp_path: Path) -> None:
    with plain(tmp_path) as receiver:
        receiving.send(receiver, FIRST)
        receiver.flush()
        there = receiving.files(tmp_path)["1.2.3.4.5"]
        there.unlink()
        there.symlink_to("/proc/self/mem")
        assert receiving.send(receiver, FIRST) == [0]
        assert receiver.manifest()["quarantine"].isna().tolist() == [True]
    assert not there.is_symlink()
    assert receiving.data_set(there) == FIRST.read()


# Quarantine.


def test_unrequested_instances_go_to_quarantine(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, allow=["127.0.0.1"]) as receiver:
        assert receiving.send(receiver, instance(), instance(uid="1.2.9")) == [0, 0]
        manifest = receiver.manifest()
        servers.wait_until(lambda: receiver.unrequested == 2, 5)
    assert manifest["quarantine"].tolist() == ["unrequested"] * 2
    assert manifest["StudyInstanceUID"].tolist() == ["1.2.3"] * 2
    assert receiving.files(tmp_path) == {}
    assert [dcmread(tmp_path / path).SOPInstanceUID for path in manifest["path"]] == ["1.2.3.4.5", "1.2.9"]
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


WHOLE = instance().read()


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (replace(instance(), source=lambda: b""), "empty"),
        (replace(instance(), source=lambda: WHOLE[:-3]), "ends inside of (7FE0,0010)"),
        (replace(instance(), source=lambda: WHOLE[:40]), "damaged"),
        (replace(instance(), source=lambda: bytes(range(255, 0, -1)) * 9), "damaged"),
        (instance(StudyInstanceUID=""), "no StudyInstanceUID"),
        (instance(SeriesInstanceUID=""), "no SeriesInstanceUID"),
        (instance(SOPInstanceUID=""), "no SOPInstanceUID"),
        (instance(SOPInstanceUID="1.2.3.4.6"), "names another instance"),
    ],
)
def test_damaged_instances_go_to_quarantine(tmp_path: Path, sent: Instance, reason: str) -> None:
    with plain(tmp_path) as receiver:
        assert receiving.send(receiver, sent) == [0]
        manifest = receiver.manifest()
    assert manifest["quarantine"].iloc[0].startswith("damaged: ")
    assert reason in manifest["quarantine"].iloc[0]
    assert receiving.files(tmp_path) == {}
    kept = (tmp_path / manifest["path"].iloc[0]).read_bytes()
    assert kept.endswith(sent.read())
    assert dm.verify(tmp_path)["verified"].tolist() == ["ok"]


def test_nothing_is_left_of_an_instance_that_does_not_end(tmp_path: Path) -> None:
    with plain(tmp_path) as receiver, servers.relay(receiver.port) as relay:
        big = instance(pixels=bytes(8_000_000))

        def cut() -> None:
            servers.wait_until(lambda: bool(receiving.partial(tmp_path)))
            relay.cut()

        with (  # noqa: PT012 (the line is cut while it is in use)
            receiving.slow_line(relay.port, piece=1 << 14) as slow,
            pytest.raises(dm.errors.AssociationError),
            storing(("127.0.0.1", slow), "DICOMOVE", "PEER", [big], ("O", 1)) as store,
        ):
            cutting = threading.Thread(target=cut)
            cutting.start()
            store(big)
        cutting.join()
        servers.wait_until(lambda: not receiving.partial(tmp_path), 10)
        assert receiver.manifest().empty
    assert receiving.files(tmp_path) == {}


def test_a_large_instance_is_seen_to_come(tmp_path: Path) -> None:
    """It may be the only one of its row, with hundreds of frames."""
    source = Synthetic(studies=1, instances=1, size=1_000_000)
    seen: list[Event] = []
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.slow_line(receiver.port, piece=1 << 15) as slow,
        receiving.pacs({receiver.ae_title: ("127.0.0.1", slow)}, source=source) as pacs,
    ):
        result = receiving.move(receiving.studies(source), pacs, receiver, progress=seen.append)
    assert result["outcome"].tolist() == ["complete"]
    coming = [event.bytes for event in seen if isinstance(event, Arriving) and not event.instances]
    assert coming == sorted(set(coming))
    assert coming


# What cannot be stored.


def test_a_folder_that_is_blocked(tmp_path: Path) -> None:
    rows = receiving.studies(count=2)
    blocked = tmp_path / rows["StudyInstanceUID"][0]
    blocked.write_text("a file where a folder must go")
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver) as pacs:
        result = receiving.move(rows, pacs, receiver)
        assert result["outcome"].tolist() == ["failed", "complete"]
        assert receiving.row(result[:1], "error", "received", "missing", "failed") == ("missing_instances", 0, 6, 0)
        assert (
            "6 are in quarantine: its place in the folder cannot be used (Not a directory)" in result["advice"].iloc[0]
        )
        assert receiving.partial(tmp_path) == []
        blocked.unlink()
        assert receiving.move(rows, pacs, receiver)["outcome"].tolist() == ["complete", "complete"]


def test_a_path_that_is_blocked_is_not_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = receiving.studies()
    tmp_path.joinpath("SYN000001").write_text("a file where a folder must go")
    template = "{PatientID}/{SOPInstanceUID}.dcm"
    with receiving.receiver(tmp_path, path=template) as receiver, receiving.pacs(receiver) as pacs:
        result = receiving.move(rows, pacs, receiver)
        assert receiving.row(result, "error", "failed") == ("missing_instances", 0)
    told = [record.getMessage() for record in caplog.records if record.name == "dicomove.receiver"]
    assert [one.rpartition(": ")[2] for one in told] == ["Not a directory"]  # and not one for each of the six


def _link_to_another_disk(path: Path) -> None:
    other = Path("/dev", "shm")
    if not other.is_dir() or other.stat().st_dev == path.parent.stat().st_dev:
        pytest.skip("there is no other disk")
    path.symlink_to(tempfile.mkdtemp(dir=other))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make a folder into which no user may write; the administrator cannot either."""
    folder.mkdir()
    folder.chmod(0o500)
    changed = os.geteuid() == 0 and subprocess.run(["chattr", "+i", str(folder)], check=False, stderr=subprocess.PIPE)
    if changed and changed.returncode:
        pytest.skip("this file system has no such folders")
    try:
        yield
    finally:
        if changed:
            subprocess.run(["chattr", "-i", str(folder)], check=True)
        folder.chmod(0o700)


def test_what_cannot_go_into_a_folder_without_permission_is_recorded_in_quarantine(tmp_path: Path) -> None:
    with read_only(tmp_path / "1.2.3"), plain(tmp_path) as receiver:
        assert receiving.send(receiver, instance(), instance("1.2.4", "1.2.4.1")) == [0, 0]
        manifest = receiver.manifest().set_index("SOPInstanceUID")
    assert manifest["quarantine"].isna().tolist() == [False, True]
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


@pytest.mark.parametrize(
    ("path", "block", "options"),
    [
        ("1.2.3", lambda path: path.write_text("a file where a folder must go"), {}),
        ("1.2.3", lambda path: path.symlink_to("nowhere"), {}),
        ("1.2.3", _link_to_another_disk, {}),
        ("1.2.3/1.2.3.1/1.2.3.4.5.dcm", lambda path: path.mkdir(parents=True), {"existing": "replace"}),
    ],
    ids=["a file", "a link to nothing", "a link to another disk", "a folder"],
)
def test_only_a_full_disk_is_refused(
    path: str, block: Callable[[Path], object], options: dict[str, object], tmp_path: Path
) -> None:
    """A PACS may drop the rest of a study after a refusal."""
    block(tmp_path / path)
    with plain(tmp_path, **options) as receiver:
        assert receiving.send(receiver, instance(), instance("1.2.4", "1.2.4.1")) == [0, 0]
        manifest = receiver.manifest().set_index("SOPInstanceUID")
        assert manifest["quarantine"].str.startswith("its place in the folder").tolist() == [True, False]
    assert receiving.partial(tmp_path) == []
    assert set(dm.verify(tmp_path)["verified"]) <= {"ok", "unrecorded"}
    if (tmp_path / path).is_symlink():
        assert receiving.files(tmp_path / path) == {}
        shutil.rmtree((tmp_path / path).readlink(), ignore_errors=True)


def test_a_warning_that_recurs_is_written_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 1.0, 59.0, 60.0, 61.0])
    log = SparingLog(logging.getLogger("dicomove.receiver"), lambda: next(times))
    texts = [f"{free} bytes are free" for free in range(4)]
    written = [log.warning(text, "full") for text in texts]
    assert (written, log.warning("another")) == ([True, False, False, True], True)
    assert caplog.messages == ["0 bytes are free", "3 bytes are free (2 more times since the last line)", "another"]


def test_too_little_space(tmp_path: Path) -> None:
    with receiving.receiver(tmp_path, min_free=1 << 60) as receiver, receiving.pacs(receiver) as pacs:
        result = receiving.move(receiving.studies(), pacs, receiver)
        assert receiving.row(result, "outcome", "error", "received") == ("failed", "storage_failed", 0)
        assert receiver.manifest().empty
    assert receiving.files(tmp_path) == {}
    assert receiving.partial(tmp_path) == []


def test_room_is_what_a_file_may_take(tmp_path: Path) -> None:
    """A quota is as a disk that has fewer bytes than `min_free` promises."""
    folder = tmp_path / "disk"
    with receiving.disk(folder, 64 << 20) as free, receiving.receiver(folder, min_free=0) as receiver:
        if free > 64 << 20:
            pytest.skip("only root may fill a disk: one of its own")
        assert receiver.runs.has_room()
        with (folder / "ballast").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free)
        assert not receiver.runs.has_room()
        (folder / "ballast").unlink()
        assert receiver.runs.has_room()
        shutil.rmtree(folder / ".dicomove" / "incoming")
        assert receiver.runs.has_room(), "no wait helps"


def test_the_status_of_what_cannot_be_stored(tmp_path: Path) -> None:
    with plain(tmp_path, min_free=1 << 60) as receiver:
        sent = [instance(), instance(uid="1.2.4", pixels=bytes(1_000_000)), instance(uid="1.2.5")]
        assert receiving.send(receiver, *sent) == [0xA700] * 3  # over one association, which lives on


def limit_file_size(receiver: dm.Receiver, size: int) -> None:
    """No file of its process may be larger from now on: as a disk that is full, in the middle of a write."""
    _, hard = resource.prlimit(receiver.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(receiver.pid, resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))


def test_a_disk_that_fills_up_in_the_middle_of_an_instance(tmp_path: Path) -> None:
    rows = receiving.studies(BIG, 2)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=BIG) as pacs:
        limit_file_size(receiver, 100_000)
        result = receiving.move(rows, pacs, receiver)
        assert result["outcome"].tolist() == ["failed", "failed"]
        assert result["error"].tolist() == ["storage_failed", "storage_failed"]
        assert result["failed"].tolist() == [3, 3]
        assert receiving.files(tmp_path) == {}
        assert receiving.partial(tmp_path) == []
        limit_file_size(receiver, -1)
        result = receiving.move(rows, pacs, receiver)
        assert result["outcome"].tolist() == ["complete", "complete"]
    receiving.assert_whole(tmp_path, BIG)


def test_too_few_open_files_are_not_a_full_disk(tmp_path: Path) -> None:
    with plain(tmp_path) as receiver:
        receiver.flush()
        open_now = len(list(Path(f"/proc/{receiver.pid}/fd").iterdir()))
        _, hard = resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(receiver.pid, resource.RLIMIT_NOFILE, (open_now + 20, hard))
        sent = [instance(uid=f"1.2.3.9.{number}") for number in range(1, 101)]
        assert receiving.send(receiver, *sent) == [0] * 100
        assert len(receiver.manifest()) == 100
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_a_disk_that_has_no_room_for_the_record(tmp_path: Path) -> None:
    rows = receiving.studies(count=2)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver) as pacs:
        limit_file_size(receiver, 4096)
        result = receiving.move(rows, pacs, receiver)
        assert result["outcome"].tolist() == ["partial", "partial"]
        assert result["error"].tolist() == ["storage_failed", "storage_failed"]
        assert "record cannot be written" in result["advice"].iloc[0]
        limit_file_size(receiver, -1)
        servers.wait_until(lambda: is_durable(receiver), 10)
        assert receiving.move(rows, pacs, receiver)["outcome"].tolist() == ["complete", "complete"]
        assert len(receiver.manifest()) == 12
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_a_record_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    rows = receiving.studies(count=2)
    slow = faults.Latency(seconds=1, studies=(rows["StudyInstanceUID"].iloc[1],))
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, slow) as pacs:
        limit_file_size(receiver, 4096)
        job = dm.start_move(rows, pacs, receiver, progress=False)
        servers.wait_until(lambda: not is_durable(receiver), 10)
        servers.wait_until(lambda: job.results["outcome"].iloc[0] == "complete", 10)
        with suppress(TimeoutError):
            job.wait(1)  # the journal is told meanwhile
        limit_file_size(receiver, -1)
        assert job.wait()["outcome"].tolist() == ["complete", "complete"]
        assert dm.read_journal(receiver)["outcome"].tolist() == ["complete", "complete"]


@pytest.mark.parametrize("retry", [None, 2])
def test_a_folder_that_is_removed_ends_the_run_with_a_table(tmp_path: Path, retry: int | None) -> None:
    folder, rows = tmp_path / "images", receiving.studies(count=6)
    with receiving.receiver(folder) as receiver, receiving.pacs(receiver) as pacs:
        shutil.rmtree(folder)
        result = receiving.move(rows, pacs, receiver, retry=retry, journal=tmp_path / "journal.sqlite")
    assert set(result["error"]) == {"storage_failed"}


PRIVILEGED = """
    import sys, dicomove
    try:
        dicomove.Receiver(sys.argv[1], port=104, host="127.0.0.1")
    except dicomove.errors.ReceiverError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux reserves ports")
def test_a_port_that_is_for_administrators(tmp_path: Path) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 104:
        pytest.skip("this system does not reserve the port")
    drop = [servers.program("setpriv"), "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    program = [*drop, sys.executable, "-c", textwrap.dedent(PRIVILEGED), str(tmp_path)]
    said = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert "port 104: this user may not listen there" in said


def is_durable(receiver: dm.Receiver) -> bool:
    try:
        receiver.flush()
    except dm.errors.ReceiverError:
        return False
    return True


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    incoming = tmp_path / ".dicomove" / "incoming"
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver) as pacs:
        shutil.rmtree(incoming)
        result = receiving.move(receiving.studies(), pacs, receiver)
        assert receiving.row(result, "outcome", "error") == ("failed", "storage_failed")
        incoming.mkdir()
        assert receiving.move(result, pacs, receiver)["outcome"].tolist() == ["complete"]


def test_some_of_a_row_cannot_be_stored(tmp_path: Path) -> None:
    """The path of one series is blocked, that of the other is not."""
    rows = receiving.studies(receiving.LAYERED)
    series = next(receiving.LAYERED.instances_of_all()).series_instance_uid
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=receiving.LAYERED) as pacs:
        (tmp_path / rows["StudyInstanceUID"][0]).mkdir()
        (tmp_path / rows["StudyInstanceUID"][0] / series).write_text("")
        result = receiving.move(rows, pacs, receiver)
    assert receiving.row(result, "outcome", "error", "received", "missing") == ("partial", "missing_instances", 3, 3)


# What contradicts its transfer syntax.


@pytest.mark.parametrize("mislabelled", ["quarantine", "keep"])
def test_native_pixel_data_under_a_compressed_syntax(tmp_path: Path, mislabelled: str) -> None:
    wrong, right = replace(instance(uid="1.2.3.1"), transfer_syntax=JPEGBaseline8Bit), instance(uid="1.2.3.2")
    with plain(tmp_path, mislabelled=mislabelled) as receiver:
        assert receiving.send(receiver, wrong, right) == [0, 0]
        manifest = receiver.manifest().set_index("SOPInstanceUID")
    said = "the pixel data are not compressed"
    assert manifest.loc["1.2.3.2", ["quarantine", "remark"]].isna().all()
    named, other = ("quarantine", "remark") if mislabelled == "quarantine" else ("remark", "quarantine")
    assert said in str(manifest.loc["1.2.3.1", named])
    assert manifest.loc[["1.2.3.1"], other].isna().all()
    assert (tmp_path / "1.2.3" / "1.2.3.1" / "1.2.3.1.dcm").exists() == (mislabelled == "keep")
    assert dm.read_manifest(tmp_path).set_index("SOPInstanceUID")["remark"].equals(manifest["remark"])
    assert dm.verify(tmp_path)["verified"].tolist() == ["ok", "ok"]


def test_a_remark_goes_with_the_file_that_it_is_about(tmp_path: Path) -> None:
    wrong = replace(instance(), transfer_syntax=JPEGBaseline8Bit)
    with plain(tmp_path, mislabelled="keep", existing="replace") as receiver:
        for one, has_remark in ((wrong, True), (wrong, True), (instance(), False), (wrong, True)):
            receiving.send(receiver, one)
            assert receiver.manifest()["remark"].notna().tolist() == [has_remark]
