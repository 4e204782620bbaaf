"""The same verbs in a shell: ``dicomove demo | echo | retrieve | find | move | verify``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, get_args

import pandas as pd

from dicomove.cohort import LEVELS, QUERY_MODELS, PartialKeys, read_cohort
from dicomove.errors import AddressError, DicomoveError
from dicomove.find import echo, find
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver
from dicomove.retrieve import retrieve
from dicomove.run import Keywords
from dicomove.run.inventory import Verify
from dicomove.store import verify
from dicomove.verdicts import verdicts
from dicomove.words import GOOD

_BRIEF: Final = [
    *("cohort_row", "AccessionNumber", "StudyInstanceUID", "ModalitiesInStudy", "studies", "studies_complete"),
    *("outcome", "status", "error", "total", "completed", "failed", "expected", "received", "missing", "duration_s"),
]
_ONLY_OF_A_RECEIVER: Final = ("received", "missing")
_MOST_ADVICES: Final = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    The exit code is 0 when every row is complete (or an earlier run had completed it; or matched; or every file is as
    it came), 1 when not, 2 for what cannot be done.
    """
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (DicomoveError, OSError, LookupError, ValueError, ImportError) as error:
        print(f"dicomove: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dicomove", description="Move research cohorts out of a PACS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands.add_parser("demo", help="run the main job on an embedded PACS with real images"))
    asked = commands.add_parser("echo", help="verify the connection with C-ECHO")
    asked.set_defaults(run=_echo)
    whole = commands.add_parser("retrieve", help="find each row of a cohort, and move what was found")
    whole.set_defaults(run=_retrieve)
    search = commands.add_parser("find", help="ask the PACS for each row of a cohort")
    search.set_defaults(run=_find)
    moving = commands.add_parser("move", help="move what each row of a table names")
    moving.set_defaults(run=_move)
    for command in (whole, search, moving):
        command.add_argument("table", type=Path, help="a .csv, .tsv, .parquet or .xlsx file")
    for command in (asked, whole, search, moving):
        command.add_argument("pacs", help="AET@host:port")
        command.add_argument("--calling-ae-title", default="DICOMOVE", metavar="AET", help="our AE title")
    for command in (whole, moving):
        _add_destination(command)
        _add_manners(command)
    for command in (whole, search):
        _add_asking(command)
    for command in (whole, search, moving):
        command.add_argument("--level", choices=LEVELS, help="default: STUDY to find, what the row fills to move")
        command.add_argument("--query-model", choices=QUERY_MODELS, default="StudyRoot")
        _add_output(command)
    check = commands.add_parser("verify", help="read again what was received, and compare it with its record")
    check.add_argument("folder", type=Path, help="the folder of a receiver")
    check.set_defaults(run=_verify)
    _add_output(check)
    return parser


def _add_demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("cohort", nargs="?", type=Path, help="a cohort of your own; default: datasets/demo_cohort.csv")
    command.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="something that the PACS does wrong, as docs/faults.md names it; may be repeated",
    )
    command.add_argument("--receive", type=Path, metavar="FOLDER", help="keep the images there")
    command.set_defaults(run=_demo)


def _add_destination(command: argparse.ArgumentParser) -> None:
    command.add_argument("destination", nargs="?", help="the AE title to move to, as the PACS knows it; or --receive")
    receiver = command.add_argument_group("to receive here")
    receiver.add_argument("--receive", type=Path, metavar="FOLDER", help="move into a receiver on this machine")
    receiver.add_argument("--port", type=int, help="where it listens, as the PACS knows it; default: 11112")
    receiver.add_argument("--ae-title", metavar="AET", help="its AE title, as the PACS knows it; default: DICOMOVE")
    receiver.add_argument(
        "--allow",
        action="append",
        metavar="ADDRESS",
        help="an address or network that may connect, too: where the PACS sends from another one; may be repeated",
    )


def _add_asking(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--broad",
        action="store_true",
        help="ask for rows that have dates or modalities alone, too: they match the studies of many patients",
    )
    command.add_argument(
        "--partial-keys",
        choices=get_args(PartialKeys),
        default="ask",
        help="what to do with a row that lacks a key which other rows have; default: ask",
    )


