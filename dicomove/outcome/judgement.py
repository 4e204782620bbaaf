"""The outcome and the error of a C-MOVE: by the word of the PACS, or by the files on disk if they are known.

The meaning of a DIMSE Status (PS3.7 C) is here, too: success, warning, pending, cancel or failure; and its error word.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from dicomove.outcome.advice import (
    BETTER_ADVICE,
    GET_ADVICE,
    advice_on,
    of_other_person,
    of_several_patients,
    of_short_list,
    of_surplus,
    of_unrequested,
    remarks,
    remarks_on_refusals,
    remedy,
    sentences,
)
from dicomove.outcome.evidence import COUNT_LIMIT, Evidence, Verdict, shortfall
from dicomove.words import ERROR_WORDS, LOST, Outcome

Category = Literal["success", "warning", "pending", "cancel", "failure"]

CANCELLED: Final = 0xFE00
_WARNINGS: Final = range(0xB000, 0xC000)
_FAILURES: Final = {status: name for name, word in ERROR_WORDS.items() for status in word.statuses}
#: Outcomes that may change when the expected number is known.
RESTS_ON_C_FIND: Final = frozenset({"complete", "partial", "empty", "unconfirmed"})
_NO_ANSWER_TO_CANCEL: Final = (
    "The PACS did not answer C-CANCEL and the association was aborted: it may go on sending for a while."
)
EMPTY: Final = "Success, and nothing was moved: the PACS has nothing for this identifier."
_UNCONFIRMED: Final = (
    "The PACS says Success without counts: look into the destination, or move to a receiver that counts."
)
_STARTED_AGAIN: Final = (
    "The PACS says Success and counts nothing: its counts have 16 bits, and start again at zero after so many "
    "instances. Look into the destination, or move to a receiver that counts."
)
_NOT_COUNTED: Final = "The PACS answered Success, and did not say how many there are: look it up with find()."


def category(status: int) -> Category:
    """Return the kind of a Status; an undefined one is a failure."""
    if status == 0x0000:
        return "success"
    if status in (0xFF00, 0xFF01):
        return "pending"
    if status == CANCELLED:
        return "cancel"
    if status in (0x0001, 0x0107, 0x0116) or status in _WARNINGS:
        return "warning"
    return "failure"


def failure_word(status: int) -> str:
    """Return the error word for a failure status."""
    return _FAILURES.get(status, "unable_to_process")


def find_error(status: int) -> str | None:
    """Return the error word for the final status of a C-FIND; ``None`` if the list of matches is complete.

    A warning (0xB001, for example) means that the PACS may have more matches.
    """
    if status == CANCELLED:
        return "cancelled_by_pacs"
    if category(status) == "failure":
        return failure_word(status)
    return "capped" if status in _WARNINGS else None


def judge(evidence: Evidence) -> Verdict:
    """Return the outcome of one C-MOVE, with the error and an advice."""
    verdict = by_word(evidence) if evidence.received is None else by_disk(evidence)
    if evidence.unanswered and verdict.outcome == "complete":  # only the PACS says so, and not the destination
        verdict = replace(verdict, outcome="unconfirmed")
    if evidence.cancelled and verdict.outcome != "complete":
        verdict = Verdict("cancelled", None, _NO_ANSWER_TO_CANCEL if evidence.status is None else None)
    told = [of_surplus(evidence), of_short_list(evidence)]
    told += [of_several_patients(evidence.patients), of_other_person(evidence.other_person) if evidence.sent else ""]
    if (evidence.unverified or evidence.unanswered) and verdict.outcome in RESTS_ON_C_FIND:
        told = [*(one.why for one in (evidence.unverified, evidence.unanswered) if one), *told]
    return replace(verdict, advice=sentences(verdict.advice or "", *told)) if any(told) else verdict


def by_word(evidence: Evidence) -> Verdict:
    """Return the verdict by the word of the PACS: its Status, its counts, and the counts of C-FIND."""
    if evidence.problem == "not_supported":
        return verdict("failed", "not_supported", evidence)
    if evidence.status is None:
        return _without_answer(evidence)
    kind = category(evidence.status)
    if kind in ("success", "warning"):
        return _by_counts(evidence)
    word = "cancelled_by_pacs" if kind == "cancel" else failure_word(evidence.status)
    if evidence.counts.moved:
        return verdict("partial", word, evidence)
    if word == "unable_to_process" and evidence.expected == 0:
        word = "no_match"
    return verdict("failed", word, evidence)


def _without_answer(evidence: Evidence) -> Verdict:
    word = evidence.problem or "connection_lost"
    if evidence.sent:
        return verdict("interrupted", word, evidence)
    return verdict("unreachable", word, evidence)


def _by_counts(evidence: Evidence) -> Verdict:
    moved, failed = evidence.counts.moved, _failed(evidence)
    if failed:
        # A list of failed instances without counts: if there are other instances, they were moved.
        others = evidence.counts.failed is None and moved is None and failed != evidence.expected
        some = bool(moved) or others
        return verdict("partial" if some else "failed", "some_failed" if some else "all_failed", evidence)
    if _unconfirmed(evidence, failed):
        return Verdict("empty", None, EMPTY) if evidence.expected == 0 else Verdict("unconfirmed", None, _UNCONFIRMED)
    whole = max(evidence.expected or 0, evidence.counts.total or 0)
    if evidence.received is None and not moved and whole and whole % COUNT_LIMIT == 0:
        return Verdict("unconfirmed", None, _STARTED_AGAIN)
    if shortfall(evidence):
        return verdict("partial" if moved else "failed", "missing_instances", evidence)
    return Verdict("complete") if moved else Verdict("empty", None, EMPTY)


def _failed(evidence: Evidence) -> int | None:
    if evidence.counts.failed is None and evidence.failed_sop_instance_uids:
        return len(evidence.failed_sop_instance_uids)
    return evidence.counts.failed


def _unconfirmed(evidence: Evidence, failed: int | None) -> bool:
    """Whether the counts are not sufficient: absent, not from the final response, or a warning without a cause."""
    counts = evidence.counts
    unexplained = category(evidence.status or 0) == "warning" and failed is None and counts.warning is None
    stale = not counts.at_end and counts.remaining != 0
    return counts.moved is None or stale or unexplained


def verdict(outcome: Outcome, word: str, evidence: Evidence) -> Verdict:
    """Return a verdict with its advice."""
    better = remedy(word, evidence)
    if better in ("other_patient", "internal_error"):
        word = better
    elif better and better.startswith("refused"):
        word = "receiver_refused"
    # A lost association leaves images in doubt only if they were asked for.
    method = evidence.method if evidence.sent or word not in LOST else "find"
    advice = _better_advice(better, evidence) or advice_on(word, evidence.detail, evidence.destination, method)
    return Verdict(outcome, word, sentences(evidence.detail, _numbers(word, evidence), advice) or None)


def _better_advice(better: str | None, evidence: Evidence) -> str | None:
    if better is None:
        return None
    of_get = GET_ADVICE.get(better) if evidence.method == "get" else None
    return of_get or BETTER_ADVICE.get(better)


def _numbers(word: str, evidence: Evidence) -> str:
    counts = evidence.counts
    if evidence.received is not None:
        return numbers_on_disk(evidence)
    if word == "missing_instances":
        return f"{counts.moved} of {max(counts.total or 0, evidence.expected or 0)} instances."
    if word == "some_failed" and counts.failed:
        return f"{counts.failed} failed, {counts.moved} moved."
    return ""


def numbers_on_disk(evidence: Evidence) -> str:
    """Return sentences about the instances on disk, and about the others."""
    return sentences(
        _on_disk(evidence), *remarks(evidence), of_unrequested(evidence), *remarks_on_refusals(evidence.refusals)
    )


def _on_disk(evidence: Evidence) -> str:
    received, missing = evidence.received or 0, evidence.missing
    where = "on disk" if evidence.counted_by == "receiver" else "at the destination"
    if missing is None:
        return f"{received} instances are {where}"
    return f"{received} of {received + missing} instances are {where}" if received + missing else f"nothing is {where}"


def by_disk(evidence: Evidence) -> Verdict:
    """Return the verdict by the files on disk, whatever the PACS said."""
    word = by_word(evidence)
    if not evidence.sent:
        return word
    if evidence.received and evidence.missing == 0 and (evidence.expected is not None or reports_success(evidence)):
        return Verdict("complete", None, sentences(*remarks(evidence)) or None)
    if evidence.refused:
        return verdict("partial" if evidence.received else "failed", "storage_failed", evidence)
    return _something(evidence, word) if evidence.received else _nothing(evidence, word)


def _something(evidence: Evidence, word: Verdict) -> Verdict:
    if word.outcome == "interrupted":
        return word
    if evidence.missing is None and reports_success(evidence):
        return Verdict("unconfirmed", None, sentences(numbers_on_disk(evidence), _NOT_COUNTED))
    return verdict("partial", word.error or "missing_instances", evidence)


def _nothing(evidence: Evidence, word: Verdict) -> Verdict:
    came = bool(evidence.aside or evidence.without_row)
    if word.outcome == "unconfirmed" and not (evidence.expected or came):
        return Verdict("empty", None, EMPTY)
    if word.outcome in ("complete", "partial", "unconfirmed") or (word.outcome == "empty" and evidence.aside):
        return verdict("failed", "missing_instances", evidence)
    return word


def reports_success(evidence: Evidence) -> bool:
    """Return whether the PACS reports success."""
    return evidence.status is not None and category(evidence.status) in ("success", "warning")
