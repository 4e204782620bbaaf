from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, strategies as st

from dicomove.outcome import Counts, Evidence, advice_on, category, failure_word, judge
from dicomove.outcome.evidence import CountedBy, shortfall, surplus
from dicomove.words import ADVICE, NEVER, OPTIONAL, RETRYABLE, Outcome
from tests.codes import STATUSES

OUTCOMES = set(get_args(Outcome))
SUCCESS, WARNING, CANCEL = 0x0000, 0xB000, 0xFE00


def final(
    completed: int | None = None,
    failed: int | None = None,
    warning: int | None = None,
    *,
    remaining: int | None = None,
    announced: Counts | None = None,
) -> Counts:
    """The counts of a final response, after those that a pending response gave."""
    counts = Counts() if announced is None else Counts().after(announced, final=False)
    return counts.after(Counts(completed=completed, failed=failed, warning=warning, remaining=remaining), final=True)


def pending(completed: int, remaining: int | None, failed: int = 0, warning: int = 0) -> Counts:
    return Counts(completed=completed, failed=failed, warning=warning, remaining=remaining)


FIVE = pending(0, 5)


@pytest.mark.parametrize("status", [*STATUSES, 0x1234])
@pytest.mark.parametrize("counts", [Counts(), final(0, 3), final(1, 2), final(3, 0)])
@pytest.mark.parametrize(("received", "arrivals"), [(None, None), (0, 0), (1, 1)])
def test_no_status_of_a_c_get_is_explained_with_a_destination(
    status: int, counts: Counts, received: int | None, arrivals: int | None
) -> None:
    """The images of a C-GET come on its own association: the PACS connects to nothing."""
    missing = None if received is None else 3 - received
    got = Evidence(status=status, counts=counts, received=received, missing=missing, arrivals=arrivals, method="get")
    advice = judge(got).advice or ""
    assert "destination" not in advice or "look into the destination" in advice  # Success, and no counts at all
    assert "connect to it" not in advice
    assert "Receiver" not in advice


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *[(code, "success") for code in [0x0000]],
        *[(code, "pending") for code in [0xFF00, 0xFF01]],
        *[(code, "cancel") for code in [0xFE00]],
        *[(code, "warning") for code in [0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF]],
        *[(code, "failure") for code in [0xA700, 0xA701, 0xA702, 0xA801, 0xA900, 0xAA00, 0xAA04, 0xC000, 0xCFFF]],
        *[(code, "failure") for code in [0x0105, 0x0106, 0x0110, 0x0111, 0x0112, 0x0115, 0x0117, 0x0118, 0x0119]],
        *[(code, "failure") for code in [0x0120, 0x0121, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0x0213]],
        *[(code, "failure") for code in [0x0002, 0x1234, 0xD000, 0xFDFF, 0xFF02, 0xFFFF]],
    ],
)
def test_the_category_of_a_status(code: int, kind: str) -> None:
    assert category(code) == kind


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0x0105, "identifier_mismatch"),  # no such attribute
        (0x0106, "identifier_mismatch"),  # invalid attribute value
        (0x0110, "unable_to_process"),  # processing failure
        (0x0111, "unable_to_process"),  # duplicate SOP instance
        (0x0112, "no_match"),  # no such SOP instance
        (0x0115, "identifier_mismatch"),  # invalid argument value
        (0x0117, "unable_to_process"),  # invalid SOP instance
        (0x0118, "not_supported"),  # no such SOP class
        (0x0119, "identifier_mismatch"),  # class-instance conflict
        (0x0120, "identifier_mismatch"),  # missing attribute
        (0x0121, "identifier_mismatch"),  # missing attribute value
        (0x0122, "not_supported"),  # refused: SOP class not supported
        (0x0124, "not_authorized"),  # refused
        (0x0210, "unable_to_process"),  # duplicate invocation
        (0x0211, "not_supported"),  # unrecognised operation
        (0x0212, "identifier_mismatch"),  # mistyped argument
        (0x0213, "out_of_resources"),  # resource limitation
        (0xA700, "out_of_resources"),
        (0xA701, "out_of_resources"),
        (0xA702, "out_of_resources"),
        (0xA801, "destination_unknown"),
        (0xA900, "identifier_mismatch"),
        (0xAA00, "unable_to_process"),
        (0xAA04, "unable_to_process"),
        (0xC000, "unable_to_process"),
        (0xC004, "unable_to_process"),  # Conquest: no record
        (0xC516, "unable_to_process"),  # pynetdicom
        (0xC801, "unable_to_process"),  # dcm4chee: destination not allowed
        (0x1234, "unable_to_process"),  # nobody's
    ],
)
def test_a_failure_without_counts_is_its_status(code: int, word: str) -> None:
    verdict = judge(Evidence(status=code))
    assert (verdict.outcome, verdict.error) == ("failed", word)
    assert failure_word(code) == word
    assert ADVICE[word] in (verdict.advice or "")


