"""Starts dicomove's own processes as forks of one that has loaded their modules: 20 ms instead of 200.

A test process starts a receiver or a PACS a few hundred times, and Python loads the same modules each time. Here, a
process per program loads them once, and forks. A fork runs the program's own `main`, in a process of its own, with the
arguments, pipes, folder, environment and session that `subprocess.Popen` was called with. The test process becomes its
parent: it waits for it, and kills it, as if it had started it.

`python` does the same for a program of a test that imports dicomove, which takes a second. Other programs that a test
starts use none of this. Neither do the tests in `REAL`, and tests that change what Python reads at its start, or enter
another network. `test_forks.py` compares both ways. ``DICOMOVE_REAL_STARTS=1`` leaves it out.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

#: These are about the start and the end of processes.
REAL: Final = ("tests/test_receiver_death.py", "tests/test_receiver_taken.py", "tests/test_systems.py")
_START: Final = str(Path(__file__).parents[1] / "dicomove" / "start.py")
#: A PACS with faults that a test has written loads all of dicomove, and the module of the test.
_PACS: Final = "dicomove.testing.process"
_WITH_FAULTS_OF_A_TEST: Final = ("-c", f"import {_PACS} as process; process.main()")
_OF_TESTS: Final = ("hypothesis", "pytest", "tests.servers", "dicomove.testing")
#: An option of a Python program, which names what its fork has loaded. Python itself ignores it.
_LOADED: Final = "loaded="
_PR_SET_CHILD_SUBREAPER: Final = 36
_MOST: Final = 1 << 20
_PARENT_S: Final = 0.0005
_CURRENT_TEST: Final = "PYTEST_CURRENT_TEST"
#: As far as tests change it. Libraries set others: GDCM, for its tables, and Dask a PYTHONHASHSEED.
_READ_AT_START: Final = ("PYTHONPATH", "LANG", "LC_ALL", "LD_PRELOAD", "TZ")

_execute: Final = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]  # not in typeshed


class Loaded:
    """The process that has loaded a program, and forks.

    Parameters
    ----------
    command
        The command of the program. Its arguments are also those of this process, since dicomove reads them there.
    environment
        The environment of the process: that of the first fork, since malloc reads it.
    """

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._socket, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            python, *program = command
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [python, "-P", __file__, str(number), *program],
                pass_fds=[number],
                env=environment,
                start_new_session=True,  # an interrupt is for the test
            )

    def fork(self, wanted: dict[str, object], files: Sequence[int]) -> int:
        """Return the number of a new process."""
        with _Adopting():
            socket.send_fds(self._socket, [json.dumps(wanted).encode()], files)
            return int(self._socket.recv(_MOST))

    def end(self) -> None:
        """End the process that forks, and none of its forks."""
        self._socket.close()
        self._process.wait()


class _Adopting:
    """Meanwhile, this process becomes the parent of the children of its children that end."""

    _lock: Final = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def __exit__(self, *_: object) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0)
        self._lock.release()


_loaded: Final[dict[tuple[str, ...], Loaded]] = {}
_loading: Final = threading.Lock()
_first: tuple[str, dict[str, str | None]] | None = None


class ForkingPopen(subprocess.Popen[Any]):
    """A `Popen` that forks dicomove's own programs."""

    def _execute_child(self, *arguments: Any, **keywords: Any) -> None:
        asked = _execute.bind(self, *arguments, **keywords).arguments
        command = list(asked["args"])
        if not (_is_ours(command) and _is_as_at_first()):
            super()._execute_child(*arguments, **keywords)  # type: ignore[misc]  # not in typeshed
            return
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        wanted = {
            "arguments": _arguments(command),
            "environment": environment,
            "folder": os.fspath(asked["cwd"] or Path.cwd()),
            "session": asked["start_new_session"],
        }
        pipes = [asked["p2cread"], asked["c2pwrite"], asked["errwrite"]]
        files = [number if pipe == -1 else pipe for number, pipe in enumerate(pipes)]
        self.pid = _process(command, environment).fork(wanted, files)
        self._child_created = True
        ends = [asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]  # not in typeshed


def python(*arguments: str, loaded: Sequence[str] = ("dicomove.testing",)) -> list[str]:
    """Return the command of a Python program, so that it is a fork of a process that has loaded these modules.

    Examples
    --------
    >>> python("-c", "import dicomove")[1:]
    ['-X', 'loaded=dicomove.testing', '-c', 'import dicomove']
    """
    return [sys.executable, "-X", _LOADED + ",".join(loaded), *arguments]


