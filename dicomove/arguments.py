"""The arguments that commands of the shell share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import get_args

from dicomove.cohort import PartialKeys
from dicomove.errors import AddressError
from dicomove.run.inventory import Verify
from dicomove.run.options import Method, Nearline


def take_words(chosen: argparse.Namespace, more: Sequence[str]) -> None:
    """Let the words that are not options be the PACS, unless `--pacs` names it, and then the destination."""
    taken = [name for name in ("pacs", "destination") if hasattr(chosen, name)]
    words = [word for word in (*(getattr(chosen, name) for name in taken), *more) if word is not None]
    if "pacs" in taken:
        if chosen.named_pacs is not None:
            words.insert(0, chosen.named_pacs)
        if not words:
            message = "give the PACS: AET@host:port, or --pacs NAME for a profile of dicomove.toml"
            raise AddressError(message)
    if len(words) > len(taken):
        message = f"{' '.join(words)}: these are more words than the command has a use for"
        raise AddressError(message)
    for name, word in zip_longest(taken, words):
        setattr(chosen, name, word)


def add_pacs(command: argparse.ArgumentParser) -> None:
    """Add the PACS: an address or a profile."""
    command.add_argument("pacs", nargs="?", help="AET@host:port; or --pacs")
    command.add_argument("--pacs", dest="named_pacs", metavar="NAME", help="a profile of dicomove.toml, or an address")
    command.add_argument("--calling-ae-title", metavar="AET", help="our AE title; default: the profile's, or DICOMOVE")


def add_destination(command: argparse.ArgumentParser) -> None:
    """Add the destination: an AE title or a receiver."""
    command.add_argument("destination", nargs="?", help="the AE title of the destination; or --receive")
    command.add_argument(
        "--ask",
        metavar="ADDRESS",
        help="ask the destination, another archive, what it has: AET@host:port, or a profile of dicomove.toml",
    )
    receiver = command.add_argument_group("receive on this machine")
    receiver.add_argument("--receive", type=Path, metavar="FOLDER", help="move into a receiver on this machine")
    receiver.add_argument("--port", type=int, help="its port, as registered in the PACS; default: 11112")
    receiver.add_argument(
        "--ae-title", metavar="AET", help="its AE title, as registered in the PACS; default: DICOMOVE"
    )
    receiver.add_argument(
        "--allow",
        action="append",
        metavar="ADDRESS",
        help="another address or network that may connect, if the PACS sends from there; may be repeated",
    )
    receiver.add_argument(
        "--advertise",
        metavar="HOST:PORT",
        help="where the PACS reaches it, if that is no address of this machine (container, NAT, port forwarding)",
    )


def add_asking(command: argparse.ArgumentParser) -> None:
    """Add what `find` needs."""
    command.add_argument(
        "--broad",
        action="store_true",
        help="also look up rows with dates or modalities alone: they match studies of many patients",
    )
    command.add_argument(
        "--partial-keys",
        choices=get_args(PartialKeys),
        default="ask",
        help="the policy for a row that lacks a key that other rows have; default: ask",
    )


def add_manners(command: argparse.ArgumentParser) -> None:
    """Add what `move` needs."""
    command.add_argument("--concurrency", type=int, default=1, help="associations at the same time")
    command.add_argument(
        "--method",
        choices=get_args(Method),
        default="move",
        help="C-MOVE, C-GET (needs --receive, and no port), or C-GET where C-MOVE cannot work; default: move",
    )
    command.add_argument("--delay", type=float, default=0, help="pause between two moves, in seconds")
    command.add_argument(
        "--verify", choices=get_args(Verify), default="auto", help="the source of the expected numbers"
    )
    command.add_argument(
        "--nearline",
        choices=get_args(Nearline),
        default="last",
        help="rows that the PACS has on a slow medium: moved last, left, or moved like the others",
    )
    alone = command.add_argument_group("unattended runs; docs/how-to explains these options")
    alone.add_argument("--journal", type=Path, metavar="FILE", help="record the run there; the same command resumes it")
    alone.add_argument("--retry", type=int, metavar="N", help="attempts for each row whose failure may pass")
    alone.add_argument("--hours", metavar="HOURS", help="when rows may begin: '19:00-06:00 Europe/Berlin'")
    alone.add_argument("--max-instances-per-second", type=float, metavar="N")
    alone.add_argument("--outage-timeout", type=float, metavar="S", help="wait for a PACS that is down")
    alone.add_argument("--max-failures", type=int, metavar="N", help="end the run after so many failed rows")


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the file for the table."""
    command.add_argument("-o", "--output", type=Path, help="write the table to this CSV file")