@pytest.mark.parametrize(
    ("status", "counts", "expected", "outcome", "error"),
    [
        # Success: the counts are believed.
        pytest.param(SUCCESS, final(5, 0, 0), None, "complete", None, id="all moved"),
        pytest.param(SUCCESS, final(5, 0, 0), 5, "complete", None, id="all expected were moved"),
        pytest.param(SUCCESS, final(5, 0, 0, remaining=0), 5, "complete", None, id="pynetdicom says remaining 0"),
        pytest.param(SUCCESS, final(4, 0, 1), 5, "complete", None, id="a warning is a stored instance"),
        pytest.param(SUCCESS, final(0, 0, 5), 5, "complete", None, id="warnings only"),
        pytest.param(SUCCESS, final(6, 0, 0), 5, "complete", None, id="more than expected"),
        pytest.param(SUCCESS, final(5), 5, "complete", None, id="dcm4chee leaves out what is zero"),
        pytest.param(SUCCESS, final(warning=5), 5, "complete", None, id="warnings, what is zero left out"),
        pytest.param(SUCCESS, final(0, 5, 0), None, "failed", "all_failed", id="GE: Success, and all failed"),
        pytest.param(SUCCESS, final(failed=5), 5, "failed", "all_failed", id="all failed, what is zero left out"),
        pytest.param(SUCCESS, final(4, 1, 0), 5, "partial", "some_failed", id="Success, and some failed"),
        pytest.param(SUCCESS, final(0, 1, 4), 5, "partial", "some_failed", id="some failed, the rest with warnings"),
        pytest.param(SUCCESS, final(0, 0, 0), None, "empty", None, id="nothing, and nobody knows better"),
        pytest.param(SUCCESS, final(0, 0, 0), 0, "empty", None, id="nothing, as expected"),
        pytest.param(SUCCESS, final(0, 0, 0), 5, "failed", "missing_instances", id="IMPAX: nothing moved under load"),
        pytest.param(SUCCESS, final(4, 0, 0), 5, "partial", "missing_instances", id="fewer than C-FIND knows"),
        pytest.param(
            SUCCESS, final(3, 0, 0, announced=FIVE), None, "partial", "missing_instances", id="fewer than announced"
        ),
        pytest.param(SUCCESS, final(3, 2, 0, announced=FIVE), 5, "partial", "some_failed", id="failed, not missing"),
        pytest.param(SUCCESS, final(4464, 0, 0), 70000, "complete", None, id="the counts have 16 bits"),
        pytest.param(SUCCESS, final(4463, 0, 0), 70000, "partial", "missing_instances", id="16 bits, and one missing"),
        pytest.param(SUCCESS, final(4463, 1, 0), 70000, "partial", "some_failed", id="16 bits, and one failed"),
        pytest.param(SUCCESS, final(0, 0, 0), 1 << 16, "unconfirmed", None, id="16 bits: nothing, or all"),
        pytest.param(
            SUCCESS, final(0, 0, announced=pending(1, 65535)), None, "unconfirmed", None, id="16 bits, as announced"
        ),
        pytest.param(SUCCESS, final(0, 0, 0), 65537, "failed", "missing_instances", id="16 bits, and all missing"),
        pytest.param(SUCCESS, final(), None, "unconfirmed", None, id="no counts"),
        pytest.param(SUCCESS, final(), 5, "unconfirmed", None, id="no counts, and something expected"),
        pytest.param(SUCCESS, final(), 0, "empty", None, id="no counts, and nothing there"),
        pytest.param(
            SUCCESS, final(announced=pending(5, 0)), 5, "complete", None, id="counts in the last pending response"
        ),
        pytest.param(
            SUCCESS, final(announced=pending(3, 2)), 5, "unconfirmed", None, id="counts only while some remained"
        ),
        pytest.param(
            SUCCESS, final(announced=pending(3, None)), 5, "unconfirmed", None, id="old counts of who knows when"
        ),
        pytest.param(
            SUCCESS, final(announced=pending(3, 1, failed=1)), 5, "partial", "some_failed", id="failed, in old counts"
        ),
        # 0xB000: one or more failures or warnings.
        pytest.param(WARNING, final(4, 1, 0), 5, "partial", "some_failed", id="B000: some failed"),
        pytest.param(WARNING, final(4, 0, 1), 5, "complete", None, id="B000: warnings only"),
        pytest.param(WARNING, final(0, 5, 0), 5, "failed", "all_failed", id="B000: all failed"),
        pytest.param(WARNING, final(5), 5, "unconfirmed", None, id="B000: neither failures nor warnings named"),
        pytest.param(WARNING, final(), None, "unconfirmed", None, id="B000: no counts"),
        pytest.param(WARNING, final(3, 0, 1), 5, "partial", "missing_instances", id="B000: fewer than expected"),
        pytest.param(0x0001, final(5, 0, 0), 5, "complete", None, id="another warning"),
        # Failures: what arrived before is not forgotten.
        pytest.param(0xA702, final(0, 5, 0), 5, "failed", "out_of_resources", id="A702: all failed"),
        pytest.param(0xA702, final(2, 3, 0), 5, "partial", "out_of_resources", id="A702: some were moved"),
        pytest.param(0xA702, final(0, 3, 2), 5, "partial", "out_of_resources", id="A702: some with warnings"),
        pytest.param(0xA702, final(announced=pending(2, 3)), 5, "partial", "out_of_resources", id="A702: moved before"),
        pytest.param(0xA900, final(2, 3, 0), 5, "partial", "identifier_mismatch", id="A900: some were moved"),
        pytest.param(0xC000, final(0, 0, 0), 5, "failed", "unable_to_process", id="Orthanc: anything at all"),
        pytest.param(0xC000, final(0, 0, 0), 0, "failed", "no_match", id="Orthanc: nothing there"),
        pytest.param(0xC004, final(), 0, "failed", "no_match", id="Conquest: nothing there"),
        pytest.param(0xA801, final(0, 0, 0), 0, "failed", "destination_unknown", id="A801, whatever is there"),
        # 0xFE00, which nobody here asked for.
        pytest.param(CANCEL, final(2, 0, 0, remaining=3), 5, "partial", "cancelled_by_pacs", id="ended by the PACS"),
        pytest.param(CANCEL, final(0, 0, 0, remaining=5), 5, "failed", "cancelled_by_pacs", id="ended before it began"),
        pytest.param(CANCEL, final(), None, "failed", "cancelled_by_pacs", id="ended, no counts"),
    ],
)
def test_a_final_response(status: int, counts: Counts, expected: int | None, outcome: str, error: str | None) -> None:
    verdict = judge(Evidence(status=status, counts=counts, expected=expected))
    assert (verdict.outcome, verdict.error) == (outcome, error)


