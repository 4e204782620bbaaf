"""Every branch of the verdict on what is on disk: status, counts, expectation and disk in, one word out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, strategies as st

from dicomove.outcome import Counts, Evidence, Refusal, Unverified, Verdict, judge
from dicomove.outcome.advice import advice_on, remarks_on_refusals
from dicomove.outcome.evidence import RefusalKind
from dicomove.outcome.judgement import by_disk
from dicomove.words import ADVICE, Outcome

SUCCESS, WARNING, CANCEL, FAILURE, NO_MATCH = 0x0000, 0xB000, 0xFE00, 0xC000, 0x0112


def counts(completed: int | None = None, failed: int | None = None, warning: int | None = None) -> Counts:
    return Counts().after(Counts(completed=completed, failed=failed, warning=warning), final=True)


def disk(received: int, missing: int | None, expected: int | None = None, **more: Any) -> Evidence:
    return Evidence(received=received, missing=missing, expected=expected, **more)


def turned_away(address: str, kind: RefusalKind = "address", reason: str = "it was refused") -> Refusal:
    return Refusal(address, "", kind, reason)


CUT, CASE = "damaged: it is cut", "of another PatientID: in upper and lower case"
OTHER_BYTES = ("another instance of this UID is there, with other bytes", 2)
UNANSWERED = ("cancelled", None)
ALL, NONE, SOME, NOTHING_SAID = counts(6, 0, 0), counts(0, 0, 0), counts(4, 2, 0), Counts()


@pytest.mark.parametrize(
    ("evidence", "outcome", "error"),
    [
        # Everything that was expected is on disk: whatever the PACS said.
        (disk(6, 0, 6, status=SUCCESS, counts=ALL), "complete", None),
        (disk(6, 0, 6, status=WARNING, counts=SOME), "complete", None),
        (disk(6, 0, 6, status=SUCCESS, counts=NOTHING_SAID), "complete", None),
        (disk(6, 0, 6, status=SUCCESS, counts=NONE), "complete", None),
        (disk(6, 0, 6, status=SUCCESS, counts=counts(0, 6, 0)), "complete", None),
        (disk(6, 0, 6, status=FAILURE), "complete", None),
        (disk(6, 0, 6, status=CANCEL), "complete", None),
        (disk(6, 0, 6, problem="connection_lost"), "complete", None),
        (disk(6, 0, 6, problem="idle_timeout", counts=counts(3)), "complete", None),
        (disk(6, 0, 6, status=SUCCESS, cancelled=True), "complete", None),
        (disk(7, 0, 6, status=SUCCESS, counts=ALL), "complete", None),
        (disk(6, 0, 6, status=SUCCESS, counts=ALL, refused=2), "complete", None),
        # Nobody knows what was expected: then as many as the PACS says that it moved, if it says Success.
        (disk(6, 0, status=SUCCESS, counts=ALL), "complete", None),
        (disk(6, 0, status=WARNING, counts=counts(5, 0, 1)), "complete", None),
        (disk(6, 0, status=FAILURE, counts=ALL), "partial", "unable_to_process"),
        (disk(6, 0, problem="connection_lost", counts=ALL), "interrupted", "connection_lost"),
        (disk(6, None, status=SUCCESS), "unconfirmed", None),
        (disk(6, None, status=FAILURE), "partial", "unable_to_process"),
        (disk(6, None, problem="idle_timeout"), "interrupted", "idle_timeout"),
        # Some are missing: the word of the PACS says why, if it has one.
        (disk(4, 2, 6, status=SUCCESS, counts=ALL), "partial", "missing_instances"),
        (disk(4, 2, 6, status=SUCCESS, counts=NOTHING_SAID), "partial", "missing_instances"),
        (disk(4, 2, 6, status=SUCCESS, counts=NONE), "partial", "missing_instances"),
        (disk(4, 2, 6, status=WARNING, counts=SOME), "partial", "some_failed"),
        (disk(4, 2, 6, status=SUCCESS, counts=counts(0, 6, 0)), "partial", "all_failed"),
        (disk(4, 2, 6, status=FAILURE), "partial", "unable_to_process"),
        (disk(4, 2, 6, status=0xA702), "partial", "out_of_resources"),
        (disk(4, 2, 6, status=CANCEL), "partial", "cancelled_by_pacs"),
        (disk(4, 2, 6, problem="connection_lost"), "interrupted", "connection_lost"),
        (disk(4, 2, 6, status=CANCEL, cancelled=True), "cancelled", None),
        (disk(4, 2, 6, cancelled=True, problem="connection_lost"), "cancelled", None),
        # Some could not be stored.
        (disk(4, 2, 6, status=WARNING, counts=SOME, refused=2), "partial", "storage_failed"),
        (disk(4, 2, 6, problem="connection_lost", refused=1), "partial", "storage_failed"),
        (disk(4, None, status=SUCCESS, refused=1), "partial", "storage_failed"),
        (disk(0, 6, 6, status=0xA702, counts=counts(0, 6, 0), refused=6), "failed", "storage_failed"),
        (disk(0, None, status=SUCCESS, refused=6), "failed", "storage_failed"),
        # Nothing is on disk.
        (disk(0, 6, 6, status=SUCCESS, counts=ALL), "failed", "missing_instances"),
        (disk(0, 6, 6, status=SUCCESS, counts=NONE), "failed", "missing_instances"),
        (disk(0, 6, status=SUCCESS, counts=ALL), "failed", "missing_instances"),
        (disk(0, 6, 6, status=SUCCESS), "failed", "missing_instances"),
        (disk(0, 6, 6, status=WARNING, counts=SOME), "failed", "missing_instances"),
        (disk(0, 6, 6, status=SUCCESS, counts=counts(0, 6, 0)), "failed", "all_failed"),
        (disk(0, 6, 6, status=FAILURE, counts=SOME), "failed", "missing_instances"),
        (disk(0, 0, 0, status=SUCCESS, counts=NONE), "empty", None),
        (disk(0, 0, 0, status=SUCCESS), "empty", None),
        (disk(0, None, status=SUCCESS), "empty", None),
        (disk(0, 0, status=SUCCESS, counts=NONE), "empty", None),
        (disk(0, 0, 0, status=SUCCESS, counts=NONE, aside=((CUT, 1),)), "failed", "missing_instances"),
        (disk(0, None, status=NO_MATCH), "failed", "no_match"),
        (disk(0, 0, 0, status=FAILURE), "failed", "no_match"),
        (disk(0, 6, 6, status=FAILURE), "failed", "unable_to_process"),
        (disk(0, 6, 6, status=0xA801), "failed", "destination_unknown"),
        (disk(0, 6, 6, problem="idle_timeout"), "interrupted", "idle_timeout"),
        (disk(0, 6, 6, status=CANCEL, cancelled=True), "cancelled", None),
        # Nothing was sent: what is on disk is of an earlier run, and nobody was asked.
        (disk(6, None, sent=False, problem="connection_failed"), "unreachable", "connection_failed"),
        (disk(6, 0, 6, sent=False, problem="connection_failed"), "unreachable", "connection_failed"),
        (disk(0, None, sent=False, problem="not_supported"), "failed", "not_supported"),
    ],
)
def test_the_disk_decides(evidence: Evidence, outcome: str, error: str | None) -> None:
    verdict = judge(evidence)
    assert (verdict.outcome, verdict.error) == (outcome, error)
    # Who is told nothing need do nothing: it is complete, or cancelled as it should be.
    assert bool(verdict.advice) == (
        outcome not in ("complete", "cancelled") or (outcome, evidence.status) == UNANSWERED
    )


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (disk(4, 2, 6, status=SUCCESS, counts=ALL), "4 of 6 instances are on disk."),
        (disk(0, 6, 6, status=SUCCESS, counts=ALL), "0 of 6 instances are on disk."),
        (disk(4, None, status=SUCCESS), "on disk. The PACS answered Success, and did not say how many there are"),
        (disk(4, 2, 6, status=SUCCESS, aside=((CUT, 2),)), "2 came damaged and are in quarantine: it is cut."),
        (
            disk(0, 9, 9, status=SUCCESS, aside=tuple((f"damaged: it is {n}", n) for n in (1, 2, 3, 4, 5))),
            "15 came damaged and are in quarantine: it is 5 (5), it is 4 (4), it is 3 (3), 3 for other reasons.",
        ),
        (
            disk(0, 3, 3, status=SUCCESS, aside=(("damaged: it is 1", 1), ("damaged: it is 2", 2))),
            "quarantine: it is 2 (2), it is 1 (1). ",
        ),
        (disk(6, 0, 6, status=SUCCESS, aside=((CUT, 1),)), "1 came damaged and is in quarantine: it is cut."),
        (disk(6, 0, 6, status=SUCCESS, aside=(("with other bytes", 1),)), "1 is in quarantine: with other bytes."),
        (disk(0, 6, 6, status=SUCCESS, without_row=(("unrequested", 6),)), "asked for, and are in quarantine. "),
        (disk(0, None, status=SUCCESS, without_row=((CUT, 6),)), "and are in quarantine (it is cut)."),
        (disk(0, 0, 0, status=SUCCESS, counts=ALL, aside=((CASE, 6),)), "Nothing is on disk. 6 came with another"),
        (disk(6, 0, 6, status=SUCCESS, others=(("altogether", 2),)), "2 carry another PatientID than the row"),
        (disk(6, 0, 6, status=SUCCESS, others=(("altogether", 2),)), "discrepancies() of the receiver"),
        (disk(6, 0, 6, status=SUCCESS, others=(("they have none", 2),)), "2 carry no PatientID, and are on disk"),
        (disk(6, 0, 6, status=SUCCESS, patients=2), "name different PatientIDs"),
        (Evidence(status=SUCCESS, counts=ALL, patients=3), "name different PatientIDs"),
        (
            disk(0, 6, 6, status=SUCCESS, counts=ALL, refusals=(turned_away("10.0.0.7"), turned_away("10.0.0.8"))),
            "Connections from 10.0.0.7, 10.0.0.8 were refused: if the PACS sends from there, give allow",
        ),
        (disk(0, 6, 6, status=SUCCESS, refused=6), "is the disk full"),
    ],
)
def test_the_advice_says_what_there_is(evidence: Evidence, said: str) -> None:
    assert said in (judge(evidence).advice or "")


def test_outcomes_without_c_find_have_the_reason() -> None:
    for evidence in (disk(6, 0, status=SUCCESS, counts=ALL), Evidence(status=SUCCESS, counts=NONE)):
        verdict = judge(replace(evidence, unverified=Unverified("C-FIND was refused", may_pass=False)))
        assert verdict.advice == f"{judge(evidence).advice or ''} C-FIND was refused.".strip()
    failed = Evidence(status=FAILURE, unverified=Unverified("C-FIND was refused", may_pass=False))
    assert "C-FIND was refused" not in (judge(failed).advice or "")


def test_rows_that_the_destination_does_not_confirm_are_not_complete() -> None:
    """The PACS says that it moved all; the destination, which would know, gives no answer."""
    unanswered = Unverified("the destination did not answer", may_pass=True)
    verdict = judge(Evidence(status=SUCCESS, counts=ALL, expected=6, unanswered=unanswered))
    assert verdict == Verdict("unconfirmed", None, "The destination did not answer.")
    for evidence in (Evidence(status=WARNING, counts=SOME), Evidence(status=FAILURE), Evidence(status=0xA702)):
        before, after = judge(evidence), judge(replace(evidence, unanswered=unanswered))
        assert (after.outcome, after.error) == (before.outcome, before.error), "the PACS itself says that it failed"


def test_a_complete_row_needs_no_advice() -> None:
    assert judge(Evidence(status=SUCCESS, counts=ALL, expected=6)) == Verdict("complete", None, None)


@pytest.mark.parametrize("status", [0xA702, FAILURE, SUCCESS])
@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("address", "receiver_refused", "give allow to the receiver"),
        ("ae_title", "receiver_refused", "The receiver turned away 10.0.0.7: it called OLD. Ask the PACS's"),
        ("request", "receiver_refused", "turned away 10.0.0.7: it called OLD"),
        ("tls", "receiver_refused", "or neither"),
        ("busy", "receiver_refused", "limits"),
        ("defect", "internal_error", "report it with the log"),
    ],
)
def test_a_refusal_by_the_receiver_is_reported_as_such(status: int, kind: RefusalKind, error: str, said: str) -> None:
    refusals = (turned_away("10.0.0.7", kind, "it called OLD"),)
    verdict = judge(disk(0, 6, 6, status=status, counts=counts(0, 6, 0), arrivals=0, refusals=refusals))
    assert (verdict.outcome, verdict.error) == ("failed", error)
    assert said in (verdict.advice or "")
    some = judge(disk(4, 2, 6, status=status, counts=SOME, arrivals=4, refusals=refusals))
    assert some.error not in ("receiver_refused", "internal_error"), "some came, so another peer may have been refused"
    assert "10.0.0.7" in (some.advice or "")


@pytest.mark.parametrize(
    "evidence",
    [
        pytest.param(disk(4, 2, 6, status=FAILURE), id="some are on disk"),
        pytest.param(disk(0, 6, 6, status=FAILURE, aside=((CUT, 1),)), id="one came damaged"),
        pytest.param(disk(0, 6, 6, status=FAILURE, arrivals=0, method="get"), id="C-GET connects to no receiver"),
    ],
)
def test_a_refusal_does_not_explain_a_row_that_came_another_way(evidence: Evidence) -> None:
    refused = replace(evidence, refusals=(turned_away("10.0.0.7", "ae_title", "it called OLD"),))
    assert judge(refused).error == judge(evidence).error == "unable_to_process"


@pytest.mark.parametrize(
    ("refusals", "told"),
    [
        ([turned_away("10.0.0.7")] * 2, ["connections from 10.0.0.7 were refused"]),
        ([turned_away("a", "tls")] * 3, ["the receiver turned away a: it was refused"] * 3),
        (
            [turned_away("a", "tls")] * 5,
            [*["the receiver turned away a: it was refused"] * 3, "it turned away 2 more: see refused of the receiver"],
        ),
        (
            [turned_away(address) for address in "abcdefghij"],
            ["connections from a, b, c, d, e, f, g, h, i, j were refused"],
        ),
        (
            [turned_away(address) for address in "abcdefghijkl"],
            ["connections from a, b, c, d, e, f, g, h, i, j, 2 more addresses were refused"],
        ),
    ],
    ids=["each address once", "three", "three, and how many more", "ten addresses", "ten, and how many more"],
)
def test_refusals_are_told_in_a_few_sentences(refusals: list[Refusal], told: list[str]) -> None:
    assert [sentence.partition(": if")[0] for sentence in remarks_on_refusals(refusals)] == told


def test_a_word_that_dicomove_does_not_know_has_no_advice() -> None:
    """Advice is a help only: where there is none, a run goes on."""
    assert advice_on("a_word_of_tomorrow") == ""


@pytest.mark.parametrize(
    ("evidence", "has_begun"),
    [
        (disk(4, 2, 6, status=FAILURE, arrivals=4), True),
        (disk(0, 6, 6, status=FAILURE, arrivals=0), False),
        (disk(4, 2, 6, status=FAILURE, arrivals=0), False),  # they were there before
        (Evidence(status=FAILURE, counts=counts(4, 2, 0)), True),
        (Evidence(status=FAILURE, counts=NOTHING_SAID), False),
    ],
)
def test_a_pacs_that_stops_in_the_middle_knows_the_destination(evidence: Evidence, has_begun: bool) -> None:
    advice = judge(evidence).advice or ""
    told = ("stopped in the middle" in advice, "does not know the destination" in advice)
    assert told == (has_begun, not has_begun)
    assert "stopped in the middle" not in (judge(replace(evidence, method="get")).advice or "")


def test_the_advice_names_what_is_known() -> None:
    unknown = judge(Evidence(status=0xA801, destination="RX"))
    assert "does not know the destination RX." in (unknown.advice or "")
    full = judge(Evidence(problem="association_rejected", detail="Local limit exceeded", sent=False))
    assert (full.error, "AE title" in (full.advice or "")) == ("association_rejected", False)
    other = judge(Evidence(problem="association_rejected", detail="no reason given", sent=False))
    assert "AE title" in (other.advice or "")


MOVE_AGAIN = ("Move the row again", ": move the row again")


@pytest.mark.parametrize(
    ("evidence", "error", "said"),
    [
        # What did not come may come; what came damaged, or of another patient, comes so every time.
        (disk(4, 2, 6, status=SUCCESS, counts=ALL), "missing_instances", ": move the row again."),
        (disk(0, 6, 6, status=SUCCESS, counts=NONE), "missing_instances", ": move the row again."),
        (disk(0, 6, 6, status=SUCCESS, counts=ALL, aside=((CUT, 6),)), "missing_instances", "show the reason"),
        (disk(0, None, status=SUCCESS, aside=((CUT, 1),)), "missing_instances", "show the reason"),
        (disk(4, 2, 6, status=FAILURE, counts=SOME, aside=((CUT, 2),)), "unable_to_process", "show the reason"),
        (
            disk(0, 6, 6, status=SUCCESS, counts=ALL, aside=((CUT, 5),)),
            "missing_instances",
            "for the missing instances.",
        ),
        (
            disk(0, 6, 6, status=SUCCESS, aside=((CASE, 2), (CUT, 2))),
            "missing_instances",
            "for the missing instances.",
        ),
        (
            disk(0, 6, 6, status=FAILURE, arrivals=0, without_row=((CUT, 6),)),
            "unable_to_process",
            ADVICE["unable_to_process"],
        ),
        (disk(0, 0, 0, status=SUCCESS, counts=ALL, aside=((CASE, 6),)), "other_patient", "query_model='StudyRoot'"),
        (disk(3, 3, 6, status=SUCCESS, counts=ALL, aside=((CASE, 3),)), "other_patient", "query_model='StudyRoot'"),
        (disk(3, 3, 6, status=SUCCESS, counts=ALL, aside=((CASE, 1), (CUT, 2))), "missing_instances", "show the"),
        (disk(0, 6, 6, status=SUCCESS, counts=ALL, arrivals=0), "missing_instances", "another host or port"),
        (disk(4, 2, 6, status=SUCCESS, arrivals=6, aside=(OTHER_BYTES,)), "missing_instances", "one SOP Instance UID"),
        (disk(4, 2, 6, status=SUCCESS, arrivals=4, aside=(OTHER_BYTES,)), "missing_instances", ": move the row again."),
        (
            disk(0, 6, 6, status=SUCCESS, counts=ALL, arrivals=0, method="get"),
            "missing_instances",
            "none came on the association of the C-GET",
        ),
        (
            disk(0, 6, 6, status=SUCCESS, counts=ALL, aside=((CUT, 6),), method="get"),
            "missing_instances",
            "show the reason",
        ),
        (
            disk(0, 6, 6, status=SUCCESS, counts=ALL, refusals=(turned_away("::1"),)),
            "receiver_refused",
            "once the receiver accepts",
        ),
        (
            disk(0, 6, 6, status=SUCCESS, arrivals=0, without_row=((CUT, 6),)),
            "missing_instances",
            "Do they belong to this row",
        ),
        (disk(0, 6, 6, status=0xA801, aside=((CUT, 6),)), "destination_unknown", "does not know this destination"),
        (disk(4, 2, 6, status=SUCCESS, counts=ALL, refused=2, aside=((CUT, 6),)), "storage_failed", "is the disk full"),
    ],
)
def test_to_move_again_is_advised_where_it_helps(evidence: Evidence, error: str, said: str) -> None:
    verdict = judge(evidence)
    advice = verdict.advice or ""
    assert (verdict.error, said in advice) == (error, True), advice
    helps = "again" in said or "missing instances" in said
    assert helps or not any(text in advice and "once" not in advice for text in MOVE_AGAIN)


numbers = st.integers(0, 9)
reasons = st.lists(st.tuples(st.sampled_from([CUT, CASE, "unrequested"]), st.integers(1, 9)), max_size=3).map(tuple)
maybe = st.none() | numbers
evidences = st.builds(
    Evidence,
    status=st.sampled_from([None, SUCCESS, WARNING, CANCEL, FAILURE, NO_MATCH, 0xA702, 0xA801]),
    counts=st.builds(counts, maybe, maybe, maybe),
    expected=maybe,
    received=numbers,
    missing=maybe,
    refused=numbers,
    arrivals=maybe,
    aside=reasons,
    without_row=reasons,
    others=reasons,
    cancelled=st.booleans(),
    refusals=st.just(()),
)


@given(evidences)
def test_rules_that_always_hold(evidence: Evidence) -> None:
    verdict = judge(evidence)
    assert verdict.outcome in get_args(Outcome)
    assert (verdict.error is None) == (verdict.outcome in ("complete", "empty", "unconfirmed", "cancelled"))
    if verdict.outcome == "complete":
        assert evidence.received
        assert evidence.missing == 0
    if verdict.outcome == "empty":
        assert not evidence.received
    if evidence.received and not evidence.cancelled:
        assert verdict.outcome in ("complete", "partial", "unconfirmed", "interrupted")
    if not evidence.cancelled:
        assert verdict == by_disk(evidence)
    if verdict.outcome != "empty" and judge(replace(evidence, aside=(), without_row=())).outcome != "empty":
        assert judge(replace(evidence, aside=(), without_row=())).outcome == verdict.outcome
    if evidence.aside:
        assert verdict.outcome != "empty"
