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
    """The properties of an outcome.

    Attributes
    ----------
    colour
        The colour in bars and charts.
    reason
        Why the row is not complete, for readers who do not know dicomove.
    good
        Whether nothing is missing.
    moved
        Whether at least one instance was moved, as far as is known.
    failed
        Whether it counts against ``max_failures``. ``empty`` and ``invalid`` do not: ``empty`` is an answer, and an
        ``invalid`` row was never sent.
    ended
        Whether no further attempt can change it.
    """

    colour: str
    reason: str = ""
    good: bool = False
    moved: bool = False
    failed: bool = False
    ended: bool = False


#: All outcomes, the best one first; this is also the order of displays. Only `find` has ``matched`` and ``ambiguous``.
#: The colours are the palette of Okabe and Ito, which colour-blind people can distinguish, and greys instead of its
#: black, which is invisible on a dark page. There are more outcomes than colours: two that concern the network share
#: one.
OUTCOME_WORDS: Final = {
    "complete": OutcomeWord(colour="#009E73", good=True, moved=True, ended=True),
    "matched": OutcomeWord(colour="#009E73", good=True),
    "partial": OutcomeWord(colour="#E69F00", reason="some instances are missing", moved=True, failed=True),
    "unconfirmed": OutcomeWord(colour="#0072B2", reason="the PACS does not say what it moved", moved=True),
    "empty": OutcomeWord(colour="#F0E442", reason="the PACS has nothing for it"),
    "not_attempted": OutcomeWord(colour="#BBBBBB", reason="the run ended before it reached the row"),
    "ambiguous": OutcomeWord(colour="#E69F00", reason="several studies match, and nothing decides"),
    "invalid": OutcomeWord(colour="#666666", reason="the row cannot be asked for", ended=True),
    "cancelled": OutcomeWord(colour="#999999", reason="cancelled by the user", ended=True),
    "unreachable": OutcomeWord(colour="#CC79A7", reason="the PACS could not be reached", failed=True),
    "interrupted": OutcomeWord(colour="#CC79A7", reason="the connection was lost", failed=True),
    "failed": OutcomeWord(colour="#D55E00", reason="the PACS could not move it", failed=True),
}
OUTCOMES: Final = tuple(OUTCOME_WORDS)
MOVE_OUTCOMES: Final = tuple(name for name in OUTCOMES if name not in ("matched", "ambiguous"))
GRAVEST_FIRST: Final = MOVE_OUTCOMES[::-1]
OUTCOME_COLOURS: Final = {name: word.colour for name, word in OUTCOME_WORDS.items()}
GOOD: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.good)
MOVED: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.moved)
FAILED: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.failed)
ENDED: Final = frozenset(name for name, word in OUTCOME_WORDS.items() if word.ended)
#: The outcomes of `find` for a row of the cohort without a match.
UNMATCHED: Final = frozenset(MOVE_OUTCOMES) - MOVED
#: The outcome in versions before 0.2 of a row that an earlier run had completed.
SKIPPED: Final = "skipped"