@pytest.mark.parametrize(
    ("counts", "expected", "fewer"),
    [
        pytest.param(Counts(), 5, False, id="not counted"),
        pytest.param(Counts(total=5, completed=4), None, True, id="fewer than announced"),
        pytest.param(Counts(total=5, completed=4, failed=1), None, False, id="the one that failed is not missing"),
        pytest.param(Counts(completed=4), 5, True, id="fewer than C-FIND knows"),
        pytest.param(Counts(completed=5), 5, False, id="as many"),
        pytest.param(Counts(completed=4464), 70000, False, id="as many, in 16 bits"),
    ],
)
def test_a_shortfall(counts: Counts, expected: int | None, fewer: bool) -> None:
    assert shortfall(Evidence(counts=counts, expected=expected)) is fewer


@pytest.mark.parametrize(
    ("expected", "received", "counted_by", "more"),
    [
        (4, None, "receiver", 2),
        (4, 4, "destination", 2),
        (4, None, "destination", 2),
        pytest.param(4, 4, "receiver", 0, id="a receiver shows what came"),
        (6, None, "receiver", 0),
        (7, None, "receiver", 0),
        (None, None, "receiver", 0),
    ],
)
def test_more_than_there_should_be_is_told(
    expected: int | None, received: int | None, counted_by: CountedBy, more: int
) -> None:
    evidence = Evidence(
        status=SUCCESS, counts=final(5, 0, 1), expected=expected, received=received, counted_by=counted_by, missing=0
    )
    assert surplus(evidence) == more
    said = "The PACS moved 6 instances, and there should be 4: it may have moved more than the row names"
    assert (judge(evidence).advice or "").startswith(said) is (more > 0)
    assert surplus(Evidence(counts=Counts(), expected=expected)) == 0, "nothing is known"


