"""One row after its C-MOVE: what was expected, what came, what is on disk, and what that means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.outcome import RESTS_ON_C_FIND, Evidence, category, judge, remarks, rivals
from dicomove.receiver import OtherPatient, RowAtReceiver, Settled
from dicomove.run.inventory import Inventory, Listed


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of one row, and what it was read from.

    Attributes
    ----------
    result
        As it reads now.
    settled
        What the receiver has; ``None`` for another destination.
    listed
        What an IMAGE-level C-FIND lists, where one was asked.
    """

    result: MoveResult
    settled: Settled | None = None
    listed: Listed | None = None

    @property
    def is_unverified(self) -> bool:
        """Whether the row may read otherwise once the PACS says what to expect, and it has not said it."""
        return self.result.evidence.unverified is not None and self.result.outcome in RESTS_ON_C_FIND

    @property
    def may_be_verified(self) -> bool:
        """Whether it is worth while to ask the PACS again what there is."""
        unverified = self.result.evidence.unverified
        return self.is_unverified and unverified is not None and unverified.may_pass

    @property
    def missing(self) -> Listed:
        """The instances that were listed and are not on disk, each with its series."""
        held = self.settled.held if self.settled else {}
        return {uid: series for uid, series in (self.listed or {}).items() if uid not in held}

    @property
    def others(self) -> tuple[OtherPatient, ...]:
        """The instances that have another PatientID than the row."""
        return self.settled.others if self.settled else ()

    @property
    def unexpected(self) -> list[str]:
        """The instances that are on disk and were not listed."""
        held = self.settled.held if self.settled and self.listed is not None else {}
        return [uid for uid in held if uid not in (self.listed or {})]


def reconcile(
    result: MoveResult,
    identifier: Identifier,
    hint: int | None,
    inventory: Inventory,
    at_receiver: RowAtReceiver | None,
    *,
    narrowed: bool = False,
    patients: int = 0,
) -> Reconciled:
    """Return the result as it reads once it is known what was expected, and what came.

    Parameters
    ----------
    result
        As the PACS's word has it.
    identifier
        What was moved.
    hint
        The number of instances that the caller's table says.
    inventory
        Asks the PACS what there is.
    at_receiver
        The row at the receiver, if there is one.
    narrowed
        Whether only some of the row was asked for.
    patients
        How many different PatientIDs the rows name that ask for it.

    Raises
    ------
    ReceiverError
        The receiver is gone for good.
    """
    result = replace(result, evidence=replace(result.evidence, patients=patients))
    if at_receiver is None:
        evidence, listed = inventory.expected(result.evidence, identifier, hint)
        return Reconciled(_read_again(result, evidence), None, listed)
    enough = _enough(result.evidence, None if narrowed else hint)
    settled = at_receiver.settle(enough, quiet=None if result.evidence.sent else 0)
    evidence, listed = inventory.expected(_with(result.evidence, settled), identifier, hint, settled.held)
    # The PACS said less than there is, or sends twice: what is missing may be on its way.
    while enough is not None and settled.arrivals >= enough and (coming := _may_be_coming(evidence)) > 0:
        enough = settled.arrivals + coming
        settled = at_receiver.settle(enough)
        evidence = _counted_anew(_with(evidence, settled), settled.held, listed)
    return Reconciled(_read_again(result, _without_echo(evidence)), settled, listed)


def verify_again(
    reconciled: Reconciled,
    identifier: Identifier,
    hint: int | None,
    inventory: Inventory,
    at_receiver: RowAtReceiver | None,
) -> Reconciled:
    """Return the result as it reads once the PACS was asked again what there is. Nothing is moved.

    Raises
    ------
    ReceiverError
        The receiver is gone for good.
    """
    settled = reconciled.settled
    if settled is not None and at_receiver is not None:
        settled = replace(settled, held=at_receiver.held())
    evidence = replace(reconciled.result.evidence, expected=None, missing=None)
    evidence, listed = inventory.expected(evidence, identifier, hint, settled.held if settled else None)
    return Reconciled(_read_again(reconciled.result, _without_echo(evidence)), settled, listed)


