"""Faults of associations, data sets and final responses: what the wire has, and what becomes of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd
import pytest
from pydicom.uid import CTImageStorage

import dicomove as dm
from dicomove.dimse.associate import (
    ContextResult,
    number_contexts,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from dicomove.dimse.pdu import PDU_HEADER
from dicomove.dimse.presentation_contexts import GET, VERIFICATION
from dicomove.testing import RunningPacs, Synthetic, faults
from dicomove.testing.faults import Fault
from tests.fault_runs import Stage, given, rehearsals, stage

pytestmark = pytest.mark.timeout(60)

Start = Callable[..., RunningPacs]
Row = tuple[str, str | None, str]
REHEARSALS = {one.fault.name: one for one in rehearsals()}
COMPLETE: Row = ("complete", None, "")
SMALL = Synthetic(studies=4, instances=3, size=128)


@pytest.fixture(scope="module")
def on() -> Iterator[Stage]:
    with stage() as lent:
        yield lent


# ------------------------------------------------------------------------------------------------- what the rows say


def aside(reason: str) -> Row:
    return "failed", "missing_instances", f"6 came damaged and are in quarantine: {reason}"


def unsupported(service: str) -> Row:
    return "failed", "not_supported", f"does not offer StudyRoot {service}"


SKIPPED = [
    "long-version-name",
    "binary-version-name",
    "odd-class-uid",
    "no-implementation",
    "pads-ae-titles",
    "odd-ae-titles",
    "answers-unknown-contexts",
    "answers-contexts-twice",
    "crosses-requests",
]
MISLABELLED = {
    "implicit-in-explicit": "the data set is Implicit VR Little Endian, and was negotiated as 1.2.840.10008.1.2.1",
    "explicit-in-implicit": "the data set is Explicit VR Little Endian, and was negotiated as 1.2.840.10008.1.2",
    "big-endian-in-little": "the data set is Explicit VR Big Endian",
    "encapsulated-in-native": "the pixel data are compressed, and the transfer syntax 1.2.840.10008.1.2.1 is not",
    "native-in-encapsulated": "the pixel data are not compressed, and the transfer syntax 1.2.840.10008.1.2.4.90 is",
    "other-compression": "the pixel data are JPEG 2000, and the transfer syntax 1.2.840.10008.1.2.4.50 is JPEG",
    "meta-in-data-set": "the data set begins with the meta information of a file",
    "sends-whole-files": "the data set begins with the meta information of a file",
}
NO_TLS_HERE: Row = ("unreachable", "tls_failed", "does this port speak TLS")
TLS_THERE: Row = ("unreachable", "tls_failed", "The peer speaks TLS on this port, and tls= was not given")
#: By the fault: the row of a move to an AE, of a move into a receiver, and of a C-GET into it.
ROWS: dict[str, tuple[Row, Row, Row | None]] = {
    **dict.fromkeys(SKIPPED, (COMPLETE, COMPLETE, COMPLETE)),
    **{name: (COMPLETE, aside(reason), aside(reason)) for name, reason in MISLABELLED.items()},
    **dict.fromkeys(
        ("omits-contexts", "undefined-context-result"), (unsupported("MOVE"), unsupported("MOVE"), unsupported("GET"))
    ),
    "promises-data-set": (COMPLETE, COMPLETE, COMPLETE),
    "find-promises-data-set": (COMPLETE, COMPLETE, None),
    "match-on-success": (COMPLETE, COMPLETE, None),
    "undefined-status": (("partial", "unable_to_process", "no standardised reason"), COMPLETE, COMPLETE),
    "undefined-find-status": (COMPLETE, COMPLETE, None),
    "speaks-tls": (TLS_THERE, TLS_THERE, TLS_THERE),
    "speaks-no-tls": (NO_TLS_HERE, NO_TLS_HERE, NO_TLS_HERE),
}
GOT: dict[str, tuple[str | None, Row]] = {
    "refuses-roles": (None, ("failed", "not_supported", "role selection, PS3.7 D.3.3.4). ")),
    "refuses-get": ("0xA900", ("failed", "identifier_mismatch", "query_model='PatientRoot'")),
    "get-sends-some": ("0x0000", ("partial", "missing_instances", "3 of 6 instances are on disk")),
    "get-sends-nothing": ("0x0000", ("failed", "missing_instances", "0 of 6 instances are on disk")),
    "false-success": ("0x0000", ("failed", "missing_instances", "0 of 6 instances are on disk")),
    "success-with-nothing-moved": ("0x0000", ("failed", "missing_instances", "0 of 6 instances are on disk")),
    "hangs": (None, ("interrupted", "idle_timeout", "nothing within 0.5 s")),
    "pending-forever": (None, ("complete", None, "")),
    "bandwidth": ("0x0000", COMPLETE),
    "latency": ("0x0000", COMPLETE),
    "ignores-cancel": ("0x0000", COMPLETE),
}


def assert_row(results: pd.DataFrame, expected: Row) -> None:
    row = results.iloc[0]
    advice = row["advice"] if isinstance(row["advice"], str) else ""
    assert (row["outcome"], row["error"] if isinstance(row["error"], str) else None) == expected[:2], advice
    assert expected[2] in advice


@pytest.mark.parametrize("name", ROWS)
def test_the_rows(on: Stage, name: str) -> None:
    rehearsal, (there, here, got) = REHEARSALS[name], ROWS[name]
    assert_row(on.to_an_ae(rehearsal, given(rehearsal)).results, there)
    assert_row(on.to_the_receiver(rehearsal, given(rehearsal)).results, here)
    if got:
        assert_row(on.to_the_receiver(rehearsal, given(rehearsal), method="get").results, got)


@pytest.mark.parametrize("name", GOT)
def test_the_rows_of_c_get(on: Stage, name: str) -> None:
    status, expected = GOT[name]
    results = on.to_the_receiver(REHEARSALS[name], given(REHEARSALS[name]), method="get").results
    if name in ("get-sends-some", "false-success"):  # the counts are the PACS's own, whatever came
        assert results[["completed", "failed"]].iloc[0].tolist() == [6, 0]
    assert_row(results, expected)
    assert (results["status"].iloc[0] if isinstance(results["status"].iloc[0], str) else None) == status


@pytest.mark.parametrize(
    ("name", "outcome", "error"),
    [
        ("find-promises-data-set", "matched", None),
        ("match-on-success", "matched", None),
        ("undefined-find-status", "partial", "unable_to_process"),
        ("speaks-tls", "unreachable", "tls_failed"),
        ("speaks-no-tls", "unreachable", "tls_failed"),
        *((name, "matched", None) for name in SKIPPED),
    ],
)
def test_what_is_found(on: Stage, name: str, outcome: str, error: str | None) -> None:
    found = on.find(REHEARSALS[name])
    assert found["outcome"].tolist()[0] == outcome
    assert (found["error"].iloc[0] if isinstance(found["error"].iloc[0], str) else None) == error
    assert len(found) == 2


def test_a_request_that_crosses_a_ending_is_sent_once_more(rehearsal_pacs: Start) -> None:
    pacs = rehearsal_pacs(SMALL, [faults.CrossesRequests()])
    uids = list(dict.fromkeys(one.study_instance_uid for one in SMALL.instances_of_all()))
    result = dm.move(pd.DataFrame({"StudyInstanceUID": uids}), pacs, pacs.destination, progress=False)
    assert result["outcome"].tolist() == ["complete"] * 4
    assert result["attempts"].tolist() == [1, 2, 2, 2]
    moves = pacs.requests().query("command == 'C-MOVE'")
    # The first request of each association is answered, the second crosses its end.
    assert moves["attempt"].tolist() == [1, 1, 2, 1, 2, 1, 2]


# ------------------------------------------------------------------------------------------------- what the wire has

REQUEST = write_request(
    "DICOMOVE", "PACS", number_contexts([(VERIFICATION, ["1.2"]), (GET["StudyRoot"], ["1.2"])]), 16384, None, ["1.2.3"]
)
ASKED = read_request(REQUEST[PDU_HEADER.size :])
ANSWER = write_answer(ASKED, [ContextResult(1, 0, "1.2"), ContextResult(3, 0, "1.2")], 16384)


def associate(fault: Fault) -> tuple[bytes, bytes]:
    """The A-ASSOCIATE-RQ and A-ASSOCIATE-AC of a PACS with a fault."""
    return fault.on_associate(None, REQUEST), fault.on_associate(ASKED, ANSWER)


@pytest.mark.parametrize(
    ("fault", "content"),
    [
        (faults.LongVersionName(), b"\x55\0\x01\x2cVENDOR_PACS_2.15xxx"),
        (faults.BinaryVersionName(), b"\x55\0\0\x0bP\xc4CS\0"),
        (faults.OddClassUid(), b"\x52\0\0\x10not a UID\0"),
        (faults.PadsAeTitles(), b"DICOMOVE" + bytes(8) + b"PACS" + bytes(12)),
        (faults.OddAeTitles(), b"R\xd6NTGEN"),
    ],
)
def test_odd_values_are_in_both_directions(fault: Fault, content: bytes) -> None:
    assert content not in REQUEST + ANSWER
    for pdu in associate(fault):
        assert content in pdu
        assert len(pdu) == PDU_HEADER.size + PDU_HEADER.unpack_from(pdu)[1]


def test_nothing_is_said_of_the_implementation() -> None:
    assert all(b"DICOMOVE\0" not in pdu and b"\x55\0" not in pdu for pdu in associate(faults.NoImplementation()))


@pytest.mark.parametrize(
    ("fault", "results"),
    [
        (faults.AnswersUnknownContexts(), [(0, 0), (254, 0), (1, 0), (3, 0)]),
        (faults.AnswersContextsTwice(), [(1, 0), (3, 0), (1, 3), (3, 3)]),
        (faults.OmitsContexts(), [(1, 0)]),
        (faults.UndefinedContextResult(), [(1, 0), (3, 99)]),
    ],
)
def test_how_contexts_are_answered(fault: Fault, results: list[tuple[int, int]]) -> None:
    request, answer = associate(fault)
    assert request == REQUEST
    read = read_answer(answer[PDU_HEADER.size :]).results
    assert [(one.context_id, one.result) for one in read] == results


def test_no_role_is_granted() -> None:
    assert read_answer(ANSWER[PDU_HEADER.size :]).scp_of == {"1.2.3"}
    refused = read_answer(associate(faults.RefusesRoles())[1][PDU_HEADER.size :])
    assert refused.scp_of == frozenset()
    assert refused.not_scp_of == {"1.2.3"}


@pytest.mark.parametrize("name", MISLABELLED)
def test_mislabelled_instances_differ_from_the_original(name: str) -> None:
    instance = next(SMALL.instances_of_all())
    (sent,) = faults.named(name).on_store(None, instance)  # type: ignore[arg-type]  # the request does not matter
    assert sent.sop_class_uid == CTImageStorage
    assert (sent.transfer_syntax, sent.read()) != (instance.transfer_syntax, instance.read())
