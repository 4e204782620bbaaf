"""Systems other than Linux, as far as one can simulate them: see tests/other_system."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dicomove.receiver.own_process.open_file import OpenFile

OTHER_SYSTEM = Path(__file__).with_name("other_system")
ROOT = Path(__file__).parents[1]
COMPLETE = ["complete"] * 3


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the simulation looks into Linux's /proc")


def there(tmp_path: Path, *command: str) -> str:
    """Run Python on the other system, and return what it prints."""
    log = tmp_path / "log"
    log.mkdir()
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(OTHER_SYSTEM), *before, str(ROOT)]),
        "OTHER_SYSTEM_LOG": str(log),
    }
    ran = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran.stdout


@on_linux
def test_the_other_system_lacks_what_it_should(tmp_path: Path) -> None:
    code = """
import os, pathlib, tempfile
assert not any(hasattr(os, name) for name in ("writev", "pread", "preadv", "posix_fadvise", "fork"))
try:
    import fcntl
except ImportError:
    print("no fcntl")
assert not pathlib.Path("/proc/self/stat").exists()
with tempfile.NamedTemporaryFile() as file, open(file.name, "rb") as reading:
    renames, removes = lambda: os.rename(file.name, file.name + "2"), lambda: os.unlink(file.name)
    for act in (renames, removes, lambda: os.fsync(reading.fileno())):
        try:
            act()
        except OSError as error:
            print(type(error).__name__)
os._exit(0) if print(flush=True) is None else None
"""
    assert there(tmp_path, "-c", code).split() == ["no", "fcntl", "PermissionError", "PermissionError", "OSError"]


@on_linux
def test_images_arrive_on_a_system_like_windows(tmp_path: Path) -> None:
    found = json.loads(there(tmp_path, str(OTHER_SYSTEM / "retrieve_there.py"), str(tmp_path)))
    # The kernel and every process of a receiver were such a system.
    assert {str(pid) for pid in found["pids"]} <= {path.name for path in (tmp_path / "log").iterdir()}
    assert len(set(found["pids"])) == 4
    assert found["start"] == "spawn"
    assert (found["first"], found["whole"], found["journal"]) == (COMPLETE, True, 3)
    assert (found["again"], found["resumed"], found["lost is back"]) == (COMPLETE, 2, True)
    assert found["verified"] == ["ok"]
    assert (found["duplicates"], found["repaired"], found["changed is back"]) == (COMPLETE, COMPLETE, True)
    assert (found["got"], found["got whole"]) == (COMPLETE, True)
    assert found["by workers"] == COMPLETE
    assert found["killed"] == COMPLETE


def test_a_file_is_read_and_made_durable_under_its_new_name(tmp_path: Path) -> None:
    file = OpenFile(tmp_path / "new.part")
    assert file.write([b"abcd"]) == 4
    with file.released():
        (tmp_path / "new.part").rename(tmp_path / "new.dcm")
        file.path = tmp_path / "new.dcm"
    assert file.read(2, 1) == b"bc"
    file.synchronise()
    file.close()
    for act in (file.synchronise, lambda: file.read(1, 0), lambda: file.write([b"x"])):
        with pytest.raises(OSError, match="closed"):
            act()
