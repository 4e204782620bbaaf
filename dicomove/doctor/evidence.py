"""The results of the probes, as frozen values, and a row of the table. ``None`` means that a probe did not run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from dicomove.pacs import Pacs

Verdict = Literal["ok", "warning", "failed", "skipped"]
#: The state of the port: ``"timeout"`` means that nothing answers the TCP connection.
Port = Literal["open", "refused", "timeout", "unreachable"]
#: The protocol of a port that does not answer A-ASSOCIATE-RQ.
Language = Literal["HTTP", "TLS", "unknown"]

#: The error of a move that should match nothing, but moved something.
KEYS_IGNORED: Final = "keys_ignored"


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One check."""

    check: str
    verdict: Verdict
    found: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the PACS: `error` is a word of the result table, `text` is for a person."""

    error: str | None = None
    text: str = ""
    status: str | None = None
    duration_s: float = 0.0

    @property
    def meaning(self) -> tuple[str | None, str | None]:
        """A value that is equal for two answers with the same meaning."""
        return self.status, self.error


@dataclass(frozen=True, slots=True)
class Search:
    """The results of C-FIND.

    Attributes
    ----------
    control
        The answer to a search for a study that cannot exist.
    control_matches
        The matches of that search.
    sample
        The answer to a search for any study.
    studies
        The number of studies in this answer.
    stopped
        Whether dicomove cancelled this search because it had enough answers.
    halves
        The number of studies from the same search in two halves; ``None`` if it was not split.
    counts
        Whether the PACS gave numbers of instances.
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
    """The arrival of the instance at the receiver.

    Attributes
    ----------
    address, calling_ae_title, transfer_syntax
        The sender's address and AE title, and the transfer syntax, when the instance first arrived.
    was_there
        Whether the receiver had the instance before, and got it once more.
    """

    address: str
    calling_ae_title: str
    transfer_syntax: str
    was_there: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """The results of all probes.

    Attributes
    ----------
    pacs
        The PACS.
    destination
        The AE title of the destination.
    receiver_port, receiver_host, reach_problem
        If the destination is a receiver: the port and the host for the PACS's entry, and the reason why the PACS may
        not reach them.
    archive, at_archive, archive_matches
        The address at which the destination answers C-FIND; its answer to a search for a study that cannot exist, and
        the number of its matches.
    addresses
        The addresses of the host.
    port, own_address
        The state of the port; the address from which this machine connects to it.
    association, language
        The answer to A-ASSOCIATE-RQ; the protocol of the port if it is not DICOM.
    titles_accepted
        The called and the calling AE title in upper or lower case, if the PACS accepts them only so.
    offered
        The services that the PACS accepts.
    echo, search
        The answers to C-ECHO and C-FIND.
    to_destination, to_nowhere
        The answers to moves that match nothing: to the destination, and to an AE title that cannot exist.
    destination_accepted
        The destination in upper or lower case, if the PACS knows it only so.
    asked_to_move, has_instance
        Whether the caller asked for a move of one instance, and whether the search found one.
    moved, arrival, refused
        The answer to that move, the arrival at the receiver, and the addresses that the receiver refused.
    """

    pacs: Pacs
    destination: str | None = None
    receiver_port: int | None = None
    receiver_host: str | None = None
    reach_problem: str | None = None
    archive: Pacs | None = None
    at_archive: Answer | None = None
    archive_matches: int = 0
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
