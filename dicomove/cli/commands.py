"""The commands that send requests to a PACS."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from dicomove.cli.arguments import receiver_options
from dicomove.cli.tables import printable, report, show, table_of, write, write_file
from dicomove.destination import Destination
from dicomove.doctor import doctor
from dicomove.errors import AddressError, CohortError, LimitError
from dicomove.find import echo, find
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.plan import plan
from dicomove.query import query
from dicomove.receiver import Receiver, kept_arguments
from dicomove.report import summary
from dicomove.retrieve import retrieve
from dicomove.run import MoveOptions
from dicomove.store import JOURNAL_FILE, read_journal, read_request
from dicomove.verdicts import verdicts

_MANY_STUDIES: Final = 1000
#: The options that `resume` takes over from the run. Its limits are not among them: they were for the whole run.
_RESUMED_OPTIONS: Final = (
    *("method", "verify", "nearline", "concurrency", "max_concurrency", "delay", "hours"),
    *("max_instances_per_second", "outage_timeout"),
)


def echo_pacs(chosen: Namespace) -> int:
    """Send C-ECHO."""
    pacs = pacs_of(chosen)
    answer = echo(pacs)
    print(f"{pacs} answered C-ECHO with {answer.status} after {1000 * answer.duration_s:.0f} ms")
    return 0


def examine(chosen: Namespace) -> int:
    """Examine the connection, and print a remedy for each problem."""
    pacs = pacs_of(chosen)
    with ExitStack() as stack:
        has_destination = any((chosen.destination, chosen.receive, receiver_options(chosen)))
        destination = _destination(chosen, stack) if has_destination else None
        table = doctor(pacs, destination, move_one=chosen.move_one)
    stream = sys.stderr if write(table, chosen) and chosen.output in (None, "-") else sys.stdout
    for check, verdict, found, remedy in table.astype(object).where(table.notna(), None).itertuples(index=False):
        print(printable(f"{verdict:<8} {check}: {found}"), file=stream)
        if remedy:
            print(printable(f"{'':<8} -> {remedy}"), file=stream)
    return int((table["verdict"] == "failed").any())


def look_up(chosen: Namespace) -> int:
    """Find the rows of a cohort."""
    studies = find(
        table_of(chosen),
        pacs_of(chosen),
        loose=_loose(chosen),
        **_finding(chosen),
        **_asking(chosen),
    )
    return report(studies, chosen, feeds=True)


def ask_by_criteria(chosen: Namespace) -> int:
    """Find studies by criteria."""
    found = find(
        criteria(chosen.criteria),
        pacs_of(chosen),
        level=chosen.level or "STUDY",
        query_model=chosen.query_model,
        **_finding(chosen),
    )
    return report(found, chosen, feeds=True)


def plan_move(chosen: Namespace) -> int:
    """Print the plan of a move, without moving anything."""
    table, pacs = table_of(chosen), pacs_of(chosen)
    with ExitStack() as stack:
        is_known = bool(chosen.destination or chosen.receive)
        destination = _destination(chosen, stack) if is_known else None
        planned = plan(
            table,
            pacs,
            destination,
            level=chosen.level,
            query_model=chosen.query_model,
            method=chosen.method,
            journal=chosen.journal,
            hours=chosen.hours,
        )
    stream = sys.stderr if write(planned, chosen, feeds=True) and chosen.output in (None, "-") else sys.stdout
    if stream is sys.stdout and not chosen.output:
        show(planned)
    lines = summary(planned).astype(object)
    print(printable(lines.where(lines.notna(), "").to_string()), file=stream)
    return int(not planned["action"].isin(["move", "repeated", "skip"]).all())


def move_table(chosen: Namespace) -> int:
    """Move the studies of a table."""
    table, pacs = table_of(chosen), pacs_of(chosen)
    with ExitStack() as stack:
        destination = _destination(chosen, stack)
        results = _with_consent(
            chosen,
            lambda options: move(
                table, pacs, destination, level=chosen.level, query_model=chosen.query_model, **options
            ),
        )
    return report(results, chosen)


def retrieve_cohort(chosen: Namespace) -> int:
    """Find and move the rows of a cohort, and print a verdict for each."""
    cohort, pacs = table_of(chosen), pacs_of(chosen)
    with ExitStack() as stack:
        destination = _destination(chosen, stack)
        results = _with_consent(
            chosen,
            lambda options: retrieve(
                cohort,
                pacs,
                destination,
                loose=_loose(chosen),
                find_concurrency=chosen.find_concurrency,
                find_delay=chosen.find_delay,
                find_journal=chosen.find_journal,
                max_age=chosen.max_age,
                **_asking(chosen),
                **options,
            ),
        )
    table = verdicts(cohort, results)
    if chosen.output and chosen.output != "-":
        write_file(results, chosen)
        chosen.output = None
    return report(table, chosen)


def resume(chosen: Namespace) -> int:
    """Resume the run of a journal."""
    path = chosen.journal_or_folder
    journal = path / JOURNAL_FILE if path.is_dir() else path
    before = read_journal(journal)
    facts = before.attrs["run"]
    receivers = str(facts["destination"]).split("\\")
    if len(receivers) > 1:
        message = f"the run had several receivers ({', '.join(receivers)}), and this command has one: call move() again"
        raise ValueError(message)
    pacs = pacs_of(chosen) if chosen.pacs else _called(Pacs(facts["pacs"]), facts["calling_ae_title"])
    with ExitStack() as stack:
        destination: str | Receiver | Destination = _recorded_destination(facts)
        folder = path if path.is_dir() else facts.get("folder")
        options = {**_resumed_options(facts["options"]), **read_request(journal, facts["run"]), "retry": chosen.retry}
        if chosen.concurrency is not None:
            options["concurrency"] = chosen.concurrency
        if folder:
            destination = stack.enter_context(Receiver(folder, **_recorded_receiver(facts, chosen)))
            print(f"{destination!r}\n", file=sys.stderr)
        results = move(before, pacs, destination, journal=journal, **options)
    return report(results, chosen)


def _recorded_receiver(facts: Mapping[str, Any], chosen: Namespace) -> dict[str, Any]:
    """Return the arguments of the receiver of a run; those of the command line come first."""
    options = facts["options"]
    # Earlier versions have the path alone.
    path = {name: value for name, value in options.items() if name == "path"}
    kept = kept_arguments({**path, **options.get("receiver", {})})
    if options.get("method") == "get" and chosen.port is None:
        kept |= {"port": None, "advertise": None}
    return {"ae_title": facts["destination"], **kept, **receiver_options(chosen)}


def _recorded_destination(facts: Mapping[str, Any]) -> str | Destination:
    """Return the destination of a run without a receiver."""
    title, options = str(facts["destination"]), facts["options"]
    if "ask" not in options:
        return title
    if options["ask"] is None:
        message = f"the run asked {title} with TLS or as a user, which a journal does not keep: call move() again"
        raise ValueError(message)
    ask = Pacs(options["ask"], calling_ae_title=options["ask_calling_ae_title"])
    further = {"quiet_period": options["ask_quiet_period"]} if "ask_quiet_period" in options else {}
    return Destination(title, ask=ask, **further)


def pacs_of(chosen: Namespace) -> Pacs:
    """Return the PACS that the arguments name."""
    is_profile = chosen.pacs == chosen.named_pacs and ":" not in chosen.pacs
    pacs = Pacs.profile(chosen.pacs) if is_profile else Pacs(chosen.pacs)
    return _called(pacs, chosen.calling_ae_title)


def criteria(words: list[str]) -> pd.DataFrame:
    """Return the table of ``NAME=VALUE`` and ``NAME=BEGIN..END``; a repeated name is an alternative.

    Examples
    --------
    >>> criteria(["study_date=2024-01-01..", "modality=CT", "modality=MR"])
       StudyDate Modality
    0  20240101-       CT
    1  20240101-       MR
    """
    keys: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        _check_criterion(name, value)
        begin, dots, end = value.partition("..")
        keys.setdefault(name, []).append((begin or None, end or None) if dots else value)
    if not keys:
        message = "give a criterion: study_date=2024-01-01..2024-06-30, modality=CT, patient_name='*'"
        raise CohortError(message)
    return query(**{name: values[0] if len(values) == 1 else values for name, values in keys.items()})


def _check_criterion(name: str, value: str) -> None:
    """Refuse a criterion that is an option of the command, or that has no value."""
    option = name.lower().replace("_", "-")
    if option in ("level", "query-model"):
        message = f"{name} is an option, and not a criterion: write --{option} {value}"
        raise CohortError(message)
    if value in ("", ".."):
        message = f"{name} has no value: leave it out, or give one; a range has one end at least: {name}=2024-01-01.."
        raise CohortError(message)


def _called(pacs: Pacs, calling_ae_title: str | None) -> Pacs:
    return replace(pacs, calling_ae_title=calling_ae_title) if calling_ae_title else pacs


def _resumed_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of an earlier run for the rest of it; a journal of an earlier version has fewer."""
    return {name: options[name] for name in _RESUMED_OPTIONS if name in options}


