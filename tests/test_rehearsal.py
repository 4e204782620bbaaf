from __future__ import annotations

import gc
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import psutil
import pytest
from pydicom import dcmread

import dicomove as dm
from dicomove.dimse.associate import number_contexts, write_request
from dicomove.dimse.connection import reset
from dicomove.dimse.presentation_contexts import VERIFICATION
from dicomove.processes import Process
from dicomove.testing import RehearsalPacs, RunningPacs, Synthetic, faults
from dicomove.testing.associations import Listener
from dicomove.testing.faults.base import Die
from tests import fault_table, forks, receiving, servers
from tests.codes import STATUSES
from tests.servers import program, wait_until

Start = Callable[..., RunningPacs]
SMALL = Synthetic(studies=4, instances=3, size=128)


def studies(pacs: dm.Pacs, *numbers: int) -> pd.DataFrame:
    return dm.find(pd.DataFrame({"AccessionNumber": [f"{n:06d}" for n in numbers]}), pacs, progress=False)


def outcomes(pacs: RunningPacs, table: pd.DataFrame, **options: object) -> list[str]:
    return dm.move(table, pacs, pacs.destination, progress=False, **options)["outcome"].tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(("fault", "loads"), [(faults.Latency(seconds=0), False), (receiving.SlowStores(), True)])
def test_it_loads_pandas_only_for_a_fault_from_elsewhere_which_may_use_it(fault: faults.Fault, loads: bool) -> None:
    with RehearsalPacs(SMALL, [fault]) as pacs:
        (process,) = (
            child
            for child in psutil.Process().children()
            if any(at.status == psutil.CONN_LISTEN and at.laddr.port == pacs.port for at in child.net_connections())
        )
        loaded = {Path(file.path).parts for file in process.memory_maps()}
    assert loaded
    assert any("pandas" in parts for parts in loaded) == loads


PAGE = (Path(__file__).parents[1] / "docs" / "faults.md").read_text()


#: The rows of the page are tried in so many tests, side by side.
SHARES = 4


@pytest.mark.timeout(400)  # each fault waits for its timeouts, with three moves
@pytest.mark.parametrize("share", range(SHARES))
def test_the_page_of_faults_says_what_happens(share: int) -> None:
    assert fault_table.page(share, SHARES).splitlines() == list(share_of(PAGE, share))


def share_of(page: str, share: int) -> Iterator[str]:
    """The page with a share of the rows of each of its tables."""
    introduction, tables = page.split("## Every fault\n", 1)
    yield from introduction.splitlines()
    row = 0
    for line in ["## Every fault", *tables.splitlines()]:
        row = row + 1 if line.startswith("|") else 0
        if row <= 2 or (row - 3) % SHARES == share:  # text, and the head of a table
            yield line


def table(heading: str) -> list[dict[str, str]]:
    """The rows of a table of the page, by the names of its columns."""
    part = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    header, _, *rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return [dict(zip(header, row, strict=False)) for row in rows]


def names(heading: str) -> set[str]:
    return {row["fault"].split("`")[1] for row in table(heading)}


@pytest.mark.parametrize(("heading", "verdict"), [("Every fault", "receiver"), ("Every fault with C-GET", "outcome")])
def test_on_the_page_a_receiver_says_complete_where_all_is_on_disk_and_only_there(heading: str, verdict: str) -> None:
    for row in table(heading):
        whole = re.match(r"(\d+)/\1(?!\d|, \d+ of them altered)", row["on disk"])
        assert (row[verdict] == "`complete`") == bool(whole), row["fault"]


def test_no_advice_on_a_c_get_speaks_of_a_move_destination() -> None:
    told = [row.get("advice", "") for row in table("Every fault with C-GET")]
    assert len([advice for advice in told if advice]) > 30
    assert [advice for advice in told if re.search("destination|AE title of the receiver|Receiver", advice)] == []


def test_every_fault_is_on_the_page() -> None:
    commands = {name: kind.commands for name, kind in faults.BY_NAME.items()}
    assert names("Every fault") == {name for name, some in commands.items() if some != ("C-GET",)}
    assert names("Every fault with C-GET") == {name for name, some in commands.items() if "C-GET" in some}


def test_every_fault_is_found_by_its_name() -> None:
    assert {name: kind().name for name, kind in faults.BY_NAME.items()} == {name: name for name in faults.BY_NAME}


def test_every_status_has_its_row() -> None:
    assert all(f"`0x{status:04X}`" in PAGE for status in STATUSES)


