"""manifest-sha256.txt: checked by sha256sum, and by `verify` where there is no record."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.errors import JournalError, ReceiverError
from dicomove.store import JOURNAL_FILE, write_checksums
from dicomove.store.manifest import read_hashes, write_hashes as write
from dicomove.testing import demo_pacs
from tests import receiving

COHORT = Path(__file__).parents[1] / "datasets" / "demo_cohort.csv"


def checked(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sha256sum", "--strict", "-c", "manifest-sha256.txt"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("received")
    with receiving.receiver(folder) as receiver, demo_pacs(destinations=receiver.as_destination()) as pacs:
        dm.move(dm.find(dm.read_cohort(COHORT), pacs, progress=False), pacs, receiver, progress=False)
    return folder


def test_sha256sum_checks_it(received: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(received, folder)
    assert write_checksums(folder) == folder / "manifest-sha256.txt"
    done = checked(folder)
    assert (done.returncode, done.stdout.count(": OK\n")) == (0, 27)
    assert set(dm.verify(folder)["verified"]) == {"ok"}
    first = next(folder.rglob("*.dcm"))
    first.write_bytes(first.read_bytes()[:-1] + b"?")
    assert checked(folder).returncode == 1


def test_verify_reads_it_where_there_is_no_record(received: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(received, folder)
    write_checksums(dm.read_manifest(received), folder / "manifest-sha256.txt")
    shutil.rmtree(folder / ".dicomove")
    assert set(dm.verify(folder)["verified"]) == {"ok"}
    changed, gone, *_ = sorted(folder.rglob("*.dcm"))
    changed.write_bytes(b"?")
    gone.unlink()
    (folder / "more.txt").touch()
    assert dm.verify(folder)["verified"].value_counts().to_dict() == {
        "ok": 25,
        "hash_differs": 1,
        "missing": 1,
        "unrecorded": 1,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="files of Linux that cannot be read")
def test_a_file_that_cannot_be_read_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").symlink_to("/proc/self/mem")
    os.mkfifo(tmp_path / "pipe.dcm")
    hashes = [(name, "0" * 64) for name in ("broken.dcm", "gone.dcm", "pipe.dcm")]
    write(tmp_path / "manifest-sha256.txt", hashes)
    assert dm.verify(tmp_path).set_index("path")["verified"].to_dict() == {
        "broken.dcm": "unreadable",
        "gone.dcm": "missing",
        "pipe.dcm": "missing",
    }


def test_names_that_sha256sum_escapes_are_read_back(tmp_path: Path) -> None:
    names = ["a b.dcm", "back\\slash", "new\nline", "größe", " leading"]
    for name in names:
        (tmp_path / name).touch()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    write(tmp_path / "manifest-sha256.txt", [(name, empty) for name in names])
    assert checked(tmp_path).returncode == 0
    assert read_hashes(tmp_path / "manifest-sha256.txt") == [(name, empty) for name in names]
    assert set(dm.verify(tmp_path)["verified"]) == {"ok"}


def test_files_of_sha256sum_are_read(tmp_path: Path) -> None:
    names = ["new\nline", "back\\slash", "back\\nslash", "cr\rx", "größe", "*star", " lead", "\u2028", "%41", "-dash"]
    names.append(os.fsdecode(b"\xff\xfe.dcm"))
    for name in names:
        (tmp_path / name).write_text(name, errors="surrogateescape")
    listing = tmp_path.with_suffix(".txt")
    for options in ([], ["--binary"]):
        with listing.open("wb") as file:
            subprocess.run(["sha256sum", *options, "--", *names], cwd=tmp_path, stdout=file, check=True)
        found = dm.verify(listing, folder=tmp_path)
        assert found["verified"].tolist() == ["ok"] * len(names)
        assert "??.dcm" in found["path"].tolist()
    # As an editor on Windows saves it.
    lines = listing.read_bytes().split(b"\n")
    listing.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    assert dm.verify(listing, folder=tmp_path)["verified"].tolist() == ["ok"] * len(names)
    write(tmp_path / "manifest-sha256.txt", [])
    assert dm.verify(tmp_path)["verified"].tolist() == ["unrecorded"] * len(names)


@pytest.mark.parametrize("name", ["/etc/hostname", "../x", "a/../../x"])
def test_a_line_that_leads_out_of_the_folder_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "manifest-sha256.txt").write_text(f"{'0' * 64}  {name}\n")
    with pytest.raises(ReceiverError, match=r"line 1 of .* names a file outside of the folder"):
        dm.verify(tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nothing", "file"):
        with pytest.raises(dm.errors.ReceiverError, match="there is no folder"):
            dm.verify(tmp_path / name)


def test_an_empty_folder_is_an_error_unless_a_receiver_has_a_record_there(tmp_path: Path) -> None:
    with pytest.raises(dm.errors.ReceiverError, match="neither files nor the record of a receiver"):
        dm.verify(tmp_path)
    with dm.Receiver(tmp_path, port=0):
        pass
    assert dm.verify(tmp_path)["verified"].tolist() == []


def test_a_line_of_another_form_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "manifest-sha256.txt").write_text("abc  image.dcm\n")
    with pytest.raises(ReceiverError, match="line 1 of"):
        dm.verify(tmp_path)


def test_a_folder_without_record_has_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ReceiverError):
        write_checksums(tmp_path)
    with pytest.raises(ValueError, match="columns path and sha256"):
        write_checksums(dm.read_cohort(COHORT), tmp_path / "x")


def test_export_writes_it_and_verify_compares_with_it(received: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(received, folder)
    written = dm.export(folder, folder / "manifest-sha256.txt")
    assert checked(folder).returncode == 0
    from_journal = dm.export(folder / JOURNAL_FILE, tmp_path / "manifest-sha256.txt")
    assert from_journal.read_bytes() == written.read_bytes()
    assert set(dm.verify(written)["verified"]) == set(dm.verify(from_journal, folder=folder)["verified"]) == {"ok"}
    changed, gone, *_ = sorted(folder.rglob("*.dcm"))
    changed.write_bytes(b"?")
    gone.unlink()
    counts = dm.verify(written)["verified"].value_counts().to_dict()
    assert counts == {"ok": 25, "hash_differs": 1, "missing": 1}
    with pytest.raises(ReceiverError, match="there is no file"):
        dm.verify(tmp_path / "none" / "manifest-sha256.txt")
    with pytest.raises(JournalError, match="there is no"):
        dm.export(tmp_path / "none", tmp_path / "manifest-sha256.txt")
