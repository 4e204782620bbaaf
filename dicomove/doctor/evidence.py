"""What the probes saw, as frozen values, and a row of the table. ``None`` stands for what was not tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from dicomove.pacs import Pacs

Verdict = Literal["ok", "warning", "failed", "skipped"]
#: What happens at the port: ``"timeout"`` is no answer to the TCP connection.
Port = Literal["open", "refused", "timeout", "unreachable"]
#: What a port speaks that does not answer with an association.
Language = Literal["HTTP", "TLS", "unknown"]

#: The error of a move that matches nothing, and moved something.
KEYS_IGNORED: Final = "keys_ignored"


@dataclass(frozen=True, slots=True)
class Row:
    """One check."""

    check: str
    verdict: Verdict
    found: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """How the PACS answered: `error` is a word of the result table, `text` is for a person."""

    error: str | None = None
    text: str = ""
    status: str | None = None
    duration_s: float = 0.0

    @property
    def meaning(self) -> tuple[str | None, str | None]:
        """What two answers have in common that mean the same."""
        return self.status, self.error


@dataclass(frozen=True, slots=True)
class Search:
    """What C-FIND brought.

    Attributes
    ----------
    control
        The answer to a search for a study that cannot exist.
    control_matches
        The matches of that search.
    sample
        The answer to a search for any study.
    studies
        The studies that it brought.
    stopped
        Whether dicomove cancelled it because it had enough.
    halves
        The studies of the same search in two halves; ``None`` where it was not split.
    counts
        Whether the PACS told numbers of instances.
    character_sets
        The Specific Character Sets of the answers.
    """

    control: Answer
    control_matches: int = 0
    sample: Answer | None = None
    studies: int = 0
    stopped: bool = False
    halves: int | None = None
    counts: bool = False
    character_sets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the receiver saw of the instance.

    Attributes
    ----------
    address, calling_ae_title, transfer_syntax
        From where, as which AE title, and in which transfer syntax it came first.
    was_there
        Whether it was there before, and came once more.
    """

    address: str
    calling_ae_title: str
    transfer_syntax: str
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen.

    Attributes
    ----------
    pacs
        The PACS.
    destination
        The AE title of the destination.
    receiver_port, receiver_host, reach_problem
        Port and host of the receiver, if the destination is one, as the PACS has to know them; why the PACS may not
        reach them.
    addresses
        The addresses of the host.
    port, own_address
        What happens at the port; the address of this machine on the way there.
    association, language
        How the PACS answered A-ASSOCIATE-RQ; what its port speaks instead.
    titles_accepted
        The called and the calling AE title in another case, with which the association is accepted.
    offered
        The services that the PACS accepts.
    echo, search
        The answers to C-ECHO and C-FIND.
    to_destination, to_nowhere
        The answers to a move that matches nothing, to the destination and to an AE title that cannot exist.
    destination_accepted
        The destination in another case, which the PACS knows.
    asked_to_move, has_instance
        Whether one instance was to be moved, and whether one was found.
    moved, arrival, refused
        The answer to that move, what the receiver saw, and the addresses that it refused.
    """

    pacs: Pacs
    destination: str | None = None
    receiver_port: int | None = None
    receiver_host: str | None = None
    reach_problem: str | None = None
    addresses: tuple[str, ...] | None = None
    port: Port | None = None
    own_address: str | None = None
    association: Answer | None = None
    language: Language | None = None
    titles_accepted: tuple[str, str] | None = None
    offered: frozenset[str] | None = None
    echo: Answer | None = None
    search: Search | None = None
    to_destination: Answer | None = None
    to_nowhere: Answer | None = None
    destination_accepted: str | None = None
    asked_to_move: bool = False
    has_instance: bool = False
    moved: Answer | None = None
    arrival: Arrival | None = None
    refused: tuple[str, ...] = field(default=())
