"""The moving process while a cell computes: pure Python that never gives up the interpreter by itself."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial

from benchmarks.receiving.contestants import IN_KERNEL, REFERENCE, Contestant, Stand, Turn
from benchmarks.receiving.workloads import Held

BUSY, ELSEWHERE = "kernel busy", "another process busy"


@contextmanager
def thread_that_computes() -> Iterator[None]:
    """Occupy the interpreter of this process, and a core."""
    done = threading.Event()
    thread = threading.Thread(target=_compute, args=(done.is_set,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def process_that_computes() -> Iterator[None]:
    """Occupy a core, and not this process: what is left is the price of the core."""
    with subprocess.Popen([sys.executable, "-c", "while True: sum(range(1000))"]) as process:
        try:
            yield
        finally:
            process.kill()


def _compute(is_done: Callable[[], bool]) -> None:
    total = 0
    while not is_done():
        for number in range(10_000):
            total += number % 7


def contestants() -> tuple[Contestant, ...]:
    """dicomove and pynetdicom, each beside itself with a busy kernel."""
    return (
        REFERENCE,
        _while(REFERENCE, BUSY, thread_that_computes),
        _while(REFERENCE, ELSEWHERE, process_that_computes),
        IN_KERNEL,
        _while(IN_KERNEL, BUSY, thread_that_computes),
    )


def renamed(held: Held) -> Held:
    """Take the same studies under a name of their own."""
    workload = held.workload
    title = f"{workload.title}, while the kernel computes"
    return replace(held, workload=replace(workload, name=f"busy {workload.name}", title=title))


def _while(contestant: Contestant, what: str, load: Callable[[], AbstractContextManager[None]]) -> Contestant:
    name = f"{contestant.name}, {what}"
    return replace(contestant, name=name, how=f"{contestant.how}; {what}", open=partial(_open, contestant, load))


@contextmanager
def _open(contestant: Contestant, load: Callable[[], AbstractContextManager[None]], turn: Turn) -> Iterator[Stand]:
    with contestant.open(turn) as stand:
        yield replace(stand, move=partial(_under, load, stand.move))


def _under(load: Callable[[], AbstractContextManager[None]], move: Callable[[], object]) -> None:
    with load():
        move()
