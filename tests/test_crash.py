"""A cohort is pulled from Orthanc while the driver, the receiver or Orthanc is killed at random moments.

`DICOMOVE_CRASHES=300` kills more often; `DICOMOVE_CRASH_SEED=7` at other moments.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Final

import pandas as pd
import pytest

import dicomove as dm
from dicomove.store import JOURNAL_FILE, read_attempts, read_manifest
from dicomove.testing import Synthetic
from tests import crash_driver, receiving, servers

CRASHES = int(os.environ.get("DICOMOVE_CRASHES", "30"))
SEED = int(os.environ.get("DICOMOVE_CRASH_SEED", "1"))
SOURCE = Synthetic(studies=60, series=2, instances=4, size=4000)

#: Each driver is a process of its own that has already loaded what it needs: that takes longer than most of them live.
_LOADED = get_context("forkserver")
_LOADED.set_forkserver_preload(["tests.crash_driver"])

pytestmark = pytest.mark.timeout(120 + 10 * CRASHES)


@dataclass
class Scene:
    """Orthanc and the driver, each of which can be killed and started again."""

    root: Path
    random: random.Random
    concurrency: int
    orthanc_ports: tuple[int, int]
    receiver_port: int
    orthanc: subprocess.Popen[bytes] | None = None
    driver: ForkServerProcess | None = None
    kills: dict[str, int] = field(default_factory=dict)
    complete: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return self.root / "images"

    @property
    def finished(self) -> Path:
        return self.root / "images.csv"

    def start_orthanc(self) -> None:
        self.orthanc = _start([servers.program("Orthanc"), str(self.root / "orthanc.json")], self.root / "orthanc.log")
        servers.wait_until(lambda: all(map(servers.answers, self.orthanc_ports)))

    def start_driver(self) -> None:
        arguments = [self.root / "cohort.csv", self.folder, self.orthanc_ports[0], self.receiver_port, self.concurrency]
        log = self.root / "driver.log"
        self.driver = _LOADED.Process(target=crash_driver.drive, args=(str(log), *map(str, arguments)))
        self.driver.start()

    def receiver_pid(self) -> int | None:
        with suppress(OSError, ValueError):
            return int((self.folder / ".dicomove" / "owner").read_text().partition(":")[0])
        return None

    def kill(self, who: str) -> None:
        victim = self.receiver_pid() if who == "receiver" else getattr(self, who).pid
        with suppress(ProcessLookupError):
            if victim:
                os.kill(victim, signal.SIGKILL)
                self.kills[who] = self.kills.get(who, 0) + 1
        if who == "orthanc" and self.orthanc:
            self.orthanc.wait()
            time.sleep(self.random.uniform(0, 1.5))
            self.start_orthanc()


def _start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)


@contextmanager
def scene(root: Path, seed: int, concurrency: int) -> Iterator[Scene]:
    made = Scene(
        root, random.Random(seed), concurrency, (servers.free_port(), servers.free_port()), servers.free_port()
    )
    configuration = {
        "StorageDirectory": str(root / "storage"),
        "IndexDirectory": str(root / "storage"),
        "Plugins": [],
        "HttpPort": made.orthanc_ports[1],
        "DicomPort": made.orthanc_ports[0],
        "DicomAet": "ORTHANC",
        "AuthenticationEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomModalities": {"DICOMOVE": ["DICOMOVE", "127.0.0.1", made.receiver_port]},
    }
    (root / "orthanc.json").write_text(json.dumps(configuration))
    made.start_orthanc()
    server = servers.Orthanc(*made.orthanc_ports)
    for file in sorted(servers.write(SOURCE.instances_of_all(), root / "source").rglob("*.dcm")):
        server.request("POST", "/instances", file.read_bytes())
    studies = dict.fromkeys(one.study_instance_uid for one in SOURCE.instances_of_all())
    pd.DataFrame({"StudyInstanceUID": list(studies)}).to_csv(root / "cohort.csv", index=False)
    try:
        yield made
    finally:
        if made.driver:
            made.driver.kill()
            made.driver.join()
        if made.orthanc:
            made.orthanc.kill()
            made.orthanc.wait()


def arrivals(folder: Path) -> dict[str, tuple[int, ...]]:
    """For every study that the journal calls complete, how often each of its instances has come."""
    try:
        attempts = read_attempts(folder)
    except dm.errors.JournalError as error:
        if "no run has begun" in str(error):  # the driver was killed before
            return {}
        raise
    done = set(attempts.loc[attempts["outcome"] == "complete", "StudyInstanceUID"])
    return {
        str(study): tuple(rows.sort_values("SOPInstanceUID")["times_received"].astype(int))
        for study, rows in read_manifest(folder).groupby("StudyInstanceUID")
        if study in done
    }


#: What a driver ends with whose receiver was killed before it could start.
_KILLED_AT_ITS_START: Final = "the receiver did not start: its process was killed by SIGKILL\n"


def pull(scene: Scene, most: int) -> None:
    """Pull the cohort to its end, with so many kills at the most, and start again what was killed."""
    scene.start_driver()
    while not scene.finished.exists():
        assert scene.driver is not None
        scene.driver.join(scene.random.uniform(0.2, 1.6))
        if scene.driver.exitcode is not None:
            said = (scene.root / "driver.log").read_text()
            assert scene.driver.exitcode in (0, -signal.SIGKILL) or said.endswith(_KILLED_AT_ITS_START), said
            if (scene.folder / JOURNAL_FILE).exists():
                scene.complete |= arrivals(scene.folder)
            if not scene.finished.exists():
                scene.start_driver()
        elif sum(scene.kills.values()) < most:
            scene.kill(scene.random.choices(["driver", "receiver", "orthanc"], [3, 2, 1])[0])


def assert_right(scene: Scene) -> None:
    """Everything is on disk, equal to its source, recorded once; nothing half-written; no complete row came again."""
    results = dm.read_results(scene.finished)
    assert set(results["outcome"]) == {"complete"}, results["error"].value_counts()
    assert results["received"].tolist() == [8] * 60
    truth = {one.sop_instance_uid: hashlib.sha256(one.read()).hexdigest() for one in SOURCE.instances_of_all()}
    held = {
        uid: hashlib.sha256(receiving.data_set(path)).hexdigest() for uid, path in receiving.files(scene.folder).items()
    }
    assert held == truth
    manifest = read_manifest(scene.folder)
    assert sorted(manifest["SOPInstanceUID"]) == sorted(truth)
    assert manifest["quarantine"].isna().all()
    assert set(dm.verify(scene.folder)["verified"]) == {"ok"}
    assert receiving.partial(scene.folder) == []
    now = arrivals(scene.folder)
    assert {study: now[study] for study in scene.complete} == scene.complete
    assert sorted(read_manifest(scene.folder / JOURNAL_FILE)["SOPInstanceUID"]) == sorted(truth)


def test_nothing_is_lost_whoever_is_killed_and_whenever(tmp_path: Path) -> None:
    kills: Counter[str] = Counter()
    rounds = 0
    while kills.total() < CRASHES:
        rounds += 1
        root = tmp_path / str(rounds)
        root.mkdir()
        with scene(root, SEED + rounds, concurrency=1 + rounds % 3) as made:
            pull(made, CRASHES - kills.total())
            assert_right(made)
            kills.update(made.kills)
        shutil.rmtree(root)  # a thousand kills fill a disk
        # `pytest -s` shows it as it goes.
        sys.stdout.write(f"{kills.total()} kills in {rounds} rounds of 480 instances: {dict(kills)}\n")
