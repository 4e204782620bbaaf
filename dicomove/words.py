"""The words of the columns ``outcome`` and ``error``: one table each, and all that depends on a word alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal[
    "complete",
    "partial",
    "empty",
    "unconfirmed",
    "failed",
    "unreachable",
    "interrupted",
    "cancelled",
    "invalid",
    "not_attempted",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeWord:
    """What an outcome looks like and stands for.

    Attributes
    ----------
    colour
        Of bars and charts.
    reason
        Why the row is not further, for a reader who does not know dicomove.
    good
        Whether nothing is missing.
    moved
        Whether at least one instance was moved, as far as is known.
    failed
        Whether it counts against ``max_failures``: ``empty`` is an answer, and ``invalid`` was clear before anything
        was sent.
    ended
        Whether no further attempt can change it.
    """

    colour: str
    reason: str = ""
    good: bool = False
    moved: bool = False
    failed: bool = False
    ended: bool = False


#: All outcomes, the best one first: also the order in which they are shown. ``matched`` is a word of `find` alone.
#: The colours are the palette of Okabe and Ito, which colour-blind people can tell apart, and greys: its black could
#: not be seen on a dark page. Outcomes are more than colours: two that concern the network share one.
OUTCOME_WORDS: Final = {
    "complete": OutcomeWord(colour="#009E73", good=True, moved=True, ended=True),
    "matched": OutcomeWord(colour="#009E73", good=True),
    "partial": OutcomeWord(colour="#E69F00", reason="some instances are missing", moved=True, failed=True),
    "unconfirmed": OutcomeWord(colour="#0072B2", reason="the PACS does not say what it moved", moved=True),
    "empty": OutcomeWord(colour="#F0E442", reason="the PACS has nothing for it"),
    "not_attempted": OutcomeWord(colour="#BBBBBB", reason="the run ended before its turn"),
    "invalid": OutcomeWord(colour="#666666", reason="the row cannot be asked for", ended=True),
    "cancelled": OutcomeWord(colour="#999999", reason="cancelled by the user", ended=True),
    "unreachable": OutcomeWord(colour="#CC79A7", reason="the PACS could not be reached", failed=True),
    "interrupted": OutcomeWord(colour="#CC79A7", reason="the connection was lost", failed=True),
    "failed": OutcomeWord(colour="#D55E00", reason="the PACS could not move it", failed=True),
}
OUTCOMES: Final = tuple(OUTCOME_WORDS)
MOVE_OUTCOMES: Final = tuple(name for name in OUTCOMES if name != "matched")
GRAVEST_FIRST: Final = MOVE_OUTCOMES[::-1]
COLOURS: Final = {name: word.colour for name, word in OUTCOME_WORDS.items()}
GOOD: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.good)
MOVED: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.moved)
FAILED: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.failed)
ENDED: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.ended)
#: What `find` says of a row of the cohort that matched nothing.
UNMATCHED: Final = frozenset(MOVE_OUTCOMES) - MOVED
#: What versions before 0.2 called a row that an earlier run had completed.
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorWord:
    """What an error means to the user, and to a run.

    Attributes
    ----------
    advice
        What a person is told.
    retry
        ``"yes"``: it may pass, and is tried again by default. ``"listed"``: it may pass at one PACS and not at another,
        and is tried again where the user lists it. ``"no"``: it cannot pass, or is not for another attempt.
    permanent
        Whether the user may not even list it: it cannot pass.
    statuses
        The DIMSE Statuses that it stands for (PS3.4 C.4.2.1.5, PS3.7 C); every other failure is ``unable_to_process``.
    lost
        Whether the association ended before the answer: the PACS may be going down.
    busy
        Whether the PACS may be asked for less at a time.
    refusal
        Whether a PACS may mean by it that it cannot be asked for a list of instances or series. (pynetdicom's qrscp
        calls the destination unknown.)
    adds
        What the word adds to the outcome in a report: its name, no more than the reason of the outcome, or nothing.
    """

    advice: str
    retry: Literal["yes", "listed", "no"] = "no"
    permanent: bool = False
    statuses: tuple[int, ...] = ()
    lost: bool = False
    busy: bool = False
    refusal: bool = False
    adds: Literal["its name", "the reason", "nothing"] = "its name"


ERROR_WORDS: Final = {
    "destination_unknown": ErrorWord(
        advice="The PACS does not know this destination: its administrator registers the AE title with host and port "
        "(Orthanc: DicomModalities).",
        permanent=True,
        statuses=(0xA801,),
        refusal=True,
    ),
    "no_match": ErrorWord(
        advice="The PACS has nothing for this identifier: look it up with find().",
        retry="listed",
        statuses=(0x0112,),
        refusal=True,
        adds="nothing",
    ),
    "identifier_mismatch": ErrorWord(
        advice="The PACS refuses the identifier at this level: try another level, or query_model='PatientRoot' with "
        "PatientID.",
        permanent=True,
        statuses=(0x0105, 0x0106, 0x0115, 0x0119, 0x0120, 0x0121, 0x0212, 0xA900),
        refusal=True,
    ),
    "out_of_resources": ErrorWord(
        advice="The PACS, or the destination as the PACS sees it, is short of resources: is the destination up and "
        "reachable from the PACS? Try again later, with fewer rows at a time.",
        retry="yes",
        statuses=(0x0213, *range(0xA700, 0xA800)),
        busy=True,
    ),
    "unable_to_process": ErrorWord(
        advice="The PACS gave no reason that is standardised: its log knows more. Often the destination is unknown to "
        "the PACS, down, or refuses what it gets.",
        retry="listed",
        refusal=True,
    ),
    "not_authorized": ErrorWord(
        advice="The PACS does not allow this to our AE title: its administrator grants C-MOVE.",
        retry="listed",
        statuses=(0x0124,),
    ),
    "not_supported": ErrorWord(
        advice="The PACS does not offer this service or query model: try the other query_model.",
        permanent=True,
        statuses=(0x0118, 0x0122, 0x0211),
        refusal=True,
    ),
    "connection_failed": ErrorWord(advice="Check host, port and firewall, and that the PACS is up.", retry="yes"),
    "connect_timeout": ErrorWord(
        advice="Check host, port and firewall: nothing answered at this address.", retry="yes"
    ),
    "association_rejected": ErrorWord(
        advice="Check the called AE title, and that the PACS knows ours.", retry="yes", busy=True
    ),
    "association_timeout": ErrorWord(
        advice="Something listens there but does not speak DICOM, or the PACS is overloaded.", retry="yes"
    ),
    "association_aborted": ErrorWord(
        advice="The PACS broke off: its log knows why. What it had sent by then is in doubt.", retry="yes", lost=True
    ),
    "connection_lost": ErrorWord(
        advice="The connection ended without an answer: a PACS that restarts, a firewall, or a PACS that drops AE "
        "titles it does not know. What was sent by then is in doubt.",
        retry="yes",
        lost=True,
        adds="the reason",
    ),
    "tls_failed": ErrorWord(
        advice="The certificates of both sides, and tls= of Pacs and Receiver, decide whether TLS is possible.",
        retry="listed",
    ),
    "idle_timeout": ErrorWord(
        advice="The PACS was silent for too long: move again, or raise idle_timeout and first_response_timeout.",
        retry="yes",
        lost=True,
    ),
    "total_timeout": ErrorWord(advice="The move did not end within total_timeout.", retry="listed"),
    "invalid_response": ErrorWord(
        advice="The answer was no proper DICOM: is this the DICOM port of a PACS?", retry="yes"
    ),
    "all_failed": ErrorWord(
        advice="The PACS could not store a single instance at the destination: is the destination up, and does it "
        "accept these SOP classes and transfer syntaxes?",
        retry="yes",
    ),
    "some_failed": ErrorWord(
        advice="Some instances could not be stored at the destination. Move the row again once; what fails the same "
        "way then is refused for its SOP class or transfer syntax, or the PACS cannot read it: its log knows more.",
        retry="yes",
    ),
    "missing_instances": ErrorWord(
        advice="Fewer instances were moved than the PACS holds: move the row again.", retry="yes", adds="the reason"
    ),
    "other_patient": ErrorWord(
        advice="What came has another PatientID than the row, and no attempt changes that: take the PatientID as the "
        "PACS writes it (find() shows it), or move by StudyInstanceUID, with query_model='StudyRoot'.",
        permanent=True,
    ),
    "storage_failed": ErrorWord(
        advice="The receiver could not store what came: is the disk full, or the folder read-only? Move the row again "
        "once there is room.",
        retry="yes",
    ),
    "receiver_failed": ErrorWord(
        advice="The receiver was gone: what came is on disk, and what it knows of the row is not. Move the row again.",
        retry="yes",
    ),
    "executor_failed": ErrorWord(
        advice="The executor, or one of its workers, is gone: what was sent by then is in doubt. Move the row again.",
        retry="yes",
    ),
    "invalid_row": ErrorWord(advice="Correct the row; nothing was sent.", permanent=True, adds="nothing"),
    "cancelled_by_pacs": ErrorWord(
        advice="The PACS ended the move by itself: move the row again. If it does so once more, its log knows why.",
        retry="yes",
    ),
    "cancelled": ErrorWord(
        advice="The run was stopped before the PACS had answered: what was sent by then is in doubt.", adds="nothing"
    ),
    "internal_error": ErrorWord(
        advice="A defect in dicomove, in doubt whether anything was moved: please report it with the log."
    ),
}
ADVICE: Final = {name: word.advice for name, word in ERROR_WORDS.items()}
#: Words that are tried again by default, that the user may list, and that cannot pass.
RETRYABLE: Final = frozenset(name for name, word in ERROR_WORDS.items() if word.retry == "yes")
OPTIONAL: Final = frozenset(name for name, word in ERROR_WORDS.items() if word.retry == "listed")
NEVER: Final = frozenset(name for name, word in ERROR_WORDS.items() if word.permanent)
LOST: Final = frozenset(name for name, word in ERROR_WORDS.items() if word.lost)
BUSY: Final = frozenset(name for name, word in ERROR_WORDS.items() if word.busy)
REFUSALS: Final = frozenset(name for name, word in ERROR_WORDS.items() if word.refusal)
