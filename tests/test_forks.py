"""A program of dicomove that was forked is the process that it would be if it had been started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.processes import Process
from dicomove.testing import RehearsalPacs, Synthetic
from tests import forks

pytestmark = pytest.mark.skipif(subprocess.Popen is not forks.ForkingPopen, reason="only Linux can adopt a process")

ROOT = Path(__file__).parents[1]
RECEIVER = [sys.executable, "-P", str(ROOT / "dicomove" / "start.py"), str(ROOT), "dicomove.receiver.main"]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_it_is_a_child_with_a_session_and_arguments_of_its_own(tmp_path: Path) -> None:
    with dm.Receiver(tmp_path, port=0, host="127.0.0.1") as receiver:
        pid = receiver.pid
        assert parent_of(pid) == os.getpid()
        assert os.getsid(pid) == pid
        own = Process.of(pid)
        assert own.is_alive
        assert own.arguments[-3:] == [str(ROOT), "dicomove.receiver.main", Process.of(os.getpid()).text]
    assert not own.is_alive


def test_each_is_a_process_of_its_own() -> None:
    archive = Synthetic(studies=1, instances=1, size=64)
    with RehearsalPacs(archive) as one, RehearsalPacs(archive) as other:
        assert dm.echo(one).status == dm.echo(other).status == "0x0000"
    for ended in (one, other):
        with pytest.raises(dm.DicomoveError):
            dm.echo(ended)


def test_its_end_is_told_as_that_of_a_program() -> None:
    process = subprocess.Popen([*RECEIVER, "1:1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.poll() is None
        process.kill()
        assert process.wait(30) == -signal.SIGKILL


def test_it_has_its_session_as_soon_as_its_number_is_known() -> None:
    for _ in range(25):
        with subprocess.Popen(forks.python("-c", "pass"), start_new_session=True) as process:
            assert os.getpgid(process.pid) == process.pid


def test_its_folder_its_environment_and_its_errors_are_those_that_were_asked_for(tmp_path: Path) -> None:
    told = []
    for program in (RECEIVER, [RECEIVER[0], "-B", *RECEIVER[1:]]):
        process = subprocess.Popen(
            [*program, "1:1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": "relative"},
        )
        out, errors = process.communicate("no settings\n", timeout=60)
        told.append((out, errors.splitlines()[-1], process.returncode))
    forked, started = told
    assert forked == started
    assert started[2] == 1


def test_a_file_that_it_writes_to_stays_open_here(tmp_path: Path) -> None:
    with (tmp_path / "errors").open("w") as errors:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(2):
            process = subprocess.Popen(
                [*RECEIVER, "1:1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, text=True
            )
            process.communicate("no settings\n", timeout=60)
            assert process.returncode == 1
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # the line to the process that forks
        errors.write("still open")
    said = (tmp_path / "errors").read_text()
    assert "still open" in said
    assert "JSONDecodeError" in said


def test_other_programs_are_started_as_ever() -> None:
    assert subprocess.run([sys.executable, "-c", "print(5)"], capture_output=True, check=True).stdout == b"5\n"


PROGRAM = """
import sys, threading, time, warnings
class Kept: pass
print(__name__, sys.argv, sys.path[0], "Kept" in vars(sys.modules["__main__"]), flush=True)
threading.Thread(target=lambda: (time.sleep(0.05), print("a thread", flush=True))).start()
warnings.warn("warned")
{0}
"""
ENDINGS = {
    "end": "",
    "exit": "sys.exit(3)",
    "error": "raise OSError('not caught')",
    "interrupt": "signal = __import__('signal'); signal.raise_signal(signal.SIGINT)",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("kind", ["-c", "a file", "-m"])
def test_a_program_of_a_test_runs_as_if_it_had_been_started(kind: str, ending: str, tmp_path: Path) -> None:
    program = PROGRAM.format(ENDINGS[ending])
    (tmp_path / "program.py").write_text(program)
    arguments = {"-c": ["-c", program], "a file": [str(tmp_path / "program.py")], "-m": ["-m", "program"]}[kind]
    told = []
    for command in (forks.python(*arguments, "one", "two"), [sys.executable, *arguments, "one", "two"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        told.append((done.stdout.splitlines(), done.stderr.splitlines()[-1], done.returncode))
    forked, started = told
    assert forked == started
    assert started[0][-1] == "a thread"
    assert started[0][0].startswith("__main__ ")


def test_a_program_of_a_test_has_loaded_dicomove() -> None:
    program = forks.python("-c", "import sys; print('dicomove.testing' in sys.modules)")
    assert subprocess.run(program, capture_output=True, text=True, check=True).stdout == "True\n"
