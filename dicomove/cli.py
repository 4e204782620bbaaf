"""The same verbs in a shell: ``dicomove demo | echo | find | move``."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pandas as pd

from dicomove.cohort import LEVELS, read_cohort
from dicomove.cohort.levels import QUERY_MODELS
from dicomove.errors import DicomoveError
from dicomove.find import echo, find
from dicomove.move import move
from dicomove.pacs import Pacs

_BRIEF: Final = [
    *("cohort_row", "AccessionNumber", "StudyInstanceUID", "ModalitiesInStudy"),
    *("outcome", "status", "error", "total", "completed", "failed", "expected", "duration_s"),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 when every row is complete (or matched), 1 when not, 2 for bad input."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except (DicomoveError, OSError, LookupError) as error:
        print(f"dicomove: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dicomove", description="Move research cohorts out of a PACS.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="run the main job on an embedded PACS with real images")
    demo.add_argument("cohort", nargs="?", type=Path, help="a cohort of your own; default: datasets/demo_cohort.csv")
    demo.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="something that the PACS does wrong, as docs/faults.md names it; may be repeated",
    )
    demo.set_defaults(run=_demo)

    verify = commands.add_parser("echo", help="verify the connection with C-ECHO")
    verify.set_defaults(run=_echo)
    search = commands.add_parser("find", help="ask the PACS for each row of a cohort")
    search.set_defaults(run=_find)
    retrieve = commands.add_parser("move", help="move what each row of a table names")
    retrieve.set_defaults(run=_move)

    for command in (search, retrieve):
        command.add_argument("table", type=Path, help="a .csv, .tsv, .parquet or .xlsx file")
    for command in (verify, search, retrieve):
        command.add_argument("pacs", help="AET@host:port")
        command.add_argument("--calling-ae-title", default="DICOMOVE", metavar="AET", help="our AE title")
    retrieve.add_argument("destination", help="the AE title to move to, as the PACS knows it")
    retrieve.add_argument("--concurrency", type=int, default=1, help="associations at the same time")
    retrieve.add_argument("--delay", type=float, default=0, help="seconds of rest between two moves")
    for command in (search, retrieve):
        command.add_argument("--level", choices=LEVELS, help="default: STUDY to find, what the row fills to move")
        command.add_argument("--query-model", choices=QUERY_MODELS, default="StudyRoot")
        command.add_argument("-o", "--output", type=Path, help="write the table there, as CSV")
    return parser


def _pacs(chosen: argparse.Namespace) -> Pacs:
    return Pacs(chosen.pacs, calling_ae_title=chosen.calling_ae_title)


def _echo(chosen: argparse.Namespace) -> int:
    answer = echo(_pacs(chosen))
    print(f"{chosen.pacs} answered C-ECHO with {answer.status} after {1000 * answer.duration_s:.0f} ms")
    return 0


def _find(chosen: argparse.Namespace) -> int:
    table = read_cohort(chosen.table)
    studies = find(table, _pacs(chosen), level=chosen.level or "STUDY", query_model=chosen.query_model)
    return _report(studies, chosen.output, good="matched")


def _move(chosen: argparse.Namespace) -> int:
    results = move(
        read_cohort(chosen.table),
        _pacs(chosen),
        chosen.destination,
        level=chosen.level,
        query_model=chosen.query_model,
        concurrency=chosen.concurrency,
        delay=chosen.delay,
    )
    return _report(results, chosen.output, good="complete")


def _demo(chosen: argparse.Namespace) -> int:
    # Not at the top: the demo is the only command that needs a PACS in this process.
    from dicomove.testing import demo_pacs
    from dicomove.testing.demo import demo_cohort
    from dicomove.testing.faults import named

    path = chosen.cohort or demo_cohort()
    with demo_pacs(faults=[named(name) for name in chosen.fault]) as running:
        # A PACS with a fault may never answer, and nobody wants to watch that for ten minutes.
        pacs = replace(running, association_timeout=5, idle_timeout=2, first_response_timeout=5)
        print(f"A PACS with real images listens at {pacs}; it may move to {pacs.destination}.\n")
        print(f"1. cohort = read_cohort({path.name!r})")
        cohort = read_cohort(path)
        print(cohort.to_string(), "\n\n2. studies = find(cohort, pacs)")
        studies = find(cohort, pacs)
        _show(studies)
        print(f"\n3. results = move(studies, pacs, {pacs.destination!r})")
        results = move(studies, pacs, pacs.destination)
        _show(results)
        arrived = sum(1 for _ in pacs.received.iterdir())
    print(f"\n{arrived} images arrived at {pacs.destination}. {_summary(results)}\n\n{_advice(results)}\n{_NEXT}")
    return 0


def _report(table: pd.DataFrame, output: Path | None, *, good: str) -> int:
    if output:
        table.to_csv(output, index=False)
    else:
        _show(table)
    print(_summary(table))
    print(_advice(table))
    return int(not (table["outcome"] == good).all())


def _show(table: pd.DataFrame) -> None:
    brief = table[[name for name in _BRIEF if name in table.columns]].copy()
    if "duration_s" in brief:
        brief["duration_s"] = brief["duration_s"].round(3)
    print(brief.to_string(na_rep="", formatters={"StudyInstanceUID": _shortened}))


def _shortened(uid: object) -> str:
    return "" if not isinstance(uid, str) else uid if len(uid) < 14 else f"…{uid[-12:]}"


def _summary(table: pd.DataFrame) -> str:
    return "Rows: " + ", ".join(f"{count} {word}" for word, count in table["outcome"].value_counts().items()) + "."


def _advice(table: pd.DataFrame) -> str:
    """Return each advice once, with the number of rows that it is for."""
    advised = table[table["advice"].notna()]
    counted = Counter(zip(advised["outcome"], advised["advice"], strict=True))
    return "\n".join(f"  {count} {outcome}: {advice}" for (outcome, advice), count in counted.items())


_NEXT: Final = """
What to do next:
  - the same in a notebook:    notebooks/01_quickstart.ipynb
  - with your own PACS:        dicomove echo AET@host:port
                               dicomove find cohort.csv AET@host:port -o studies.csv
                               dicomove move studies.csv AET@host:port DESTINATION_AE -o results.csv
  - what each column means:    docs/tables.md"""
