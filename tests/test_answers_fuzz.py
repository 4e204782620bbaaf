"""Mutated answers over real sockets: each request ends in time, and with nothing but an error of dicomove.

``DICOMOVE_FUZZ=5000 pytest tests/test_answers_fuzz.py`` tries as many; 300 are tried by default.
"""

from __future__ import annotations

import gc
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.testing.raw import (
    Accept,
    FinishSending,
    RawConnection,
    ReadRequest,
    Respond,
    ScriptedPeer,
    Step,
    damaged,
    pdus,
)
from tests import servers
from tests.exchanges import EXCHANGES, echo, find, move

pytestmark = pytest.mark.timeout(3600)

TRIES = int(os.environ.get("DICOMOVE_FUZZ", "300"))


class Damaged:
    """A step that sends an answer with a few places damaged, or its PDUs in another order or repeated."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, connection: RawConnection) -> None:
        chance = random.Random(self.seed)
        exchange = chance.choice(list(EXCHANGES.values()))
        parts = [pdus.p_data(item) for one in (*exchange.pending, exchange.final) for item in one.pdvs(connection)]
        if chance.random() < 0.3:
            connection.send(b"".join(chance.choices(parts, k=len(parts) + 1)))
        else:
            damaged(b"".join(parts), self.seed)(connection)


def damaged_accept(seed: int) -> Callable[[RawConnection], None]:
    def step(connection: RawConnection) -> None:
        connection.read_pdu()
        damaged(pdus.associate_answer(connection.associate), seed)(connection)

    return step


def pacs(peer: ScriptedPeer) -> dm.Pacs:
    return dm.Pacs(peer.address, idle_timeout=0.3, first_response_timeout=0.3, association_timeout=0.3)


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
def test_each_request_ends_with_an_error_of_ours_and_leaves_nothing() -> None:
    first = int(os.environ.get("DICOMOVE_FUZZ_SEED", "1"))
    threads, files = threading.active_count(), descriptors()
    words: set[str | None] = set()
    for seed in range(first, first + TRIES):
        ask = (echo, find, move)[seed % 3]
        accept: Step = damaged_accept(seed) if seed % 4 == 0 else Accept()
        script: list[Step] = [accept, ReadRequest(), Respond(), ReadRequest(), Damaged(seed), FinishSending()]
        started = time.monotonic()
        try:
            with ScriptedPeer(script) as peer, dm.MoveScu(pacs(peer)) as scu:
                words |= {ask(scu), ask(scu)}
        except Exception as error:  # noqa: BLE001 (whatever it is, the seed has to be told)
            pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
        assert time.monotonic() - started < 20, f"seed {seed}"
    assert {None, "invalid_response", "connection_lost"} <= words
    servers.wait_until(lambda: threading.active_count() <= threads)
    servers.wait_until(lambda: descriptors() <= files)
