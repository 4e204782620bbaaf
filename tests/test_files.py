"""A file that replaces another: as a whole or not at all, and durable before it has its name."""

import os
import threading
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.files import file_sha256, replacing, user_path
from tests import receiving


def test_a_file_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    with replacing(path) as part:
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_where_it_fails_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), replacing(path) as part:
        part.write_text(f"half {1 / 0}")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_at_the_same_time_are_two_files(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    met = threading.Barrier(2)

    def write(letter: str) -> None:
        with replacing(path) as part:
            part.write_text(letter * 3)
            met.wait(10)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert path.read_text() in ("aaa", "bbb")
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_then_name_then_folder_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    seen: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        seen.append((is_folder, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with replacing(path) as part:
        part.write_text("text")
    assert seen == [(False, False), (True, True)]


def test_the_hash_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")  # FIPS 180-2, B.1
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_folder_of_the_user_has_the_sign_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in a folder with the name ~ are lost in a moment: by a command that is to remove that folder."""
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    dm.export(receiving.studies(), "~/cohort.csv")
    with receiving.receiver(Path("~/images")) as receiver, receiving.pacs(receiver) as pacs:
        table = dm.read_cohort("~/cohort.csv")
        results = dm.retrieve(
            table, pacs, receiver, journal="~/pull.sqlite", find_journal="~/found.sqlite", progress=False
        )
    dm.export(results, "~/results.csv")
    assert dm.read_results("~/results.csv")["outcome"].tolist() == ["complete"]
    assert len(dm.read_journal("~/pull.sqlite")) == 1
    assert set(dm.verify("~/images")["verified"]) == {"ok"}
    assert len(dm.index("~/images", progress=False)) == 1
    assert list(here.iterdir()) == []


def test_a_user_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_home(path: Path) -> Path:
        raise RuntimeError(path)

    monkeypatch.setattr(Path, "expanduser", without_home)
    assert user_path("~/images") == Path("~/images")
