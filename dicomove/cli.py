"""The commands of the shell: ``dicomove demo | doctor | echo | retrieve | find | move | verify``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from dicomove.arguments import add_asking, add_destination, add_manners, add_output, add_pacs, take_words
from dicomove.cohort import LEVELS, QUERY_MODELS, read_cohort
from dicomove.destination import Destination
from dicomove.doctor import doctor
from dicomove.errors import AddressError, DicomoveError
from dicomove.find import echo, find
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver
from dicomove.retrieve import retrieve
from dicomove.run import MoveOptions
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

    The exit code is 0 if every row is complete (`find`: matched; `verify`: every file is unchanged), 1 if not, and 2 if
    the command cannot run.
    """
    parser = _parser()
    chosen, more = parser.parse_known_args(arguments)
    if any(word.startswith("-") for word in more):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    try:
        take_words(chosen, more)
        return int(chosen.run(chosen))
    except (DicomoveError, OSError, LookupError, ValueError, ImportError) as error:
        print(f"dicomove: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dicomove", description="Retrieve research cohorts from a PACS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands.add_parser("demo", help="find, move and verify on a demo PACS with real images"))
    asked = commands.add_parser("echo", help="verify the connection with C-ECHO")
    asked.set_defaults(run=_echo)
    examined = commands.add_parser(
        "doctor",
        help="examine the connection to a PACS and a destination, and say what to do",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_DOCTOR_EXAMPLES,
    )
    examined.set_defaults(run=_doctor)
    whole = commands.add_parser("retrieve", help="find each row of a cohort, and move the studies found")
    whole.set_defaults(run=_retrieve)
    search = commands.add_parser("find", help="look up each row of a cohort in the PACS")
    search.set_defaults(run=_find)
    moving = commands.add_parser("move", help="move the studies that a table names")
    moving.set_defaults(run=_move)
    for command in (whole, search, moving):
        command.add_argument("table", type=Path, help="a .csv, .tsv, .parquet or .xlsx file")
    for command in (asked, examined, whole, search, moving):
        add_pacs(command)
    for command in (examined, whole, moving):
        add_destination(command)
    examined.add_argument("--move-one", action="store_true", help="move one instance to the destination")
    add_output(examined)
    for command in (whole, moving):
        add_manners(command)
    for command in (whole, search):
        add_asking(command)
    for command in (whole, search, moving):
        command.add_argument(
            "--level", choices=LEVELS, help="default: STUDY for find, the deepest UID of the row for move"
        )
        command.add_argument("--query-model", choices=QUERY_MODELS, default="StudyRoot")
        add_output(command)
    _add_verify(commands.add_parser("verify", help="read all received files again, and compare them with the record"))
    return parser


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the folder of a receiver")
    parser.set_defaults(run=_verify)
    add_output(parser)


def _add_demo(command: argparse.ArgumentParser) -> None:
    command.add_argument("cohort", nargs="?", type=Path, help="your own cohort; default: datasets/demo_cohort.csv")
    command.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="a fault of the PACS by its name in docs/faults.md; may be repeated",
    )
    command.add_argument("--receive", type=Path, metavar="FOLDER", help="keep the images there")
    command.set_defaults(run=_demo)


def _pacs(chosen: argparse.Namespace) -> Pacs:
    is_profile = chosen.pacs == chosen.named_pacs and ":" not in chosen.pacs
    return _called(Pacs.profile(chosen.pacs) if is_profile else Pacs(chosen.pacs), chosen)


def _called(pacs: Pacs, chosen: argparse.Namespace) -> Pacs:
    return replace(pacs, calling_ae_title=chosen.calling_ae_title) if chosen.calling_ae_title else pacs


def _echo(chosen: argparse.Namespace) -> int:
    pacs = _pacs(chosen)
    answer = echo(pacs)
    print(f"{pacs} answered C-ECHO with {answer.status} after {1000 * answer.duration_s:.0f} ms")
    return 0


def _doctor(chosen: argparse.Namespace) -> int:
    pacs = _pacs(chosen)
    with ExitStack() as stack:
        has_destination = any(
            (chosen.destination, chosen.receive, chosen.ae_title, chosen.port, chosen.allow, chosen.advertise)
        )
        destination = _destination(chosen, stack) if has_destination else None
        table = doctor(pacs, destination, move_one=chosen.move_one)
    if chosen.output:
        table.to_csv(chosen.output, index=False)
    for check, verdict, found, remedy in table.astype(object).where(table.notna(), None).itertuples(index=False):
        print(f"{verdict:<8} {check}: {found}")
        if remedy:
            print(f"{'':<8} -> {remedy}")
    return int((table["verdict"] == "failed").any())


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