def _is_ours(command: Sequence[str]) -> bool:
    return (
        command[:3] == [sys.executable, "-P", _START]
        or command == [sys.executable, *_WITH_FAULTS_OF_A_TEST]
        or _has_loaded(command[1:])
    )


def _has_loaded(program: Sequence[str]) -> bool:
    return "".join(program[:2]).startswith("-X" + _LOADED)


def _arguments(command: Sequence[str]) -> Sequence[str]:
    """Return what `main` gets of a command."""
    if _has_loaded(command[1:]):
        return command[3:]
    return command[5:] if command[2] == _START else []


def _is_as_at_first() -> bool:
    return os.environ.get(_CURRENT_TEST, "").partition("::")[0] not in REAL and _surroundings() == _first


def _surroundings() -> tuple[str, dict[str, str | None]]:
    """Return the network of this thread, and what a process reads of the environment when it starts."""
    return str(Path("/proc/thread-self/ns/net").readlink()), {name: os.environ.get(name) for name in _READ_AT_START}


def _process(command: Sequence[str], environment: dict[str, str]) -> Loaded:
    with _loading:
        # All programs that have loaded the same are forks of one process.
        key = tuple(command[:3] if _has_loaded(command[1:]) else command)
        if key not in _loaded:
            _loaded[key] = Loaded(key, environment)
        return _loaded[key]


def use() -> None:
    """Fork from now on, where the system can."""
    global _first
    if sys.platform == "linux" and not os.environ.get("DICOMOVE_REAL_STARTS") and "coverage" not in sys.modules:
        _first = _surroundings()
        subprocess.Popen = ForkingPopen  # type: ignore[misc]  # it is one


def end() -> None:
    """End the processes that fork."""
    with _loading:
        while _loaded:
            _loaded.popitem()[1].end()


def _load(program: Sequence[str]) -> Any:
    """Return the `main` of a program."""
    if _has_loaded(program):
        for name in program[1].removeprefix(_LOADED).split(","):
            importlib.import_module(name)
        return _interpret
    if tuple(program) == _WITH_FAULTS_OF_A_TEST:
        sys.path.insert(0, "")
        for name in _OF_TESTS:
            importlib.import_module(name)
        return importlib.import_module(_PACS).main
    spec = importlib.util.spec_from_file_location("start", program[1])
    if spec is None or spec.loader is None:
        raise AssertionError
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    return start.load(*program[2:4]).main


def _interpret(*arguments: str) -> None:
    """Do what Python does with these arguments."""
    kind, *rest = arguments
    if kind == "-m":
        sys.argv = rest
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        return
    code = rest.pop(0) if kind == "-c" else Path(kind).read_text(encoding="utf-8")
    sys.argv = [kind, *rest]
    sys.path.insert(0, "" if kind == "-c" else str(Path(kind).parent))
    main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(code, "<string>" if kind == "-c" else kind, "exec"), main.__dict__)  # noqa: S102  # the program of a test


def _serve(asking: socket.socket, program: Sequence[str]) -> Callable[[], object] | None:
    """Fork for each request; return what a fork has to do, and ``None`` at the end."""
    main = _load(program)
    gc.collect()
    gc.freeze()
    while True:
        told, files, *_ = socket.recv_fds(asking, _MOST, 3)
        if not told:
            return None
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 and later warn of threads. Here, only numpy's wait, for work that never comes.
            warnings.simplefilter("ignore", DeprecationWarning)
            between = os.fork()
        if not between:
            between = os.getpid()
            if os.fork():
                os._exit(0)
            wanted = json.loads(told)
            if wanted["session"]:
                os.setsid()
            # Only now: jupyter_client asks at once for the group of the process, and kills this group at the end.
            os.write(writing, str(os.getpid()).encode())
            for file in (reading, writing, asking.detach()):
                os.close(file)
            _become(wanted, files, between)
            return lambda: main(*wanted["arguments"])
        # The test process has adopted the fork when the process between them has ended.
        os.waitpid(between, 0)
        os.close(writing)
        asking.send(os.read(reading, _MOST))
        for file in (reading, *files):
            os.close(file)


def _become(wanted: dict[str, Any], files: Sequence[int], between: int) -> None:
    """Be the process that was asked for."""
    while os.getppid() == between:
        time.sleep(_PARENT_S)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    task = _serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
    if task:
        task()
