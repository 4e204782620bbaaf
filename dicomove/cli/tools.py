"""The commands without an address of a PACS: the demo, `receive`, and commands for received images."""

from __future__ import annotations

import signal
import sys
import threading
from argparse import Namespace
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TextIO

import pandas as pd

from dicomove.cli.arguments import receiver_options
from dicomove.cli.tables import (
    COMPLETE,
    NOTHING,
    SOME_NOT,
    advice,
    brief,
    print_whole,
    printable,
    show,
    summary,
    table_of,
    write,
)
from dicomove.cohort import read_cohort
from dicomove.errors import ReceiverError
from dicomove.events import StudyReceived
from dicomove.headers import arrange, convert, index
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver
from dicomove.report import report
from dicomove.retrieve import retrieve
from dicomove.store import read_journal, read_results, verify
from dicomove.verdicts import verdicts

_TABLES: Final = (".csv", ".tsv", ".parquet", ".xlsx", ".xlsm", ".xls", ".xlsb")
_SERIES: Final = ("Modality", "SeriesDescription", "instances", "gaps", "duplicates", "is_volume", "path", "error")
_IMAGE: Final = ("Modality", "SeriesDescription", "InstanceNumber", "bytes", "path", "error")
_CONVERTED: Final = ("name", "path", "instances", "outcome", "resumed", "reason")
_MADE: Final = ("converted", "converted_with_warning")
_LOOK_UP_S: Final = 0.5
_MOST: Final = 10
#: The most rows on a screen: a folder may have a hundred thousand files.
_ROWS: Final = 200


def verify_folder(chosen: Namespace) -> int:
    """Read all files again."""
    if not chosen.folder.is_dir():
        message = f"there is no folder {chosen.folder}: give the folder of a receiver"
        raise NotADirectoryError(message)
    table = verify(chosen.folder)
    if table.empty:
        message = f"the folder {chosen.folder} has no received files: give the folder of a receiver"
        raise ReceiverError(message)
    stream = sys.stderr if write(table, chosen) and chosen.output in (None, "-") else sys.stdout
    print(_verified(table), file=stream)
    return int(not (table["verified"] == "ok").all())


def write_report(chosen: Namespace) -> int:
    """Write the page about a run."""
    is_table = chosen.results.suffix.lower() in (".csv", ".parquet", ".json")
    results = read_results(chosen.results) if is_table else chosen.results
    if str(chosen.output) == "-":
        with TemporaryDirectory(prefix="dicomove-") as folder:
            page = report(results, Path(folder, "report.html"), pseudonymize=not chosen.identify)
            print_whole(page.read_text(encoding="utf-8"))
    else:
        print(report(results, chosen.output, pseudonymize=not chosen.identify))
    return 0


def receive(chosen: Namespace) -> int:
    """Receive images from any sender, and print a line for each study, until the user stops it."""
    # Without `--allow`, every PACS may send.
    options = {**receiver_options(chosen), "accept": "any"}
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Receiver(chosen.folder, quiet_period=chosen.quiet, on_study=_print_study, **options) as receiver:
        print(f"{receiver!r}\nCtrl-C ends it.", file=sys.stderr, flush=True)
        while not ended.wait(_LOOK_UP_S):  # short waits: a signal at the beginning of a wait counts only at its end
            pass
    return 0


def _print_study(study: StudyReceived) -> None:
    now = datetime.now().astimezone().isoformat(timespec="seconds")
    print(
        f"{now} {study.study_instance_uid} {study.series} series, {study.instances} instances, {study.bytes} bytes",
        flush=True,
    )


def demo(chosen: Namespace) -> int:
    """Find, move and verify on a demo PACS."""
    # Imported here, because only the demo needs these modules.
    from dicomove.testing.faults import named
    from dicomove.testing.rehearsal import demo_cohort, demo_pacs, demo_receiver

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
    print(printable(cohort.to_string()), "\n\n2. results = retrieve(cohort, pacs, receiver)")
    results = retrieve(cohort, pacs, receiver)
    show(results)
    print("\n3. verdicts(cohort, results)")
    table = verdicts(cohort, results)
    show(table)
    print(f"\n4. verify({str(receiver.folder)!r})\n{_verified(verify(receiver.folder))}")
    return table


