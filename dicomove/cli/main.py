"""The commands with their arguments and help, and `main`, which runs one of them."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

import shtab

from dicomove import __version__
from dicomove.cli import commands, tools
from dicomove.cli.arguments import (
    add_asking,
    add_destination,
    add_finding,
    add_level,
    add_loose,
    add_method,
    add_moving,
    add_output,
    add_pacs,
    add_processes,
    add_receiver,
    add_source,
    from_1,
    number_or_auto,
    take_words,
)
from dicomove.cli.tables import COMPLETE, NOTHING, SOME_NOT, check_output, in_shell, lacks_characters
from dicomove.errors import (
    AssociationError,
    DicomoveError,
    DicomoveWarning,
    JournalError,
    ReceiverError,
    StatusError,
)
from dicomove.headers import REASONS, How, Level

Command = Callable[[Namespace], int]
_EXAMPLES: Final = {
    "demo": "dicomove demo --fault no-pendings",
    "echo": "dicomove echo ORTHANC@127.0.0.1:4242",
    "doctor": "dicomove doctor --pacs main --receive images --move-one",
    "find": "dicomove find cohort.csv --pacs main | dicomove move - --pacs main --receive images",
    "query": "dicomove query --pacs main study_date=2024-01-01..2024-06-30 modality=CT modality=MR -o studies.csv",
    "plan": "dicomove plan studies.csv --pacs main --receive images --hours '19:00-06:00'",
    "move": "dicomove move studies.csv ORTHANC@127.0.0.1:4242 DESTINATION_AE -o results.csv",
    "retrieve": "dicomove retrieve cohort.csv --pacs main --receive images --retry 3",
    "resume": "dicomove resume images --pacs main",
    "verify": "dicomove verify images",
    "report": "dicomove report images -o report.html",
    "index": "dicomove index images -o series.csv",
    "arrange": "dicomove arrange images dataset 'sub-{PatientID}/{SeriesNumber}/{InstanceNumber}.dcm'",
    "convert": "dicomove convert images nifti 'sub-{PatientID}/anat/{SeriesNumber}_{SeriesDescription}.nii.gz'",
    "receive": "dicomove receive images --port 11112 --allow 10.1.0.0/16",
}
_HELP: Final = {
    "demo": "find, move and verify on a demo PACS with real images",
    "echo": "verify the connection with C-ECHO",
    "doctor": "examine the connection to a PACS and a destination, with a remedy for each problem",
    "find": "look up each row of a cohort in the PACS",
    "query": "look up studies by criteria: NAME=VALUE, NAME=BEGIN..END; a repeated name is an alternative",
    "plan": "show the plan of a move, without moving anything",
    "move": "move the studies of a table",
    "retrieve": "find each row of a cohort, and move the studies found",
    "resume": "resume the run of a journal",
    "verify": "read all received files again, and compare them with the record",
    "report": "write the page about a run",
    "index": "list the series that arrived, and show which of them are volumes",
    "arrange": "give the images of a folder your own names, in another folder",
    "convert": "convert the series that are volumes to NIfTI, with dcm2niix",
    "receive": "receive images from any PACS, and print a line for each study",
}
#: Beside the exit codes of `tables`: the command is wrong.
_USAGE: Final = 2
_EXIT_CODES: Final = "exit code: 0 all complete, 1 some not, 2 wrong command, 3 nothing could be done"
_WORDS: Final = {
    "demo": "[COHORT]",
    "echo": "PACS",
    "doctor": "PACS [DESTINATION]",
    "find": "TABLE PACS",
    "query": "PACS NAME=VALUE ...",
    "plan": "TABLE PACS [DESTINATION]",
    "move": "TABLE PACS DESTINATION",
    "retrieve": "TABLE PACS DESTINATION",
    "resume": "JOURNAL [PACS]",
    "verify": "FOLDER",
    "report": "JOURNAL_OR_RESULTS",
    "index": "SOURCE",
    "arrange": "IMAGES TARGET PATH",
    "convert": "SOURCE OUT [PATH]",
    "receive": "FOLDER",
}
Add = Callable[[str, Command], argparse.ArgumentParser]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    The exit code is 0 if every row is complete (`find`: matched; `verify`: every file is unchanged), 1 if some are not,
    2 if the command is wrong, and 3 if nothing could be done: the PACS or the receiver cannot be reached, or a folder
    has no images. It is also 1 if the next program of a pipe did not read the whole table.
    """
    _prepare_streams()
    known = parser()
    chosen, more = known.parse_known_args(arguments)
    if any(word.startswith("-") and word != "-" for word in more):
        chosen.parser.error(f"unrecognized arguments: {' '.join(more)}{_suggestion(chosen, more)}")
    try:
        take_words(chosen, more)
        check_output(chosen)
        with _plain_warnings(chosen):
            return _run(chosen)
    except BrokenPipeError:
        _discard_output()
        return SOME_NOT
    except (AssociationError, StatusError, ReceiverError, JournalError) as error:
        print(f"dicomove: {in_shell(str(error), chosen)}", file=sys.stderr)
        return NOTHING
    except (DicomoveError, OSError, LookupError, ValueError, ImportError) as error:
        print(f"dicomove: {in_shell(_message(error), chosen)}", file=sys.stderr)
        return _USAGE
    except KeyboardInterrupt:
        print("dicomove: stopped", file=sys.stderr)
        return SOME_NOT