@pytest.mark.parametrize(
    ("counts", "uids", "expected", "outcome", "error"),
    [
        pytest.param(final(5, 0, 0), ("1.2", "1.3"), 5, "complete", None, id="the counts are believed over the list"),
        pytest.param(final(4, 1, 0), (), 5, "partial", "some_failed", id="no list, although some failed"),
        pytest.param(final(3), ("1.2", "1.3"), 5, "partial", "some_failed", id="the list, where failed is absent"),
        pytest.param(final(), ("1.2", "1.3"), 2, "failed", "all_failed", id="the list has all that are expected"),
        pytest.param(final(), ("1.2", "1.3"), 5, "partial", "some_failed", id="the list has two of five"),
    ],
)
def test_the_list_of_failed_instances(
    counts: Counts, uids: tuple[str, ...], expected: int, outcome: str, error: str | None
) -> None:
    verdict = judge(Evidence(status=WARNING, counts=counts, failed_sop_instance_uids=uids, expected=expected))
    assert (verdict.outcome, verdict.error) == (outcome, error)


@pytest.mark.parametrize(
    ("status", "counts", "outcome"),
    [
        pytest.param(CANCEL, final(2, 0, 0, remaining=3), "cancelled", id="as it should"),
        pytest.param(CANCEL, final(), "cancelled", id="without counts"),
        pytest.param(SUCCESS, final(5, 0, 0), "complete", id="too late: all was moved"),
        pytest.param(SUCCESS, final(4, 1, 0), "cancelled", id="too late: some failed"),
        pytest.param(None, pending(2, 3), "cancelled", id="no answer to C-CANCEL"),
    ],
)
def test_a_move_that_we_cancelled(status: int | None, counts: Counts, outcome: str) -> None:
    problem = "cancelled" if status is None else None
    verdict = judge(Evidence(status=status, counts=counts, cancelled=True, problem=problem, expected=5))
    assert (verdict.outcome, verdict.error) == (outcome, None)
    assert bool(verdict.advice) == (status is None)


@pytest.mark.parametrize(
    ("word", "sent", "outcome"),
    [
        *[(word, False, "unreachable") for word in ["connection_failed", "connect_timeout", "association_rejected"]],
        *[(word, False, "unreachable") for word in ["association_timeout", "association_aborted", "invalid_response"]],
        *[(word, True, "interrupted") for word in ["association_aborted", "connection_lost", "idle_timeout"]],
        *[(word, True, "interrupted") for word in ["total_timeout", "invalid_response"]],
        ("not_supported", False, "failed"),
        ("not_supported", True, "failed"),
    ],
)
def test_no_final_response(word: str, sent: bool, outcome: str) -> None:
    verdict = judge(Evidence(problem=word, sent=sent, detail="what happened", counts=pending(2, 3)))
    assert (verdict.outcome, verdict.error) == (outcome, word)
    assert verdict.advice == f"What happened. {advice_on(word, method='move' if sent else 'find')}"
    assert ("in doubt" in str(verdict.advice)) == (sent and word in ("association_aborted", "connection_lost"))


def test_the_advice_says_how_many() -> None:
    missing = judge(Evidence(status=SUCCESS, counts=final(4, 0, 0), expected=5))
    assert missing.advice == f"4 of 5 instances. {ADVICE['missing_instances']}"
    failed = judge(Evidence(status=WARNING, counts=final(4, 1, 0)))
    assert failed.advice == f"1 failed, 4 moved. {ADVICE['some_failed']}"
    listed = judge(Evidence(status=WARNING, counts=final(), failed_sop_instance_uids=("1.2",), expected=5))
    assert listed.advice == ADVICE["some_failed"], "a list alone says nothing of the others"