def _verified(table: pd.DataFrame) -> str:
    """Return the numbers of files by their state, and the names of files that are not unchanged."""
    wrong = table.loc[table["verified"] != "ok", ["path", "verified"]]
    counted = table["verified"].value_counts().items()
    lines = ["Files: " + (", ".join(f"{count} {word}" for word, count in counted) or "none") + "."]
    reasons = table["quarantine"].dropna().value_counts()
    lines += [f"  {count} in quarantine: {reason}" for reason, count in reasons.items()]
    lines += [f"  {word}: {path}" for path, word in wrong.itertuples(index=False, name=None)]
    return printable("\n".join(lines))


_NEXT: Final = """
What to do next:
  - try it in a notebook:      notebooks/01_quickstart.ipynb of the repository
  - with your own PACS:        dicomove echo AET@host:port
                               dicomove retrieve cohort.csv AET@host:port --receive images -o results.csv
                               dicomove verify images
  - look up a column:          docs/tables.md of the repository"""


def list_series(chosen: Namespace) -> int:
    """Print the series of a folder, or its files."""
    table = index(
        _source(chosen),
        keys=chosen.key,
        more_keys=chosen.more_key or (),
        level=chosen.level,
        folder=chosen.folder,
        processes=chosen.processes,
    )
    stream = _show(table, chosen, _SERIES if chosen.level == "SERIES" else _IMAGE, feeds=True)
    broken = int(table["error"].notna().sum())
    counts = [f"{len(table) - broken} rows"]
    if "is_volume" in table.columns:
        counts.append(f"{int(table['is_volume'].sum())} volumes")
    counts.append(f"{broken} with files that cannot be read")
    print(f"Found: {', '.join(counts)}.", file=stream)
    return _code(len(table) - broken, len(table))


def name_images(chosen: Namespace) -> int:
    """Give images the user's own names."""
    cohort = None if chosen.table is None else _table(chosen)
    made = arrange(chosen.images, chosen.target, chosen.path, how=chosen.how, cohort=cohort, processes=chosen.processes)
    stream = _show(made, chosen, ("path", "arranged", "outcome"))
    print(f"Names: {_counted(made['outcome'])}.", file=stream)
    return _code(len(made), len(made))


def make_nifti(chosen: Namespace) -> int:
    """Convert series to NIfTI."""
    options = {} if chosen.path is None else {"path": chosen.path}
    made = convert(
        _source(chosen),
        chosen.out,
        despite="all" if "all" in chosen.despite else chosen.despite,
        folder=chosen.folder,
        timeout=chosen.timeout,
        processes=chosen.processes,
        **options,
    )
    stream = _show(made, chosen, _CONVERTED)
    print(f"Series: {_counted(made['outcome'])}.", file=stream)
    others = made[made["outcome"] != "converted"]
    counted = Counter(zip(others["outcome"], others["message"], strict=True)).most_common()
    for (outcome, message), count in counted[:_MOST]:
        print(printable(f"  {count} {outcome}: {message}"), file=stream)
    if len(counted) > _MOST:
        print("  and others: see the column message", file=stream)
    return _code(int(made["outcome"].isin(_MADE).sum()), len(made))


def _source(chosen: Namespace) -> Path | pd.DataFrame:
    """Return a folder, a journal, or a table."""
    return _table(chosen) if chosen.table == "-" or chosen.table.lower().endswith(_TABLES) else Path(chosen.table)


def _table(chosen: Namespace) -> pd.DataFrame:
    if chosen.table == "-" or chosen.table.lower().endswith(_TABLES):
        return table_of(chosen)
    return read_journal(chosen.table)


def _show(table: pd.DataFrame, chosen: Namespace, names: tuple[str, ...], *, feeds: bool = False) -> TextIO:
    """Print or write a table; return the stream for its counts and messages."""
    if write(table, chosen, feeds=feeds):
        return sys.stdout if chosen.output not in (None, "-") else sys.stderr
    brief(table.head(_ROWS), names)
    if len(table) > _ROWS:
        print(f"... and {len(table) - _ROWS} more rows: -o FILE writes all")
    return sys.stdout


def _counted(outcomes: pd.Series) -> str:
    return ", ".join(f"{count} {word}" for word, count in outcomes.value_counts().items()) or "none"


def _code(good: int, count: int) -> int:
    if not good:
        return NOTHING
    return COMPLETE if good == count else SOME_NOT