def _manners(chosen: argparse.Namespace) -> MoveOptions:
    return {
        "concurrency": chosen.concurrency,
        "delay": chosen.delay,
        "verify": chosen.verify,
        "nearline": chosen.nearline,
        "method": chosen.method,
        "journal": chosen.journal,
        "retry": chosen.retry,
        "hours": chosen.hours,
        "max_instances_per_second": chosen.max_instances_per_second,
        "outage_timeout": "auto" if chosen.outage_timeout is None else chosen.outage_timeout,
        "max_failures": chosen.max_failures,
    }


def _destination(chosen: argparse.Namespace, stack: ExitStack) -> str | Receiver | Destination:
    """Return the destination: an AE title, an archive, or a receiver that stays open until the stack closes."""
    names = ("ae_title", "port", "allow", "advertise")
    given = {name: getattr(chosen, name) for name in names}
    options = {name: value for name, value in given.items() if value is not None}
    if chosen.receive is None and chosen.destination and not options:
        return _archive(chosen) if chosen.ask else str(chosen.destination)
    if chosen.receive is None or chosen.destination or chosen.ask:
        message = (
            "give one destination: an AE title that the PACS knows (with --ask if it is an archive that can be asked "
            "what it has), or --receive FOLDER to receive on this machine (with --ae-title, --port, --allow and "
            "--advertise)"
        )
        raise AddressError(message)
    if getattr(chosen, "method", None) == "get" and chosen.port is None:
        options["port"] = None
    receiver = stack.enter_context(Receiver(chosen.receive, **options))
    print(f"{receiver!r}\n", file=sys.stderr)
    return receiver


def _archive(chosen: argparse.Namespace) -> Destination:
    ask = Pacs(chosen.ask) if ":" in chosen.ask else Pacs.profile(chosen.ask)
    return Destination(chosen.destination, ask=_called(ask, chosen))


def _verify(chosen: argparse.Namespace) -> int:
    if not chosen.folder.is_dir():
        message = f"there is no folder {chosen.folder}: give the folder of a receiver"
        raise NotADirectoryError(message)
    table = verify(chosen.folder)
    if table.empty:
        message = f"the folder {chosen.folder} has no received files: give the folder of a receiver"
        raise LookupError(message)
    if chosen.output:
        table.to_csv(chosen.output, index=False)
    print(_verified(table))
    return int(not (table["verified"] == "ok").all())


def _verified(table: pd.DataFrame) -> str:
    """Return the numbers of unchanged and other files, and the names of the other ones."""
    wrong = table.loc[table["verified"] != "ok", ["path", "verified"]]
    counted = table["verified"].value_counts().items()
    lines = ["Files: " + (", ".join(f"{count} {word}" for word, count in counted) or "none") + "."]
    reasons = table["quarantine"].dropna().value_counts()
    lines += [f"  {count} in quarantine: {reason}" for reason, count in reasons.items()]
    return "\n".join([*lines, *(f"  {word}: {path}" for path, word in wrong.itertuples(index=False, name=None))])


def _demo(chosen: argparse.Namespace) -> int:
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
    """Return each advice once, with its number of rows."""
    advised = table[table["advice"].notna()]
    counted = Counter(zip(advised["outcome"], advised["advice"], strict=True)).most_common()
    lines = [f"  {count} {outcome}: {advice}" for (outcome, advice), count in counted[:_MOST_ADVICES]]
    left = sum(count for _, count in counted[_MOST_ADVICES:])
    return "\n".join([*lines, f"  {left} more: see the column advice"] if left else lines)


_DOCTOR_EXAMPLES: Final = """examples:
  dicomove doctor ORTHANC@127.0.0.1:4242 --calling-ae-title MY_SCU
  dicomove doctor --pacs main DESTINATION_AE --move-one
  dicomove doctor --pacs main --receive images --move-one
"""
_NEXT: Final = """
What to do next:
  - try it in a notebook:      notebooks/01_quickstart.ipynb
  - with your own PACS:        dicomove echo AET@host:port
                               dicomove retrieve cohort.csv AET@host:port --receive images -o results.csv
                               dicomove verify images
  - look up a column:          docs/tables.md"""