#: The availability of images that the PACS does not have at hand (PS3.3 C.4.23.1.1).
SLOW: Final = frozenset({"NEARLINE", "OFFLINE", "UNAVAILABLE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorWord:
    """The properties of an error, for the user and for a run.

    Attributes
    ----------
    advice
        The text for the user.
    retry
        ``"yes"``: it may pass, and is tried again by default. ``"listed"``: it may pass at some PACS, and is tried
        again if the user lists it. ``"no"``: it cannot pass, or another attempt makes no sense.
    permanent
        Whether it can never pass, so that the user cannot list it.
    statuses
        Its DIMSE Statuses (PS3.4 C.4.2.1.5, PS3.7 C); every other failure is ``unable_to_process``.
    lost
        Whether the association ended before the answer: the PACS may be going down.
    busy
        Whether the PACS may need fewer requests at a time.
    refusal
        Whether a PACS may use it to refuse a list of instances or series. (pynetdicom's qrscp answers that the
        destination is unknown.)
    adds
        The text that it adds to the outcome in a report: its name, only the reason of the outcome, or nothing.
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
        advice="The PACS does not know this destination. Ask its administrator to register the AE title with host and "
        "port (Orthanc: DicomModalities).",
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
        advice="The PACS is overloaded, or it cannot reach the destination. Check that the destination runs, and that "
        "the PACS can connect to it. Then try again with fewer rows at a time.",
        retry="yes",
        statuses=(0x0213, *range(0xA700, 0xA800)),
        busy=True,
    ),
    "unable_to_process": ErrorWord(
        advice="The PACS gave no standardised reason: look into its log. Often the PACS does not know the destination, "
        "or the destination is down or refuses the instances.",
        retry="listed",
        refusal=True,
    ),
    "not_authorized": ErrorWord(
        advice="The PACS does not allow this for our AE title: ask its administrator to allow C-MOVE.",
        retry="listed",
        statuses=(0x0124,),
    ),
    "not_supported": ErrorWord(
        advice="The PACS does not offer this service, this query model, or these SOP classes: try the other "
        "query_model, or the other method ('move' or 'get').",
        permanent=True,
        statuses=(0x0118, 0x0122, 0x0211),
        refusal=True,
    ),
    "connection_failed": ErrorWord(advice="Check host, port and firewall, and that the PACS is up.", retry="yes"),
    "connect_timeout": ErrorWord(
        advice="There was no answer at this address: check host, port and firewall.", retry="yes"
    ),
    "association_rejected": ErrorWord(
        advice="Check the called AE title, and that the PACS knows ours.", retry="yes", busy=True
    ),
    "association_timeout": ErrorWord(
        advice="The port is open, but does not answer: it is not a DICOM port, or the PACS is overloaded.", retry="yes"
    ),
    "association_aborted": ErrorWord(
        advice="The PACS aborted the association: look into its log. The instances sent until then are in doubt.",
        retry="yes",
        lost=True,
    ),
    "connection_lost": ErrorWord(
        advice="The connection ended without an answer: the PACS restarted, a firewall closed it, or the PACS does not "
        "know our AE title. The instances sent until then are in doubt.",
        retry="yes",
        lost=True,
        adds="the reason",
    ),
    "tls_failed": ErrorWord(
        advice="Check tls= of Pacs and of Receiver, and the certificates of both sides.",
        retry="listed",
    ),
    "idle_timeout": ErrorWord(
        advice="The PACS was silent for too long: move the row again, or raise idle_timeout and "
        "first_response_timeout.",
        retry="yes",
        lost=True,
    ),
    "total_timeout": ErrorWord(
        advice="The move did not end within total_timeout: raise it, or move series by series.", retry="listed"
    ),
    "invalid_response": ErrorWord(
        advice="The answer was not valid DICOM: check that this is the DICOM port of a PACS. If it is, show the reason "
        "to its administrator.",
        retry="yes",
    ),
    "all_failed": ErrorWord(
        advice="The PACS could not store a single instance at the destination. Check that the destination runs, and "
        "that it accepts these SOP classes and transfer syntaxes.",
        retry="yes",
    ),
    "some_failed": ErrorWord(
        advice="Some instances could not be stored at the destination. Move the row again once. If the same instances "
        "fail again, the destination refuses their SOP class or transfer syntax, or the PACS cannot read them: look "
        "into its log.",
        retry="yes",
    ),
    "missing_instances": ErrorWord(
        advice="Fewer instances were moved than the PACS holds: move the row again.", retry="yes", adds="the reason"
    ),
    "other_patient": ErrorWord(
        advice="The images have another PatientID than the row, and another attempt cannot change that. Write the "
        "PatientID as the PACS does (find() shows it), or move by StudyInstanceUID, with query_model='StudyRoot'. If "
        "the images have an older number of the same patient, blank the PatientID: the row then relies on its UID.",
        permanent=True,
    ),
    "storage_failed": ErrorWord(
        advice="The receiver could not store an instance: is the disk full, or the folder read-only? Make room, then "
        "move the row again.",
        retry="yes",
    ),
    "receiver_refused": ErrorWord(
        advice="The receiver turned the PACS away: `refused` of the receiver has the reason.",
        retry="yes",
    ),
    "receiver_failed": ErrorWord(
        advice="The receiver's process was gone. Its files are on disk, but the result of the row is lost: move the "
        "row again.",
        retry="yes",
    ),
    "executor_failed": ErrorWord(
        advice="The executor, or one of its workers, is gone, and the row is in doubt: move the row again.",
        retry="yes",
    ),
    "nearline": ErrorWord(
        advice="The PACS has the images on a slow medium, or has to fetch them first, and nearline='skip' leaves such "
        "rows: nothing was sent. Move the row with nearline='last'.",
        adds="the reason",
    ),
    "invalid_row": ErrorWord(advice="Correct the row; nothing was sent.", permanent=True, adds="nothing"),
    "ambiguous": ErrorWord(
        advice="Give the row another key, or choose with matches= of find().", permanent=True, adds="its name"
    ),
    "too_large": ErrorWord(
        advice="Nothing was sent for it. Move its series one by one, or raise max_per_row.", permanent=True
    ),
    "capped": ErrorWord(
        advice="The PACS may have more studies than it lists (in one minute, without a time, or without a date): ask "
        "by patient or by accession number.",
        adds="the reason",
    ),
    "cancelled_by_pacs": ErrorWord(
        advice="The PACS ended the request by itself: find or move the row again. If this happens again, look into its "
        "log.",
        retry="yes",
    ),
    "cancelled": ErrorWord(
        advice="The run was stopped before the PACS had answered: the row is in doubt.", adds="nothing"
    ),
    "internal_error": ErrorWord(
        advice="The row met a defect of dicomove and is in doubt: please report it with the log."
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
