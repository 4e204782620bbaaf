"""C-MOVE of many small studies: dicomove beside pynetdicom's own SCU and DCMTK's movescu, paired in one run.

From the root of the repository::

    python -m benchmarks.small_studies              # prints the table
    python -m benchmarks.small_studies --publish    # and puts it into docs/performance.md

Every contender moves the same studies from one Orthanc to one DCMTK storescp, which both run with TCP_NODELAY=1: what
differs is the SCU alone. After each turn the files that have arrived are counted.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd
from pydicom import Dataset
from pynetdicom import AE, evt

import dicomove as dm
from benchmarks.paired import Peers, machine, peers, publish, require, rounds, table

DESTINATION = "DESTINATION"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
REFERENCE = "`MoveScu`, one association"


def main() -> None:
    options = _options()
    measured = (
        f"Measured on {time.strftime('%Y-%m-%d')}: {machine()}. Median (least to most) of {options.repeats} rounds."
    )
    text = "\n\n".join([measured, *(measure(options, size) for size in options.size)])
    print(text)
    if options.publish:
        publish("small_studies", text)


def measure(options: argparse.Namespace, size: int) -> str:
    with peers({DESTINATION: ()}, studies=options.studies, instances=options.instances, size=size) as there:
        times = rounds(contenders(there), options.repeats, there.check)
    rows = [
        (name, times.per_item(name, options.studies), times.ratio(name, REFERENCE) if name != REFERENCE else "1")
        for name in times.seconds
    ]
    shape = f"{options.studies} studies of {options.instances} instances of {size // 1024} KiB:"
    return f"{shape}\n\n{table(('', 'ms per study', 'time, as a multiple of the first'), rows)}"


def contenders(there: Peers) -> Mapping[str, Callable[[], None]]:
    pacs, uids = there.pacs, there.studies
    cohort = pd.DataFrame({"StudyInstanceUID": uids})
    found = dm.find(cohort, pacs, progress=False)
    return {
        REFERENCE: partial(move_scu, pacs, uids),
        "`move` of a table from `find`": partial(move_table, pacs, found),
        "`move` of UIDs: a C-FIND for each row": partial(move_table, pacs, cohort),
        "`move` of a table from `find`, `concurrency=2`": partial(move_table, pacs, found, concurrency=2),
        "pynetdicom, one association": partial(pynetdicom, pacs, uids),
        "pynetdicom, an association per study": partial(pynetdicom_per_study, pacs, uids),
        "pynetdicom, one association, no delayed ACK, no Nagle": partial(pynetdicom, pacs, uids, handlers=NO_DELAY),
        "DCMTK `movescu` per study": partial(movescu, pacs, uids),
        "DCMTK `movescu` per study, `TCP_NODELAY=1`": partial(movescu, pacs, uids, TCP_NODELAY="1"),
    }


def move_scu(pacs: dm.Pacs, uids: list[str]) -> None:
    with dm.MoveScu(pacs) as scu:
        for uid in uids:
            result = scu.move_study({"StudyInstanceUID": uid}, DESTINATION)
            require(result.outcome == "complete", result)


def move_table(pacs: dm.Pacs, studies: pd.DataFrame, *, concurrency: int = 1) -> None:
    results = dm.move(studies, pacs, DESTINATION, concurrency=concurrency, progress=False)
    require(set(results["outcome"]) == {"complete"}, results["outcome"].value_counts())


def pynetdicom(pacs: dm.Pacs, uids: list[str], *, handlers: list[Any] | None = None) -> None:
    association = associate(pacs, handlers)
    for uid in uids:
        send_c_move(association, uid)
    association.release()


def pynetdicom_per_study(pacs: dm.Pacs, uids: list[str]) -> None:
    for uid in uids:
        pynetdicom(pacs, [uid])


def associate(pacs: dm.Pacs, handlers: list[Any] | None) -> Any:
    ae = AE(pacs.calling_ae_title)
    ae.add_requested_context(STUDY_ROOT_MOVE)
    association = ae.associate(pacs.host, pacs.port, ae_title=pacs.called_ae_title, evt_handlers=handlers)
    require(association.is_established, "no association")
    return association


def send_c_move(association: Any, uid: str) -> None:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = uid
    *_, (status, _) = association.send_c_move(identifier, DESTINATION, STUDY_ROOT_MOVE)
    require(status.Status == 0, status)


def no_delay(event: Any) -> None:
    sock = event.assoc.dul.socket.socket
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


NO_DELAY = [(event, no_delay) for event in (evt.EVT_CONN_OPEN, evt.EVT_DATA_RECV, evt.EVT_DATA_SENT)]


def movescu(pacs: dm.Pacs, uids: list[str], **environment: str) -> None:
    titles = ["-aet", pacs.calling_ae_title, "-aec", pacs.called_ae_title, "-aem", DESTINATION]
    for uid in uids:
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}"]
        command = ["movescu", "-S", *titles, *keys, pacs.host, str(pacs.port)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--instances", type=int, default=2, help="in each study")
    parser.add_argument(
        "--size", type=int, nargs="+", default=[1 << 15, 1 << 19], help="bytes of pixel data in each instance"
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
