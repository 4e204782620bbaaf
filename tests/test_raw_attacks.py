from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.testing.associations import FolderScp, Listener, storing
from tests import servers
from tests.attacks import ATTACKS, AttackResult, attack
from tests.servers import Store

pytestmark = pytest.mark.xdist_group("quiet")

HOST = "127.0.0.1"
OURS = "LISTENER"
SECONDS = 0.2
#: What an attack needs beyond its time on a slow machine.
MARGIN = 10.0
MIB = 1 << 20
IMAGE = next(Synthetic(studies=1, instances=1, size=8192).instances_of_all())

#: What a Storage SCP that waits for the rest, or for the next request, lets happen until the time is over.
STALLS = {
    "silent",
    "half-header",
    "half-associate",
    "no-ae-titles",  # whatever the title, it is served
    "drip",
    "silent-association",
    "half-p-data",
    "no-data-set",
    "data-set-never-comes",
    "small-fragments",
    "endless-empty-fragments",
    "never-reads",
}
LEAVES = {"port-scan", "resets", "resets-in-the-middle"}


@dataclass(frozen=True)
class Scp:
    """A Storage SCP, and where it puts what it gets."""

    port: int
    ae_title: str
    folder: Path

    def attack(self, name: str, seconds: float = SECONDS) -> AttackResult:
        return attack(name, HOST, self.port, self.ae_title, seconds=seconds)

    def store(self) -> None:
        """Store an image properly, and see that it is there."""
        with storing((HOST, self.port), self.ae_title, "GOOD", [IMAGE], ("GOOD", 1)) as send:
            assert send(IMAGE) == 0x0000
        (path,) = self.folder.glob(f"*{IMAGE.sop_instance_uid}*")
        assert path.read_bytes().endswith(IMAGE.read())
        path.unlink()


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scp]:
    folder = tmp_path_factory.mktemp("listener")
    with Listener(FolderScp(folder)) as listening:
        yield Scp(listening.port, OURS, folder)


@pytest.fixture
def dcmtk(store: Store) -> Scp:
    return Scp(store.port, servers.DESTINATION, store.folder)


@pytest.fixture(params=["listener", "dcmtk"])
def scp(request: pytest.FixtureRequest) -> Scp:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Scp)
    return found


def expected_end(name: str) -> str:
    return "timeout" if name in STALLS else "left" if name in LEAVES else "closed"


def test_every_attack_is_expected_here() -> None:
    assert set(ATTACKS) >= STALLS | LEAVES
    assert all(each.about.endswith(".") for each in ATTACKS.values())


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_does_not_affect_other_peers(name: str, scp: Scp) -> None:
    seconds = SECONDS if name in STALLS or scp.ae_title != OURS else MARGIN
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        attacking = pool.submit(scp.attack, name, seconds)
        scp.store()
        result = attacking.result()
    scp.store()
    assert time.monotonic() - started < seconds + MARGIN
    assert result.seconds < seconds + MARGIN
    assert result.sent < 112 * MIB
    assert result.ended in ([expected_end(name)] if scp.ae_title == OURS else ["closed", "left", "timeout"])


def test_the_answers_of_the_scp_are_reported(scp: Scp) -> None:
    assert scp.attack("silent").received == b""
    assert scp.attack("silent-association").received.startswith(b"\x02")  # A-ASSOCIATE-AC


@pytest.mark.parametrize("name", ["pdu-of-4-gib", "p-data-of-2-gib"])
def test_a_lie_about_a_length_costs_no_memory(name: str, listener: Scp) -> None:
    listener.attack(name)
    tracemalloc.start()
    try:
        listener.attack(name)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_many_half_headers_at_once(scp: Scp) -> None:
    with ThreadPoolExecutor(24) as pool:
        attacking = [pool.submit(scp.attack, "half-header", 1.0) for _ in range(24)]
        for _ in range(3):
            scp.store()
        assert {each.result().ended for each in attacking} == {"timeout"}
    scp.store()


def test_everything_at_once_against_a_pacs() -> None:
    with RehearsalPacs(Synthetic(studies=2, instances=2, size=512)) as pacs, ThreadPoolExecutor(len(ATTACKS)) as pool:
        attacking = [
            pool.submit(attack, name, pacs.host, pacs.port, pacs.called_ae_title, seconds=1.0) for name in ATTACKS
        ]
        assert dm.echo(pacs).status == "0x0000"
        assert {each.result().ended for each in attacking} <= {"closed", "left", "timeout"}
        study = next(Synthetic(studies=2, instances=2, size=512).instances_of_all()).study_instance_uid
        with dm.MoveScu(pacs) as mover:
            assert mover.move_study({"StudyInstanceUID": study}, pacs.destination).outcome == "complete"


def test_a_port_without_a_listener() -> None:
    with servers.dead_port() as port:
        result = attack("http", HOST, port, seconds=SECONDS)
    assert (result.ended, result.sent, result.received) == ("refused", 0, b"")
