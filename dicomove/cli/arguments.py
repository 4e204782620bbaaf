"""The arguments that commands of the shell share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, get_args

from dicomove.cohort import LEVELS, QUERY_MODELS, PartialKeys
from dicomove.errors import AddressError
from dicomove.profiles import FILE_NAME, names
from dicomove.run.attempt.inventory import Verify
from dicomove.run.options import Method, Nearline
from dicomove.search import Matches


def take_words(chosen: argparse.Namespace, more: Sequence[str]) -> None:
    """Assign the words without an option: criteria, then the PACS unless `--pacs` names it, then the destination."""
    taken = [name for name in ("pacs", "destination") if hasattr(chosen, name)]
    words = [word for word in (*(getattr(chosen, name) for name in taken), *more) if word is not None]
    if chosen.command == "query":
        chosen.criteria = [word for word in words if "=" in word]
        words = [word for word in words if "=" not in word]
    if "pacs" in taken:
        if chosen.named_pacs is not None:
            words.insert(0, chosen.named_pacs)
        if not words and chosen.command != "resume":
            chosen.named_pacs = _only_profile()
            words.append(chosen.named_pacs)
    if len(words) > len(taken):
        hint = ": write a criterion as NAME=VALUE" if chosen.command == "query" else ""
        message = f"{' '.join(words)}: these are more words than the command takes{hint}"
        raise AddressError(message)
    for name, word in zip_longest(taken, words):
        setattr(chosen, name, word)


def _only_profile() -> str:
    """Return the name of the only profile.

    Raises
    ------
    AddressError
        There is not exactly one profile.
    """
    known = names(Path.cwd())
    if len(known) == 1:
        return known[0]
    there = f": {', '.join(known)}" if known else ""
    message = f"give the PACS: AET@host:port, or --pacs NAME for a profile of {FILE_NAME}{there}"
    raise AddressError(message)


def add_pacs(command: argparse.ArgumentParser) -> None:
    """Add the options for the PACS: an address or a profile."""
    command.add_argument("pacs", nargs="?", help="AET@host:port; or --pacs, or the only profile")
    command.add_argument("--pacs", dest="named_pacs", metavar="NAME", help="a profile of dicomove.toml, or an address")
    command.add_argument("--calling-ae-title", metavar="AET", help="our AE title; default: the profile's, or DICOMOVE")


def add_destination(command: argparse.ArgumentParser) -> None:
    """Add the destination: an AE title, an archive that answers C-FIND, or a receiver."""
    command.add_argument("destination", nargs="?", help="the AE title of the destination; or --receive")
    command.add_argument(
        "--ask", metavar="ADDRESS", help="the address of the destination, if it is an archive that answers C-FIND"
    )
    command.add_argument("--receive", type=Path, metavar="FOLDER", help="receive on this machine, verified")
    add_receiver(command)


def add_receiver(command: argparse.ArgumentParser) -> None:
    """Add the options of a receiver on this machine."""
    command.add_argument("--port", type=int, help="its port, as registered in the PACS; default: 11112")
    command.add_argument("--ae-title", metavar="AET", help="its AE title, as registered; default: DICOMOVE")
    command.add_argument(
        "--allow", action="append", metavar="ADDRESS", help="a further address that may connect; may be repeated"
    )
    command.add_argument("--advertise", metavar="HOST:PORT", help="its address for the PACS: container, NAT, tunnel")


def receiver_options(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return the given options as keywords of `Receiver`."""
    names = ("ae_title", "port", "allow", "advertise")
    return {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None}


def add_asking(command: argparse.ArgumentParser) -> None:
    """Add the options that decide which rows `find` looks up, and which studies they match."""
    command.add_argument("--broad", action="store_true", help="also look up rows that name no patient and no study")
    command.add_argument(
        "--partial-keys", choices=get_args(PartialKeys), default="ask", help="rows that lack a key that others have"
    )
    _add_word(command, "--matches", get_args(Matches), "all", "which of several studies")
    command.add_argument("--within", metavar="DAYS", help="with --matches nearest: '3 days'")


def add_loose(command: argparse.ArgumentParser) -> None:
    """Add the option that accepts small differences between a row and an answer."""
    command.add_argument("--loose", action="store_true", help="also accession numbers with other zeros or blanks")