def _loose(chosen: Namespace) -> tuple[str, ...]:
    return ("AccessionNumber",) if chosen.loose else ()


def _finding(chosen: Namespace) -> dict[str, Any]:
    names = ("concurrency", "delay", "journal", "max_age")
    return {name: getattr(chosen, name) for name in names}


def _asking(chosen: Namespace) -> dict[str, Any]:
    return {
        "level": chosen.level or "STUDY",
        "query_model": chosen.query_model,
        "broad": "allow" if chosen.broad else "refuse",
        "partial_keys": chosen.partial_keys,
        "matches": chosen.matches,
        "within": chosen.within,
    }


def _with_consent(chosen: Namespace, run: Callable[[MoveOptions], pd.DataFrame]) -> pd.DataFrame:
    """Run, and ask the user once before more than a thousand studies are moved."""
    options = _move_options(chosen)
    if chosen.yes or options["max_studies"] is not None:
        return run(options)
    try:
        return run({**options, "max_studies": _MANY_STUDIES})
    except LimitError as error:
        if "max_studies" not in str(error):
            raise
        if not sys.stdin.isatty():
            message = f"{error}. Give --yes if that is meant, or --max-studies"
            raise LimitError(message) from None
        print(str(error).partition(", and")[0], file=sys.stderr)
        print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):  # an empty line also at Ctrl-D
            raise
        return run(options)


def _move_options(chosen: Namespace) -> MoveOptions:
    return {
        "concurrency": chosen.concurrency,
        "max_concurrency": chosen.max_concurrency,
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
        "max_studies": chosen.max_studies,
        "max_instances": chosen.max_instances,
        "max_bytes": chosen.max_bytes,
        "max_per_row": chosen.max_per_row,
    }


def _destination(chosen: Namespace, stack: ExitStack) -> str | Receiver | Destination:
    """Return the destination: an AE title, an archive, or a receiver that stays open until the stack closes."""
    options = receiver_options(chosen)
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


def _archive(chosen: Namespace) -> Destination:
    ask = Pacs(chosen.ask) if ":" in chosen.ask else Pacs.profile(chosen.ask)
    return Destination(chosen.destination, ask=_called(ask, chosen.calling_ae_title))
