"""Reconciles a row after its C-MOVE: compares what was expected with what came and what is on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from dicomove.cohort import Identifier
from dicomove.dimse import MoveResult
from dicomove.interpreter import changed
from dicomove.outcome import (
    ALTOGETHER,
    Evidence,
    judge,
    of_other_person,
    of_several_patients,
    remarks,
    reports_success,
    with_missing,
)
from dicomove.receiver import OtherPatient, ReceivedRow, RowAtReceiver
from dicomove.run.attempt.ends import Moved
from dicomove.run.attempt.inventory import Inventory
from dicomove.run.attempt.questions import Listed

#: The association ended early, and not for lack of time: after a silence, or a total time, nothing is waited for.
_BROKEN_OFF: Final = frozenset({"association_aborted", "connection_lost", "invalid_response"})


def reconcile(
    result: MoveResult,
    identifier: Identifier,
    expected_in_table: int | None,
    inventory: Inventory,
    at_receiver: RowAtReceiver | None,
    *,
    missing: Listed | None,
    several: bool,
    may_come_later: bool,
) -> Moved:
    """Return the result, corrected by what was expected and what came.

    Parameters
    ----------
    result
        The result according to the PACS.
    identifier
        The identifier of the row.
    expected_in_table
        The number of instances that the caller's table says.
    inventory
        Asks the PACS.
    at_receiver
        The row at the receiver, if there is one.
    missing
        The missing instances, if only these were asked for. The counts of the PACS are those of these instances, and
        say nothing about the whole row.
    several
        Whether the result is of several C-MOVEs, whose outcome has to be judged anew.
    may_come_later
        Whether instances may still come. With C-GET they cannot: its one association has ended. A PACS that breaks
        each association off need not be waited for each time.

    Raises
    ------
    ReceiverError
        The receiver is gone for good.
    """
    before = result.evidence
    if at_receiver is None:
        evidence, listed = inventory.expected(before, identifier, expected_in_table)
        is_news = several or evidence is not before
        return Moved(read_again(result, evidence) if is_news else result, None, listed)
    wanted_arrivals = _wanted_arrivals(before, None if missing else expected_in_table)
    received = at_receiver.await_arrivals(wanted_arrivals, quiet=None if before.sent and may_come_later else 0)
    known = max(expected_in_table or 0, len({*received.held, *missing})) if missing else expected_in_table
    evidence, listed = inventory.expected(with_received(before, received), identifier, known, received.held)
    # The PACS said less than there is, or sends twice: what is missing may be on its way.
    while (
        may_come_later
        and wanted_arrivals is not None
        and received.arrivals >= wanted_arrivals
        and (coming := may_be_coming(evidence)) > 0
    ):
        wanted_arrivals = received.arrivals + coming
        received = at_receiver.await_arrivals(wanted_arrivals)
        evidence = counted_anew(with_received(evidence, received), received.held, listed)
    return Moved(read_again(result, without_empty_count(evidence)), received, listed)


def as_named(result: MoveResult, patients: int, other_person: str | None) -> MoveResult:
    """Return the result with advice on rows that disagree about the patient.

    Parameters
    ----------
    result
        The result according to the PACS.
    patients
        The number of different PatientIDs in the rows.
    other_person
        The key of the patient (PatientName, say) for which the PACS has another value.
    """
    if patients < 2 and not other_person:  # mostly
        return result
    return read_again(result, replace(result.evidence, patients=patients, other_person=other_person))


def verify_again(
    moved: Moved,
    identifier: Identifier,
    expected_in_table: int | None,
    inventory: Inventory,
    at_receiver: RowAtReceiver | None,
) -> Moved:
    """Return the result after another C-FIND. Nothing is moved.

    Raises
    ------
    ReceiverError
        The receiver is gone for good.
    """
    received = moved.received
    if received is not None and at_receiver is not None:
        received = replace(received, held=_without_rejected(received, at_receiver.held()))
    evidence = replace(moved.result.evidence, expected=None, missing=None)
    evidence, listed = inventory.expected(evidence, identifier, expected_in_table, received.held if received else None)
    return Moved(read_again(moved.result, without_empty_count(evidence)), received, listed)


def look_again(moved: Moved, held: Mapping[str, int], others: Sequence[OtherPatient] = ()) -> Moved:
    """Return the result with the instances that came after the end of the row.

    Parameters
    ----------
    moved
        The result at the end of the row.
    held
        The instances on disk now: SOP Instance UIDs with their sizes.
    others
        Those of them that have another PatientID than the row.
    """
    received = moved.received
    held = _without_rejected(received, held) if received else held
    if received is None or len(held) <= len(received.held):
        return moved
    aside = [one for one in received.others if one.sop_instance_uid not in held]
    received = replace(received, held=held, others=(*aside, *others))
    evidence = replace(moved.result.evidence, received=len(held), others=_differences(received))
    evidence = counted_anew(evidence, held, moved.listed)
    return Moved(read_again(moved.result, evidence), received, moved.listed)


def _without_rejected(received: ReceivedRow, held: Mapping[str, int]) -> Mapping[str, int]:
    """Return the instances on disk without those that did not count before because they are of another patient."""
    others = {one.sop_instance_uid for one in received.others if one.difference == ALTOGETHER}
    return {uid: size for uid, size in held.items() if uid not in others or uid in received.held}


def remarks_on(received: ReceivedRow, patients: int, other_person: str | None) -> list[str]:
    """Return remarks on a row that was on disk already, as sentences.

    Parameters
    ----------
    received
        The instances at the receiver.
    patients
        The number of different PatientIDs in the rows.
    other_person
        As in `as_named`.
    """
    return [
        *remarks(Evidence(others=_differences(received))),
        of_several_patients(patients),
        of_other_person(other_person),
    ]


def discrepancies(moved: Moved, identifier: Identifier) -> Iterator[dict[str, str]]:
    """Yield the discrepancies of a row: one dict for each instance."""
    keys = dict(identifier.keys)
    known = {"StudyInstanceUID": keys.get("StudyInstanceUID", "")}
    for uid, series in moved.missing.items():
        yield missing_file({**known, "SeriesInstanceUID": series, "SOPInstanceUID": uid})
    for uid in moved.unexpected:
        yield {"kind": "unexpected", **known, "SeriesInstanceUID": "", "SOPInstanceUID": uid}


def missing_file(keys: Mapping[str, str]) -> dict[str, str]:
    """Return the dict of a missing instance."""
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return {"kind": "missing", **{name: keys.get(name, "") for name in names}}


def uncounted(identifier: Identifier) -> dict[str, str | None]:
    """Return the dict of a row that the destination did not answer about."""
    study = dict(identifier.keys).get("StudyInstanceUID", "")
    return {"kind": "unknown", "StudyInstanceUID": study, "SeriesInstanceUID": None, "SOPInstanceUID": None}


def of_other_patients(others: Iterable[OtherPatient]) -> Iterator[dict[str, str]]:
    """Yield one dict for each instance that has another PatientID than its row."""
    for one in others:
        yield {
            "kind": "other_patient",
            "StudyInstanceUID": one.study_instance_uid,
            "SeriesInstanceUID": one.series_instance_uid,
            "SOPInstanceUID": one.sop_instance_uid,
        }


def _wanted_arrivals(evidence: Evidence, expected_in_table: int | None) -> int | None:
    """Return the number of arrivals that ends the wait; ``None`` if it is unknown.

    A PACS that broke the association off may go on sending all that it was asked for.
    """
    broke_off = is_broken_off(evidence)
    if not (broke_off or reports_success(evidence)):
        return evidence.counts.moved or 0
    announced = evidence.counts.total if broke_off else evidence.counts.moved
    known = [number for number in (expected_in_table, announced) if number is not None]
    return max(known) if known else None


def is_broken_off(evidence: Evidence) -> bool:
    """Whether the association ended without an answer, and not by a stop or a time limit of ours."""
    return evidence.status is None and evidence.problem in _BROKEN_OFF and not evidence.cancelled


def may_be_coming(evidence: Evidence) -> int:
    """Return the number of missing instances that the PACS did not report as failed."""
    return (evidence.missing or 0) - (evidence.counts.failed or 0) if reports_success(evidence) else 0


def with_received(evidence: Evidence, received: ReceivedRow) -> Evidence:
    """Return the evidence with the instances at the receiver or at the destination."""
    # A receiver process that was started again has forgotten the arrivals; an archive knows only what it has.
    is_counted = received.counted_by == "receiver" and not received.restarted
    return replace(
        evidence,
        received=len(received.held),
        counted_by=received.counted_by,
        refused=received.dispositions.get("refused", 0),
        arrivals=received.arrivals if is_counted else None,
        aside=tuple(received.aside.items()),
        without_row=tuple(received.without_row.items()),
        remarked=tuple(received.remarks.items()),
        others=_differences(received),
        refusals=tuple(received.refusals),
    )


def _differences(received: ReceivedRow) -> tuple[tuple[str, int], ...]:
    """Return how the PatientIDs of instances on disk differ from the row's, each with the number of instances."""
    return tuple(Counter(one.difference for one in received.others if one.sop_instance_uid in received.held).items())


def counted_anew(evidence: Evidence, held: Mapping[str, int], listed: Listed | None) -> Evidence:
    """Return the evidence with the present number of missing instances; the expected number stays."""
    return evidence if evidence.missing is None else with_missing(evidence, held, listed)


def without_empty_count(evidence: Evidence) -> Evidence:
    """Return the evidence without `missing`, if nothing came now and all on disk is from an earlier run."""
    if evidence.expected is None and evidence.received and not evidence.reported:
        return replace(evidence, missing=None)
    return evidence


def read_again(result: MoveResult, evidence: Evidence) -> MoveResult:
    """Return the result, judged anew with this evidence."""
    verdict = judge(evidence)
    return changed(result, evidence=evidence, outcome=verdict.outcome, error=verdict.error, advice=verdict.advice)