def _add_manners(command: argparse.ArgumentParser) -> None:
    command.add_argument("--concurrency", type=int, default=1, help="associations at the same time")
    command.add_argument("--delay", type=float, default=0, help="seconds of rest between two moves")
    command.add_argument("--verify", choices=get_args(Verify), default="auto", help="how to learn what is expected")
    alone = command.add_argument_group("to be left alone; docs/how-to tells what each means")
    alone.add_argument("--journal", type=Path, metavar="FILE", help="write all down there; the same command goes on")
    alone.add_argument("--retry", type=int, metavar="N", help="attempts for each row whose failure may pass")
    alone.add_argument("--hours", metavar="HOURS", help="when rows may begin: '19:00-06:00 Europe/Berlin'")
    alone.add_argument("--max-instances-per-second", type=float, metavar="N")
    alone.add_argument("--outage-timeout", type=float, metavar="S", help="wait for a PACS that is down")
    alone.add_argument("--max-failures", type=int, metavar="N", help="end the run when so many rows have failed")


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", type=Path, help="write the table there, as CSV")


def _pacs(chosen: argparse.Namespace) -> Pacs:
    return Pacs(chosen.pacs, calling_ae_title=chosen.calling_ae_title)


def _echo(chosen: argparse.Namespace) -> int:
    answer = echo(_pacs(chosen))
    print(f"{chosen.pacs} answered C-ECHO with {answer.status} after {1000 * answer.duration_s:.0f} ms")
    return 0


def _find(chosen: argparse.Namespace) -> int:
    table = read_cohort(chosen.table)
    studies = find(table, _pacs(chosen), **_asking(chosen))
    return _report(studies, chosen.output)


def _asking(chosen: argparse.Namespace) -> dict[str, Any]:
    return {
        "level": chosen.level or "STUDY",
        "query_model": chosen.query_model,
        "broad": "allow" if chosen.broad else "refuse",
        "partial_keys": chosen.partial_keys,
    }


def _retrieve(chosen: argparse.Namespace) -> int:
    cohort, pacs = read_cohort(chosen.table), _pacs(chosen)
    with ExitStack() as stack:
        destination = _destination(chosen, stack)
        results = retrieve(cohort, pacs, destination, **_asking(chosen), **_manners(chosen))
    if chosen.output:
        results.to_csv(chosen.output, index=False)
    return _report(verdicts(cohort, results), None)


def _move(chosen: argparse.Namespace) -> int:
    table, pacs = read_cohort(chosen.table), _pacs(chosen)
    with ExitStack() as stack:
        destination = _destination(chosen, stack)
        results = move(
            table,
            pacs,
            destination,
            level=chosen.level,
            query_model=chosen.query_model,
            **_manners(chosen),
        )
    return _report(results, chosen.output)


def _manners(chosen: argparse.Namespace) -> Keywords:
    return {
        "concurrency": chosen.concurrency,
        "delay": chosen.delay,
        "verify": chosen.verify,
        "journal": chosen.journal,
        "retry": chosen.retry,
        "hours": chosen.hours,
        "max_instances_per_second": chosen.max_instances_per_second,
        "outage_timeout": "auto" if chosen.outage_timeout is None else chosen.outage_timeout,
        "max_failures": chosen.max_failures,
    }


def _destination(chosen: argparse.Namespace, stack: ExitStack) -> str | Receiver:
    """Return where the move goes: an AE title, or a receiver that is open as long as the stack is."""
    given = {"ae_title": chosen.ae_title, "port": chosen.port, "allow": chosen.allow}
    options = {name: value for name, value in given.items() if value is not None}
    if chosen.receive is None and chosen.destination and not options:
        return str(chosen.destination)
    if chosen.receive is None or chosen.destination:
        message = (
            "give one destination: the AE title of somebody else, or --receive FOLDER to receive here "
            "(with --ae-title, --port and --allow)"
        )
        raise AddressError(message)
    receiver = stack.enter_context(Receiver(chosen.receive, **options))
    print(f"{receiver!r}\n", file=sys.stderr)
    return receiver


def _verify(chosen: argparse.Namespace) -> int:
    if not chosen.folder.is_dir():
        message = f"there is no folder {chosen.folder}: give that of a receiver"
        raise NotADirectoryError(message)
    table = verify(chosen.folder)
    if table.empty:
        message = f"nothing was received in {chosen.folder}: give the folder of a receiver"
        raise LookupError(message)
    if chosen.output:
        table.to_csv(chosen.output, index=False)
    print(_verified(table))
    return int(not (table["verified"] == "ok").all())


