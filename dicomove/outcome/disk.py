"""How the evidence becomes an outcome, where it is known what is on disk: the disk decides."""

from __future__ import annotations

from typing import Final

from dicomove.outcome.advice import sentences
from dicomove.outcome.arrivals import remarks
from dicomove.outcome.evidence import Evidence, Verdict
from dicomove.outcome.judgement import EMPTY, by_word, numbers_on_disk, verdict
from dicomove.outcome.statuses import category

_NOT_COUNTED: Final = "The PACS answered Success, and did not say how many there are: look it up with find()."


def by_disk(evidence: Evidence) -> Verdict:
    """Return the verdict on what there is on disk, whatever the PACS said."""
    word = by_word(evidence)
    if not evidence.sent:
        return word
    if evidence.received and evidence.missing == 0 and (evidence.expected is not None or _is_success(evidence)):
        return Verdict("complete", None, sentences(*remarks(evidence)) or None)
    if evidence.refused:
        return verdict("partial" if evidence.received else "failed", "storage_failed", evidence)
    return _something(evidence, word) if evidence.received else _nothing(evidence, word)


def _something(evidence: Evidence, word: Verdict) -> Verdict:
    if word.outcome == "interrupted":
        return word
    if evidence.missing is None and _is_success(evidence):
        return Verdict("unconfirmed", None, sentences(numbers_on_disk(evidence), _NOT_COUNTED))
    return verdict("partial", word.error or "missing_instances", evidence)


def _nothing(evidence: Evidence, word: Verdict) -> Verdict:
    came = bool(evidence.aside or evidence.strays)
    if word.outcome == "unconfirmed" and not (evidence.expected or came):
        return Verdict("empty", None, EMPTY)
    if word.outcome in ("complete", "partial", "unconfirmed") or (word.outcome == "empty" and evidence.aside):
        return verdict("failed", "missing_instances", evidence)
    return word


def _is_success(evidence: Evidence) -> bool:
    return evidence.status is not None and category(evidence.status) in ("success", "warning")
