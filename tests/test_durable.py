"""What reaches the disk before the next step depends on it, as the system calls show (``strace``).

A power cut leaves what was synchronised. So the order is: a file gets its final name when it is whole, then the PACS
gets its answer; the file and its names are synchronised, then the index is committed, then the journal, and then the
row is shown.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from tests import servers
from tests.durable_driver import SOURCE

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("durable")]

_CALLS = "rename,renameat,renameat2,fsync,fdatasync,ftruncate,write,sendto"
_LINE = re.compile(r"(?P<thread>\d+) +(?P<call>\w+)\((?P<arguments>.*)")
_RESUMED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<call>\w+) resumed>")
_PATH = re.compile(r'"([^"]*)"|\d+<([^>]*)>')


@dataclass(frozen=True)
class Call:
    """A system call: when it was complete, or, of what tells others something, when it began."""

    at: int
    thread: str
    name: str
    paths: tuple[str, ...]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("durable")


@pytest.fixture(scope="module")
def calls(root: Path) -> list[Call]:
    return traced(root / "trace", "-m", "tests.durable_driver", str(root / "new" / "images"), str(root / "shown"))


def traced(trace: Path, *arguments: str) -> list[Call]:
    """The system calls of a Python program, and of the processes that it starts."""
    command = [
        servers.program("strace"),
        "-f",
        "-y",
        "-s",
        "200",
        "-e",
        f"trace={_CALLS}",
        "-o",
        str(trace),
        sys.executable,
    ]
    subprocess.run([*command, *arguments], check=True, timeout=100)
    begun: dict[str, str] = {}
    found: list[Call] = []
    for at, line in enumerate(trace.read_text(errors="replace").splitlines()):
        if resumed := _RESUMED.match(line):
            begun_with = begun.pop(resumed["thread"], None)
            if begun_with is not None and " = 0" in line:
                found.append(_call(at, resumed["thread"], resumed["call"], begun_with))
        elif match := _LINE.match(line):
            if "<unfinished" in line and match["call"] not in ("write", "sendto"):
                begun[match["thread"]] = match["arguments"]
            elif match["call"] in ("write", "sendto") or line.endswith(" = 0"):
                found.append(_call(at, match["thread"], match["call"], match["arguments"]))
    return found


def _call(at: int, thread: str, name: str, arguments: str) -> Call:
    return Call(at, thread, name, tuple(quoted or described for quoted, described in _PATH.findall(arguments)))


def renamed(calls: list[Call], study: str) -> list[Call]:
    return [call for call in calls if call.name.startswith("rename") and f"/{study}/" in call.paths[-1]]


def first(calls: list[Call], names: tuple[str, ...], path: Path | str, after: int) -> int:
    """When such a call was complete for the first time after another one."""
    at = [call.at for call in calls if call.name in names and call.paths[:1] == (str(path),) and call.at > after]
    assert at, f"{names} of {path} is missing after line {after}"
    return at[0]


SYNCHRONISED = ("fsync", "fdatasync")
STUDIES = list(dict.fromkeys(one.study_instance_uid for one in SOURCE.instances_of_all()))


@pytest.mark.parametrize("study", STUDIES)
def test_a_row_is_shown_when_all_of_it_is_on_the_disk(root: Path, calls: list[Call], study: str) -> None:
    images = root / "new" / "images"
    files = {Path(call.paths[-1]): call.at for call in renamed(calls, study)}
    assert len(files) == 8
    assert {path.parent.parent for path in files} == {images / study}
    whole = max(first(calls, SYNCHRONISED, path, at) for path, at in files.items())
    folders = {path.parent: at for path, at in files.items()}  # the last file of each series
    named = max(first(calls, SYNCHRONISED, folder, at) for folder, at in folders.items())
    above = max(first(calls, SYNCHRONISED, folder, min(files.values())) for folder in (images / study, images))
    # SQLite commits when it truncates the rollback journal, once the pages are on the disk.
    service = images / ".dicomove"
    pages = first(calls, SYNCHRONISED, service / "record.sqlite", max(whole, named, above))
    indexed = first(calls, ("ftruncate",), service / "record.sqlite-journal", pages)
    pages = first(calls, SYNCHRONISED, service / "journal.sqlite", indexed)
    written = first(calls, ("ftruncate",), service / "journal.sqlite-journal", pages)
    shown = [call.at for call in calls if call.paths == (str(root / "shown"), study)]
    assert len(shown) == 1
    assert written < shown[0]


def test_the_names_of_new_folders_are_on_the_disk(root: Path, calls: list[Call]) -> None:
    for folder in (root, root / "new"):
        first(calls, SYNCHRONISED, folder, 0)


RECOVER = """
import sys
from pathlib import Path
from dicomove.receiver.paths import DEFAULT
from dicomove.receiver.placing import FileStore
from dicomove.receiver.own_process.recovery import recover
from dicomove.store.instances import InstanceIndex
folder = Path(sys.argv[1])
files = FileStore(folder)
assert recover(folder, InstanceIndex(folder), files, DEFAULT)
"""


def test_files_of_a_killed_receiver_are_durable_before_they_are_recorded(tmp_path: Path) -> None:
    images = tmp_path / "images"
    (one,) = islice(SOURCE.instances_of_all(), 1)
    study = images / one.study_instance_uid
    (path,) = servers.write([one], study / one.series_instance_uid).rglob("*.dcm")
    calls = traced(tmp_path / "trace", "-c", RECOVER, str(images))
    durable = max(first(calls, SYNCHRONISED, each, 0) for each in (path, path.parent, study, images))
    first(calls, ("ftruncate",), images / ".dicomove" / "record.sqlite-journal", durable)


def test_the_pacs_has_its_answer_when_the_file_has_its_name(calls: list[Call]) -> None:
    """One association stores one after the other: between two answers, one file got its name."""
    for study in STUDIES:
        stored = renamed(calls, study)
        (thread,) = {call.thread for call in stored}
        begin, end = stored[0].at, stored[-1].at
        steps = [call for call in calls if call.thread == thread and call.at >= begin]
        steps = [call for call in steps if call in stored or is_answer(call)]
        assert [call.name == "sendto" for call in steps] == [False, True] * 8
        assert begin < steps[1].at
        assert end < steps[-1].at


def is_answer(call: Call) -> bool:
    """Whether it sends P-DATA."""
    return call.name == "sendto" and call.paths[-1].startswith("\\4")