def _verified(table: pd.DataFrame) -> str:
    """Return what became of the files since they came, and which are not as they were."""
    wrong = table.loc[table["verified"] != "ok", ["path", "verified"]]
    counted = table["verified"].value_counts().items()
    lines = ["Files: " + (", ".join(f"{count} {word}" for word, count in counted) or "none") + "."]
    reasons = table["quarantine"].dropna().value_counts()
    lines += [f"  {count} in quarantine: {reason}" for reason, count in reasons.items()]
    return "\n".join([*lines, *(f"  {word}: {path}" for path, word in wrong.itertuples(index=False, name=None))])


def _demo(chosen: argparse.Namespace) -> int:
    # Not at the top: the demo is the only command that needs a PACS in this process.
    from dicomove.testing.demo import demo_cohort, demo_pacs, demo_receiver
    from dicomove.testing.faults import named

    faults = [named(name) for name in chosen.fault]
    with ExitStack() as stack:
        folder = chosen.receive or Path(stack.enter_context(TemporaryDirectory(prefix="dicomove-demo-")), "images")
        receiver = stack.enter_context(demo_receiver(folder))
        running = stack.enter_context(demo_pacs(faults=faults, destinations=receiver.as_destination()))
        # A PACS with a fault may never answer, and nobody wants to watch that for ten minutes.
        pacs = replace(running, association_timeout=5, idle_timeout=2, first_response_timeout=5)
        print(
            f"A PACS with real images listens at {pacs}.\nIt knows {receiver.ae_title}, a receiver on this machine.\n"
        )
        results = _main_job(chosen.cohort or demo_cohort(), pacs, receiver)
    print(f"\n{_summary(results)}\n\n{_advice(results)}\n{_NEXT}")
    return 0


def _main_job(path: Path, pacs: Pacs, receiver: Receiver) -> pd.DataFrame:
    print(f"1. cohort = read_cohort({path.name!r})")
    cohort = read_cohort(path)
    print(cohort.to_string(), "\n\n2. results = retrieve(cohort, pacs, receiver)")
    results = retrieve(cohort, pacs, receiver)
    _show(results)
    print("\n3. verdicts(cohort, results)")
    said = verdicts(cohort, results)
    _show(said)
    print(f"\n4. verify({str(receiver.folder)!r})\n{_verified(verify(receiver.folder))}")
    return said


def _report(table: pd.DataFrame, output: Path | None) -> int:
    if output:
        table.to_csv(output, index=False)
    else:
        _show(table)
    print(_summary(table))
    print(_advice(table))
    return int(not table["outcome"].isin(GOOD).all())


def _show(table: pd.DataFrame) -> None:
    empty = [name for name in _ONLY_OF_A_RECEIVER if name in table.columns and table[name].isna().all()]
    brief = table[[name for name in _BRIEF if name in table.columns and name not in empty]].copy()
    if "duration_s" in brief:
        brief["duration_s"] = brief["duration_s"].round(3)
    brief = brief.astype(object).where(brief.notna(), "")
    print(brief.to_string(formatters={"StudyInstanceUID": _shortened}))


def _shortened(uid: object) -> str:
    return str(uid) if len(str(uid)) < 14 else f"…{str(uid)[-12:]}"


def _summary(table: pd.DataFrame) -> str:
    said = ", ".join(f"{count} {word}" for word, count in table["outcome"].value_counts().items())
    resumed = int(table["resumed"].sum()) if "resumed" in table.columns else 0
    if resumed:
        said = said.replace(" complete", f" complete ({resumed} of them from an earlier run)", 1)
    return f"Rows: {said}."


def _advice(table: pd.DataFrame) -> str:
    """Return each advice once, with the number of rows that it is for."""
    advised = table[table["advice"].notna()]
    counted = Counter(zip(advised["outcome"], advised["advice"], strict=True)).most_common()
    lines = [f"  {count} {outcome}: {advice}" for (outcome, advice), count in counted[:_MOST_ADVICES]]
    left = sum(count for _, count in counted[_MOST_ADVICES:])
    return "\n".join([*lines, f"  {left} more: see the column advice"] if left else lines)


_NEXT: Final = """
What to do next:
  - the same in a notebook:    notebooks/01_quickstart.ipynb
  - with your own PACS:        dicomove echo AET@host:port
                               dicomove retrieve cohort.csv AET@host:port --receive images -o results.csv
                               dicomove verify images
  - what each column means:    docs/tables.md"""
