"""Does the PDU length matter? The one that we receive, for C-FIND and C-MOVE; and the destination's, for instances.

From the root of the repository::

    python -m benchmarks.pdu_length              # prints the tables
    python -m benchmarks.pdu_length --publish    # and puts them into docs/performance.md

Instances go from Orthanc to the destination, and the PDU length that counts for them is the destination's. DCMTK sends
and receives 128 KiB at the most.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial

import dicomove as dm
from benchmarks.paired import Peers, Times, machine, peers, publish, require, rounds, table

LENGTHS = {"16 KiB": 1 << 14, "128 KiB": 1 << 17, "1 MiB": 1 << 20}
STORES = {"16 KiB": "PDU_16", "128 KiB": "PDU_128"}
REFERENCE = "16 KiB"
DESTINATIONS = {title: ("-pdu", str(LENGTHS[name])) for name, title in STORES.items()}


def main() -> None:
    options = _options()
    small = {"studies": options.studies, "instances": 2, "size": 32 * 1024}
    with peers(DESTINATIONS, **small) as there:
        finds = rounds(finding(there, options.finds), options.repeats, lambda _: None)
        moves = rounds(moving(there), options.repeats, there.check)
    large = {"studies": 10, "instances": 20, "size": options.size}
    with peers(DESTINATIONS, **large) as there:
        stores = rounds(storing(there), options.repeats, there.check)
        images = len(there.instances)
    text = "\n".join(
        [
            f"Median (least to most) of {options.repeats} rounds, on {time.strftime('%Y-%m-%d')}: {machine()}.",
            _part(
                finds, f"Ours, C-FIND with {options.studies} matches", "ms per match", options.studies * options.finds
            ),
            _part(moves, "Ours, C-MOVE of 2 instances of 32 KiB", "ms per study", options.studies),
            _part(stores, f"The destination's, instances of {options.size // 1024} KiB", "ms per instance", images),
        ]
    )
    print(text)
    if options.publish:
        publish("pdu_length", text)


def finding(there: Peers, times: int) -> Mapping[str, Callable[[], None]]:
    return {name: partial(find_all, there, length, times) for name, length in LENGTHS.items()}


def moving(there: Peers) -> Mapping[str, Callable[[], None]]:
    return {name: partial(move_all, there, length, "PDU_128") for name, length in LENGTHS.items()}


def storing(there: Peers) -> Mapping[str, Callable[[], None]]:
    return {name: partial(move_all, there, LENGTHS["128 KiB"], title) for name, title in STORES.items()}


def find_all(there: Peers, length: int, times: int) -> None:
    keys = ["StudyDate", "StudyDescription", "AccessionNumber", "ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
    with dm.FindScu(replace_length(there.pacs, length)) as scu:
        for _ in range(times):
            found = scu.find_studies(dict.fromkeys(["StudyInstanceUID", *keys], ""))
            require(len(found) == len(there.studies), f"{len(found)} matches")


def move_all(there: Peers, length: int, destination: str) -> None:
    with dm.MoveScu(replace_length(there.pacs, length)) as scu:
        for uid in there.studies:
            result = scu.move_study({"StudyInstanceUID": uid}, destination)
            require(result.outcome == "complete", result)


def replace_length(pacs: dm.Pacs, length: int) -> dm.Pacs:
    return dm.Pacs(pacs.address, calling_ae_title=pacs.calling_ae_title, max_pdu_length=length)


def _part(times: Times, title: str, unit: str, items: int) -> str:
    rows = [
        (name, times.per_item(name, items, "{:.2f}"), times.ratio(name, REFERENCE) if name != REFERENCE else "1")
        for name in times.seconds
    ]
    return f"\n{title}:\n\n{table(('PDU length', unit, f'time, as a multiple of {REFERENCE}'), rows)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--finds", type=int, default=3, help="C-FINDs in each round")
    parser.add_argument(
        "--size", type=int, default=512 * 1024, help="bytes of pixel data, for the destination's PDU length"
    )
    parser.add_argument("--repeats", type=int, default=9, help="rounds")
    parser.add_argument("--publish", action="store_true", help="write the tables into docs/performance.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