def look_again(reconciled: Reconciled, held: Mapping[str, int], others: Sequence[OtherPatient] = ()) -> Reconciled:
    """Return the result as it reads with what came after the row had ended.

    Parameters
    ----------
    reconciled
        As it read then.
    held
        What is on disk now, by SOP Instance UID, with its size.
    others
        What of it has another PatientID than the row.
    """
    settled = reconciled.settled
    if settled is None or len(held) <= len(settled.held):
        return reconciled
    aside = [one for one in settled.others if one.sop_instance_uid not in held]
    settled = replace(settled, held=held, others=(*aside, *others))
    evidence = replace(reconciled.result.evidence, received=len(held), others=_differences(settled))
    evidence = _counted_anew(evidence, held, reconciled.listed)
    return Reconciled(_read_again(reconciled.result, evidence), settled, reconciled.listed)


def remarks_on(settled: Settled, patients: int) -> list[str]:
    """Return what is to be told of a row that was on disk already: sentences.

    Parameters
    ----------
    settled
        What the receiver has of it.
    patients
        How many different PatientIDs the rows name that ask for it.
    """
    return [*remarks(Evidence(others=_differences(settled))), rivals(patients)]


def discrepancies(reconciled: Reconciled, identifier: Identifier) -> Iterator[dict[str, str]]:
    """Yield what does not add up in a row: one dict for each instance."""
    keys = dict(identifier.keys)
    known = {"StudyInstanceUID": keys.get("StudyInstanceUID", "")}
    for uid, series in reconciled.missing.items():
        yield {"kind": "missing", **known, "SeriesInstanceUID": series, "SOPInstanceUID": uid}
    for uid in reconciled.unexpected:
        yield {"kind": "unexpected", **known, "SeriesInstanceUID": "", "SOPInstanceUID": uid}


def of_other_patients(others: Iterable[OtherPatient]) -> Iterator[dict[str, str]]:
    """Yield one dict for each instance that has another PatientID than its row."""
    for one in others:
        yield {
            "kind": "other_patient",
            "StudyInstanceUID": one.study_instance_uid,
            "SeriesInstanceUID": one.series_instance_uid,
            "SOPInstanceUID": one.sop_instance_uid,
        }


def _enough(evidence: Evidence, hint: int | None) -> int | None:
    """Return after how many arrivals nothing more needs to be waited for; ``None`` where nobody knows."""
    if not _went_well(evidence):
        return evidence.counts.moved or 0
    known = [number for number in (hint, evidence.counts.moved) if number is not None]
    return max(known) if known else None


def _may_be_coming(evidence: Evidence) -> int:
    """Return how many of the missing instances nobody has called failed."""
    return (evidence.missing or 0) - (evidence.counts.failed or 0) if _went_well(evidence) else 0


def _went_well(evidence: Evidence) -> bool:
    return evidence.status is not None and category(evidence.status) in ("success", "warning")


def _with(evidence: Evidence, settled: Settled) -> Evidence:
    return replace(
        evidence,
        received=len(settled.held),
        refused=settled.dispositions.get("refused", 0),
        # A process that was started again has forgotten what came.
        arrivals=None if settled.restarted else settled.arrivals,
        aside=tuple(settled.aside.items()),
        strays=tuple(settled.strays.items()),
        others=_differences(settled),
        strangers=tuple(settled.refused_addresses),
    )


def _differences(settled: Settled) -> tuple[tuple[str, int], ...]:
    """Return in what the PatientIDs of instances on disk differ, and how many for each difference."""
    return tuple(Counter(one.difference for one in settled.others if one.sop_instance_uid in settled.held).items())


def _counted_anew(evidence: Evidence, held: Mapping[str, int], listed: Listed | None) -> Evidence:
    """Return the evidence with what is missing now; what was expected is as it was."""
    if evidence.missing is None:
        return evidence
    whole = evidence.reported if evidence.expected is None else evidence.expected
    missing = len(listed.keys() - held.keys()) if listed is not None else max(0, (whole or 0) - len(held))
    return replace(evidence, missing=missing)


def _without_echo(evidence: Evidence) -> Evidence:
    """Return the evidence without a count of nothing: nothing came now, and what is there is of an earlier run."""
    if evidence.expected is None and evidence.received and not evidence.reported:
        return replace(evidence, missing=None)
    return evidence


def _read_again(result: MoveResult, evidence: Evidence) -> MoveResult:
    verdict = judge(evidence)
    return replace(result, evidence=evidence, outcome=verdict.outcome, error=verdict.error, advice=verdict.advice)