def add_finding(command: argparse.ArgumentParser, prefix: str = "") -> None:
    """Add the options for the C-FINDs of `find`: their number at the same time, the pause, and stored answers."""
    command.add_argument(
        f"--{prefix}concurrency", type=int, default=1, metavar="N", help="associations that search at the same time"
    )
    command.add_argument(f"--{prefix}delay", type=float, default=0, metavar="S", help="pause between two searches")
    command.add_argument(
        f"--{prefix}journal", type=Path, metavar="FILE", help="store answers there, and do not ask for them again"
    )
    command.add_argument("--max-age", metavar="AGE", help="age limit of such answers: '1 day'; default: none")


def add_level(command: argparse.ArgumentParser) -> None:
    """Add the level and the query model."""
    _add_word(command, "--level", LEVELS, None, "by default STUDY for find, and for move the deepest UID", str.upper)
    command.add_argument("--query-model", choices=QUERY_MODELS, default="StudyRoot")


def add_method(command: argparse.ArgumentParser) -> None:
    """Add the method of the transfer."""
    command.add_argument("--method", choices=get_args(Method), default="move", help="C-MOVE, C-GET, or what works")


def add_moving(command: argparse.ArgumentParser) -> None:
    """Add the options of `move`."""
    add_method(command)
    command.add_argument(
        "--concurrency",
        type=number_or_auto,
        default=1,
        metavar="N",
        help="associations at the same time, or auto: as many as help; default: 1",
    )
    command.add_argument(
        "--max-concurrency", type=int, default=8, metavar="N", help="with --concurrency auto, at the most; default: 8"
    )
    command.add_argument("--delay", type=float, default=0, metavar="S", help="pause between two moves")
    _add_word(command, "--verify", get_args(Verify), "auto", "source of the expected numbers")
    command.add_argument("--nearline", choices=get_args(Nearline), default="last", help="images on a slow medium")
    command.add_argument("--journal", type=Path, metavar="FILE", help="record the run; the same command resumes it")
    command.add_argument("--retry", type=from_1, metavar="N", help="attempts for each row whose failure may pass")
    command.add_argument("--hours", metavar="HOURS", help="when rows may begin: '19:00-06:00 Europe/Berlin'")
    command.add_argument(
        "--max-instances-per-second", type=float, metavar="N", help="the highest rate; later rows wait"
    )
    command.add_argument("--outage-timeout", type=float, metavar="S", help="wait for a PACS that is down")
    command.add_argument("--max-failures", type=int, metavar="N", help="end the run after N failed rows")
    for name in ("studies", "instances", "bytes"):
        command.add_argument(f"--max-{name}", type=int, metavar="N", help="refuse a run that would bring more")
    command.add_argument("--max-per-row", type=int, metavar="N", help="leave out rows with more instances")
    command.add_argument("--yes", action="store_true", help="do not ask before more than 1,000 studies are moved")


def _add_word(
    command: argparse.ArgumentParser,
    option: str,
    words: Sequence[str],
    default: str | None,
    meaning: str,
    kind: Callable[[str], str] = str,
) -> None:
    """Add an option with a choice of words. The help text lists them, because argparse would use one more line."""
    command.add_argument(
        option, type=kind, choices=words, default=default, metavar="WORD", help=f"{'|'.join(words)}: {meaning}"
    )


def add_source(command: argparse.ArgumentParser) -> None:
    """Add the images that a command reads."""
    command.add_argument(
        "table", metavar="source", help="a folder, a journal, or a table of results or series; - is standard input"
    )
    command.add_argument("--folder", type=Path, help="the folder of the images, for a table")
    add_processes(command)


def add_processes(command: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    command.add_argument("--processes", type=int, metavar="N", help="default: as many as processors, at most 8")


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the options for the output of the table."""
    command.add_argument(
        "-o", "--output", metavar="FILE", help="write the table to this CSV file; - is standard output"
    )
    command.add_argument("--json", action="store_true", help="print the table as one JSON object per row")


def from_1(value: str) -> int:
    """Return a whole number of at least 1."""
    if not value.isdecimal() or int(value) < 1:
        message = f"{value!r} is not a whole number from 1"
        raise argparse.ArgumentTypeError(message)
    return int(value)


def number_or_auto(value: str) -> int | Literal["auto"]:
    """Return a number of associations, or ``"auto"``."""
    if value != "auto" and not value.isdecimal():
        message = f"{value!r} is neither a whole number nor auto"
        raise argparse.ArgumentTypeError(message)
    return "auto" if value == "auto" else int(value)