def _prepare_streams() -> None:
    """Open the streams that the caller closed (``>&-``), and escape characters that the locale does not have."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (it stays open)
    if lacks_characters(sys.stdout):  # a run must not end as an error because of its printed table
        sys.stdout.reconfigure(errors="backslashreplace")


def _message(error: Exception) -> str:
    """Return the message of an error; for an error of the operating system, with its file and without its number."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _suggestion(chosen: Namespace, words: Sequence[str]) -> str:
    """Return the known option that is most like the first unknown one."""
    wrong = next(word for word in words if word.startswith("-") and word != "-").partition("=")[0]
    options = [f"--{name.replace('_', '-')}" for name in vars(chosen)]
    near = difflib.get_close_matches(wrong, options, n=1, cutoff=0.7)
    return f"; do you mean {near[0]}?" if near else ""


def _run(chosen: Namespace) -> int:
    code = int(chosen.run(chosen))
    sys.stdout.flush()
    return code or (SOME_NOT if getattr(chosen, "unwritten", False) else COMPLETE)


@contextmanager
def _plain_warnings(chosen: Namespace) -> Iterator[None]:
    """Print only the text of our own warnings: a line of Python code does not help a user of the shell."""
    usual = warnings.formatwarning

    def plain(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> str:
        if issubclass(category, DicomoveWarning):
            return f"dicomove: {in_shell(str(message), chosen)}\n"
        return usual(message, category, *place, **more)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _discard_output() -> None:
    """Discard the rest of standard output: otherwise Python complains about the broken pipe when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=118)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = argparse.ArgumentParser(
        prog="dicomove",
        description="Retrieve research cohorts from a PACS.",
        epilog=_EXIT_CODES,
        formatter_class=_Formatter,
    )
    made.add_argument("--version", action="version", version=f"dicomove {__version__}")
    shtab.add_argument_to(made, "--print-completion", help="print the completion for this shell")
    found = made.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command) -> argparse.ArgumentParser:
        usage = f"dicomove {name} [options] {_WORDS[name]}".rstrip() + f"\nexample: {_EXAMPLES[name]}"
        command = found.add_parser(name, help=_HELP[name], usage=usage, formatter_class=_Formatter)
        command.set_defaults(run=run, command=name, parser=command)
        return command

    _add_looking(add)
    _add_moving(add)
    _add_afterwards(add)
    _add_folders(add)
    for command in found.choices.values():
        _complete_paths(command)
    return made


def _complete_paths(command: argparse.ArgumentParser) -> None:
    """Let a shell complete the arguments that are files or folders."""
    for argument in command._actions:  # noqa: SLF001 (argparse has no other list of them)
        is_file = argument.type is Path or argument.metavar in ("FILE", "RESULTS") or argument.dest == "table"
        if is_file and argument.choices is None:
            is_folder = argument.metavar == "FOLDER" or argument.dest in ("folder", "images", "target", "out")
            argument.complete = shtab.DIRECTORY if is_folder else shtab.FILE  # type: ignore[attr-defined]  # of shtab


def _add_looking(add: Add) -> None:
    demo = add("demo", tools.demo)
    demo.add_argument("cohort", nargs="?", type=Path, help="your own cohort; default: datasets/demo_cohort.csv")
    demo.add_argument(
        "--fault", action="append", default=[], metavar="NAME", help="a fault of docs/faults.md; may be repeated"
    )
    demo.add_argument("--receive", type=Path, metavar="FOLDER", help="keep the images there")
    add_pacs(add("echo", commands.echo_pacs))
    doctor = add("doctor", commands.examine)
    add_pacs(doctor)
    add_destination(doctor)
    doctor.add_argument("--move-one", action="store_true", help="move one instance to the destination")
    add_output(doctor)
    find = add("find", commands.look_up)
    _add_table(find)
    add_pacs(find)
    add_asking(find)
    add_loose(find)
    add_finding(find)
    add_level(find)
    add_output(find)
    query = add("query", commands.ask_by_criteria)
    add_pacs(query)
    add_finding(query)
    add_level(query)
    add_output(query)


def _add_moving(add: Add) -> None:
    plan = add("plan", commands.plan_move)
    _add_table(plan)
    add_pacs(plan)
    add_destination(plan)
    add_level(plan)
    add_method(plan)
    plan.add_argument(
        "--journal", type=Path, metavar="FILE", help="the journal of earlier runs; default: that of the folder"
    )
    plan.add_argument("--hours", metavar="HOURS", help="when rows may begin: '19:00-06:00 Europe/Berlin'")
    add_output(plan)
    for name, run in (("move", commands.move_table), ("retrieve", commands.retrieve_cohort)):
        command = add(name, run)
        _add_table(command)
        add_pacs(command)
        add_destination(command)
        if name == "retrieve":
            add_asking(command)
            add_loose(command)
            add_finding(command, "find-")
        add_level(command)
        add_moving(command)
        add_output(command)
    resume = add("resume", commands.resume)
    resume.add_argument("journal_or_folder", type=Path, help="the journal, or the folder of a receiver")
    add_pacs(resume)
    add_receiver(resume)
    resume.add_argument("--retry", type=from_1, metavar="N", help="attempts for each row whose failure may pass")
    resume.add_argument(
        "--concurrency", type=number_or_auto, metavar="N", help="associations at the same time; default: the run's"
    )
    add_output(resume)


def _add_afterwards(add: Add) -> None:
    verify = add("verify", tools.verify_folder)
    verify.add_argument("folder", type=Path, help="the folder of a receiver")
    add_output(verify)
    report = add("report", tools.write_report)
    report.add_argument("results", type=Path, help="a journal, the folder of a receiver, or a table of results")
    report.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the HTML file, or -")
    report.add_argument("--identify", action="store_true", help="show patients and UIDs instead of pseudonyms")
    receive = add("receive", tools.receive)
    receive.add_argument("folder", type=Path, help="the folder of the images")
    add_receiver(receive)
    receive.add_argument(
        "--quiet", type=float, default=5.0, metavar="S", help="a study ends after S seconds without an instance"
    )


def _add_folders(add: Add) -> None:
    index = add("index", tools.list_series)
    add_source(index)
    index.add_argument(
        "--level", type=str.upper, choices=get_args(Level), default="SERIES", help="one row per series, or per file"
    )
    index.add_argument(
        "--key", action="append", metavar="KEY", help="a key in place of the usual ones; may be repeated"
    )
    index.add_argument("--more-key", action="append", metavar="KEY", help="a further keyword or tag; may be repeated")
    add_output(index)
    arrange = add("arrange", tools.name_images)
    arrange.add_argument("images", type=Path, help="the folder of a receiver, or any other")
    arrange.add_argument("target", type=Path, help="the folder of the names")
    arrange.add_argument("path", help="the names; in braces: DICOM keywords, and columns of --cohort")
    arrange.add_argument("--cohort", dest="table", metavar="RESULTS", help="only images of this journal or table")
    arrange.add_argument("--how", choices=get_args(How), default="link", help="default: link")
    add_processes(arrange)
    add_output(arrange)
    convert = add("convert", tools.make_nifti)
    add_source(convert)
    convert.add_argument("out", type=Path, help="the folder of the NIfTI files")
    convert.add_argument("path", nargs="?", help="their names; in braces: columns of SOURCE, and DICOM keywords")
    convert.add_argument(
        "--despite",
        action="append",
        choices=("all", *REASONS),
        default=[],
        metavar="REASON",
        help=f"also convert series that are not a volume for this reason; may be repeated: all, {', '.join(REASONS)}",
    )
    convert.add_argument("--timeout", type=float, metavar="S", help="the longest time for each series")
    add_output(convert)


def _add_table(command: argparse.ArgumentParser) -> None:
    command.add_argument("table", help="a .csv, .tsv, .parquet or .xlsx file; - is CSV or JSON from standard input")
