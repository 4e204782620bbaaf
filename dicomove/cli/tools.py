"""The commands that need no PACS of the user: the demo, and what is done with images that are there."""

from __future__ import annotations

import signal
import sys
import threading
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pandas as pd

from dicomove.cli.arguments import receiver_options
from dicomove.cli.output import advice, show, summary, write
from dicomove.cohort import read_cohort
from dicomove.events import StudyReceived
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver
from dicomove.report import report
from dicomove.retrieve import retrieve
from dicomove.store import read_results, verify
from dicomove.verdicts import verdicts


def verify_folder(chosen: Namespace) -> int:
    """Read all files again."""
    if not chosen.folder.is_dir():
        message = f"there is no folder {chosen.folder}: give the folder of a receiver"
        raise NotADirectoryError(message)
    table = verify(chosen.folder)
    if table.empty:
        message = f"the folder {chosen.folder} has no received files: give the folder of a receiver"
        raise LookupError(message)
    said = sys.stderr if write(table, chosen) and chosen.output in (None, "-") else sys.stdout
    print(_verified(table), file=said)
    return int(not (table["verified"] == "ok").all())


def write_report(chosen: Namespace) -> int:
    """Write the page about a run."""
    is_table = chosen.results.suffix.lower() in (".csv", ".parquet", ".json")
    results = read_results(chosen.results) if is_table else chosen.results
    print(report(results, chosen.output, pseudonymize=not chosen.identify))
    return 0


def receive(chosen: Namespace) -> int:
    """Receive whatever comes, and print a line for each study, until the user stops it."""
    # Without a list of addresses, every PACS may send.
    options = {**receiver_options(chosen), "accept": "any"}
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Receiver(chosen.folder, quiet_period=chosen.quiet, on_study=_tell, **options) as receiver:
        print(f"{receiver!r}\nCtrl-C ends it.", file=sys.stderr, flush=True)
        ended.wait()
    return 0


def _tell(study: StudyReceived) -> None:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    print(
        f"{now} {study.study_instance_uid} {study.series} series, {study.instances} instances, {study.bytes} bytes",
        flush=True,
    )


def demo(chosen: Namespace) -> int:
    """Find, move and verify on a demo PACS."""
    # Not at the top: only the demo needs these modules.
    from dicomove.testing.demo import demo_cohort, demo_pacs, demo_receiver
    from dicomove.testing.faults import named

    faults = [named(name) for name in chosen.fault]
    with ExitStack() as stack:
        folder = chosen.receive or Path(stack.enter_context(TemporaryDirectory(prefix="dicomove-demo-")), "images")
        receiver = stack.enter_context(demo_receiver(folder))
        running = stack.enter_context(demo_pacs(faults=faults, destinations=receiver.as_destination()))
        # A PACS with a fault may never answer, and ten minutes are too long for a demo.
        pacs = replace(running, association_timeout=5, idle_timeout=2, first_response_timeout=5)
        print(
            f"A PACS with real images listens at {pacs}.\nIt knows {receiver.ae_title}, a receiver on this machine.\n"
        )
        results = _main_job(chosen.cohort or demo_cohort(), pacs, receiver)
    print(f"\n{summary(results)}\n\n{advice(results)}\n{_NEXT}")
    return 0


def _main_job(path: Path, pacs: Pacs, receiver: Receiver) -> pd.DataFrame:
    print(f"1. cohort = read_cohort({path.name!r})")
    cohort = read_cohort(path)
    print(cohort.to_string(), "\n\n2. results = retrieve(cohort, pacs, receiver)")
    results = retrieve(cohort, pacs, receiver)
    show(results)
    print("\n3. verdicts(cohort, results)")
    said = verdicts(cohort, results)
    show(said)
    print(f"\n4. verify({str(receiver.folder)!r})\n{_verified(verify(receiver.folder))}")
    return said


def _verified(table: pd.DataFrame) -> str:
    """Return the numbers of unchanged and other files, and the names of the other ones."""
    wrong = table.loc[table["verified"] != "ok", ["path", "verified"]]
    counted = table["verified"].value_counts().items()
    lines = ["Files: " + (", ".join(f"{count} {word}" for word, count in counted) or "none") + "."]
    reasons = table["quarantine"].dropna().value_counts()
    lines += [f"  {count} in quarantine: {reason}" for reason, count in reasons.items()]
    return "\n".join([*lines, *(f"  {word}: {path}" for path, word in wrong.itertuples(index=False, name=None))])


_NEXT: Final = """
What to do next:
  - try it in a notebook:      notebooks/01_quickstart.ipynb
  - with your own PACS:        dicomove echo AET@host:port
                               dicomove retrieve cohort.csv AET@host:port --receive images -o results.csv
                               dicomove verify images
  - look up a column:          docs/tables.md"""