@pytest.mark.parametrize(
    ("responses", "counts", "moved"),
    [
        pytest.param([], Counts(), None, id="none"),
        pytest.param(
            [pending(1, 4), pending(2, 3)],
            Counts(total=5, completed=2, failed=0, warning=0, remaining=3),
            2,
            id="the total is that of the first",
        ),
        pytest.param(
            [pending(1, None), pending(2, 3)],
            Counts(total=5, completed=2, failed=0, warning=0, remaining=3),
            2,
            id="... that has all of it",
        ),
        pytest.param(
            [pending(2, 3), Counts()],
            Counts(total=5, completed=2, failed=0, warning=0, remaining=3),
            2,
            id="a response without counts changes nothing",
        ),
        pytest.param(
            [pending(2, 3), Counts(completed=3)],
            Counts(total=5, completed=3, failed=None, warning=None, remaining=None),
            3,
            id="what is absent stays absent",
        ),
        pytest.param(
            [Counts(remaining=5), Counts(failed=1, remaining=4)],
            Counts(failed=1, remaining=4),
            None,
            id="remaining alone says nothing",
        ),
        pytest.param([pending(1, 1, 2, 3)], Counts(7, 1, 2, 3, 1), 4, id="warnings are moved"),
    ],
)
def test_counts_after_pending_responses(responses: list[Counts], counts: Counts, moved: int | None) -> None:
    after = Counts()
    for response in responses:
        after = after.after(response, final=False)
    assert after == counts
    assert after.moved == moved


@pytest.mark.parametrize(
    ("response", "total", "at_end"),
    [(Counts(completed=4, failed=1, warning=0), 5, True), (Counts(completed=4), 4, True), (Counts(), None, False)],
)
def test_counts_of_the_final_response_alone(response: Counts, total: int | None, at_end: bool) -> None:
    after = Counts().after(response, final=True)
    assert (after.total, after.at_end) == (total, at_end)


numbers = st.none() | st.integers(0, 6) | st.integers(0, 0xFFFF)
responses = st.builds(Counts, completed=numbers, failed=numbers, warning=numbers, remaining=numbers)
likely = st.sampled_from([0x0000, 0x0000, 0xB000, 0xFE00, 0xA702, 0xC000, 0xA801])


@st.composite
def evidence(draw: st.DrawFn) -> Evidence:
    counts = Counts()
    for response in draw(st.lists(responses, max_size=3)):
        counts = counts.after(response, final=False)
    status = draw(st.none() | likely | st.integers(0, 0xFFFF))
    return Evidence(
        status=status,
        counts=counts if status is None else counts.after(draw(responses), final=True),
        failed_sop_instance_uids=tuple(draw(st.lists(st.just("1.2.3"), max_size=3))),
        expected=draw(numbers),
        problem=draw(st.none() | st.sampled_from(sorted(RETRYABLE | OPTIONAL | NEVER))) if status is None else None,
        sent=draw(st.booleans()) if status is None else True,
        cancelled=draw(st.booleans()),
    )


@given(evidence())
def test_every_response_has_a_verdict(given_evidence: Evidence) -> None:
    verdict = judge(given_evidence)
    assert verdict.outcome in OUTCOMES - {"invalid", "not_attempted"}
    assert verdict.error is None or verdict.error in ADVICE
    assert (verdict.error is None) == (verdict.outcome in ("complete", "empty", "unconfirmed", "cancelled"))
    assert verdict.advice or verdict.outcome in ("complete", "cancelled")


@given(evidence())
def test_complete_means_complete(given_evidence: Evidence) -> None:
    counts = given_evidence.counts
    if judge(given_evidence).outcome == "complete":
        assert given_evidence.status is not None
        assert category(given_evidence.status) in ("success", "warning")
        assert counts.moved is not None
        assert counts.moved >= max(1, given_evidence.expected or 0)
        assert not counts.failed
        assert counts.moved >= (counts.total or 0)


@given(evidence())
def test_failures_are_never_complete(given_evidence: Evidence) -> None:
    if given_evidence.counts.failed:
        assert judge(given_evidence).outcome != "complete"


@given(evidence())
def test_partial_means_that_something_was_moved(given_evidence: Evidence) -> None:
    if judge(given_evidence).outcome == "partial":
        assert given_evidence.counts.moved or given_evidence.counts.moved is None


@given(st.lists(responses, max_size=4), responses)
def test_an_absent_count_is_never_zero(pendings: list[Counts], last: Counts) -> None:
    counts = Counts()
    for response in pendings:
        counts = counts.after(response, final=False)
    counts = counts.after(last, final=True)
    for name in ("completed", "failed", "warning", "remaining"):
        given_values = {getattr(response, name) for response in [*pendings, last]}
        assert getattr(counts, name) is None or getattr(counts, name) in given_values
    told = last.completed, last.failed, last.warning
    if any(count is not None for count in told):
        assert (counts.completed, counts.failed, counts.warning) == told
        assert counts.at_end