def test_a_fault_of_some_attempts_passes(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(SMALL, [faults.Nearline(attempts=2)])
    table = studies(pacs, 1, 2)
    assert [outcomes(pacs, table) for _ in range(3)] == [["failed"] * 2, ["failed"] * 2, ["complete"] * 2]


def test_a_fault_of_some_studies_leaves_the_others(rehearsal_pacs: Start) -> None:
    uid = next(SMALL.instances_of_all()).study_instance_uid
    pacs = rehearsal_pacs(SMALL, [faults.AbortsAtResponse(studies=(uid,))])
    assert outcomes(pacs, studies(pacs, 1, 2, 3)) == ["interrupted", "complete", "complete"]


def test_the_seed_decides_what_is_probable(rehearsal_pacs: Start) -> None:
    def run(seed: int) -> list[str]:
        pacs = rehearsal_pacs(
            Synthetic(studies=20, instances=1, size=64), [faults.OutOfResources(probability=0.5)], seed=seed
        )
        return outcomes(pacs, studies(pacs, *range(1, 21)))

    first, again, other = run(1), run(1), run(2)
    assert first == again != other
    assert set(first) == {"complete", "failed"}


def test_a_single_fault_needs_no_list() -> None:
    with RehearsalPacs(SMALL, faults.AnswersFind(status=0xA700)) as pacs:
        found = studies(pacs, 1)
    assert found["status"].tolist() == ["0xA700"]


def test_faults_are_combined(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(SMALL, [faults.NoPendings(), faults.NoZeroCounts(), faults.StoredWithWarnings()])
    result = dm.move(studies(pacs, 1), pacs, pacs.destination, progress=False).iloc[0]
    assert (result["outcome"], result["status"], result["warning"]) == ("complete", "0xB000", 3)
    assert pd.isna(result["completed"])


def test_a_data_set_that_another_fault_has_damaged_is_sent_all_the_same(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(SMALL, [faults.EncapsulatedInNative(), faults.BigEndianInLittle()])
    assert outcomes(pacs, studies(pacs, 1)) == ["complete"]


def test_it_comes_back_after_it_died(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(SMALL, [faults.Dies(attempts=1, back_after_s=0.1)])
    table = pd.DataFrame({"StudyInstanceUID": [next(SMALL.instances_of_all()).study_instance_uid]})
    assert outcomes(pacs, table) == ["interrupted"]
    end = time.monotonic() + 10
    while (again := outcomes(pacs, table)) == ["unreachable"]:
        assert time.monotonic() < end
    assert again == ["complete"]


def test_no_other_program_is_given_its_port_while_it_is_dead() -> None:
    asked, gone = threading.Event(), threading.Event()

    def die(_: int) -> None:
        asked.set()
        assert gone.wait(30)
        raise Die(back_after_s=600)

    with Listener(servers.Sink(), gate=die) as listener:
        address, listening = ("127.0.0.1", listener.port), listener._socket
        client = socket.create_connection(address)
        client.sendall(write_request("PEER", "PACS", number_contexts([(VERIFICATION, ["1.2"])]), 16384, None, []))
        assert asked.wait(30)
        reset(client)  # a connection that is closed by its other end would keep the port for a minute
        gone.set()
        wait_until(lambda: listener._socket is not listening)
        assert not servers.answers(listener.port)
        with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
            other.bind(address)


def test_two_associations_end_it_at_once() -> None:
    orders = threading.Barrier(2)

    class Ends:
        def handle(self, *_: object) -> None:
            orders.wait(30)
            raise Die(back_after_s=0.01)

    def ask(pacs: dm.Pacs) -> None:
        with pytest.raises(dm.DicomoveError):
            dm.echo(pacs)

    for _ in range(20):  # sockets that are not closed, and exceptions in threads, are errors
        with Listener(Ends()) as listener, ThreadPoolExecutor(2) as clients:
            list(clients.map(ask, [dm.Pacs(f"PACS@127.0.0.1:{listener.port}")] * 2))
            wait_until(partial(servers.answers, listener.port))
    gc.collect()


def test_it_writes_down_what_it_was_asked(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(SMALL)
    dm.echo(pacs)
    outcomes(pacs, studies(pacs, 2, 2))
    requests = pacs.requests()
    assert requests["command"].tolist() == ["C-ECHO", "C-FIND", "C-MOVE"]
    assert list(requests["keys"].iloc[2]) == ["StudyInstanceUID"]


def test_a_hundred_thousand_studies_cost_no_disk(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(Synthetic(studies=100_000, instances=1, size=64))
    table = dm.find(pd.DataFrame({"PatientID": ["SYN099999"]}), pacs, progress=False)
    assert outcomes(pacs, table) == ["complete"]
    assert sum(path.stat().st_size for path in pacs.received.parent.rglob("*") if path.is_file()) < 100_000


def test_c_get_of_dcmtk_brings_the_instances_bit_by_bit(rehearsal_pacs: Start, tmp_path: Path) -> None:
    pacs = rehearsal_pacs(SMALL)
    wanted = [one for one in SMALL.instances_of_all() if one.study_instance_uid.endswith(".1")]
    command = [program("getscu"), "-S", "-aec", "REHEARSAL", "-od", str(tmp_path), "127.0.0.1", str(pacs.port)]
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={wanted[0].study_instance_uid}"]
    subprocess.run([*command, *keys], check=True, capture_output=True)
    arrived = {str(dcmread(path).SOPInstanceUID): path.read_bytes() for path in tmp_path.iterdir()}
    assert arrived.keys() == {one.sop_instance_uid for one in wanted}
    assert all(arrived[one.sop_instance_uid].endswith(one.read()) for one in wanted)


def test_the_process_ends_with_the_one_that_started_it() -> None:
    script = (
        "import os, signal; from dicomove.testing import RehearsalPacs, Synthetic\n"
        "pacs = RehearsalPacs(Synthetic(studies=1, instances=1, size=64)); running = pacs.__enter__()\n"
        "print(pacs._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(forks.python("-c", script), capture_output=True, text=True, check=False)
    wait_until(lambda: not Process.of(int(killed.stdout)).is_alive, 10)
