"""The decisions of `doctor`: evidence in, rows out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomove import Pacs
from dicomove.dimse.presentation_contexts import FIND, GET, MOVE
from dicomove.doctor import connection, destination
from dicomove.doctor.evidence import Answer, Arrival, Evidence, Search

PACS = Pacs("PACS@host:104", calling_ae_title="OURS")
SEEN = Evidence(PACS, addresses=("10.0.0.1",), port="open", own_address="10.0.0.9")
OK = Answer(status="0x0000")
SOME = Search(OK, sample=OK, studies=10)
AT_RX = replace(
    SEEN, destination="RX", receiver_host="10.0.0.9", receiver_port=11112, asked_to_move=True, has_instance=True
)


def rejected(reason: str) -> Evidence:
    text = f"the PACS rejected the association (Rejected Transient, Service User: {reason})"
    return replace(SEEN, association=Answer("association_rejected", text))


@pytest.mark.parametrize(
    ("reason", "found", "remedy"),
    [
        ("Local limit exceeded", "its limit is reached", "try again later"),
        ("Temporary congestion", "its limit is reached", "try again later"),
        ("Called AE title not recognised", "the called AE title PACS", "before the @"),
        (
            "Calling AE title not recognised",
            "our AE title OURS",
            "register our AE title OURS, with the address 10.0.0.9",
        ),
        ("No reason given", "without a reason", "before the @ of the address. If it is right, ask"),
    ],
)
def test_a_rejection_names_the_title_or_the_limit(reason: str, found: str, remedy: str) -> None:
    row = connection.association(rejected(reason))
    assert row.verdict == "failed"
    assert found in row.found
    assert remedy in str(row.remedy)


def test_a_connection_that_ends_without_an_answer() -> None:
    lost = replace(SEEN, association=Answer("connection_lost", "the peer closed the connection"), language="unknown")
    row = connection.association(lost)
    assert (row.verdict, row.found) == ("failed", "The peer closed the connection.")
    assert "register OURS, address 10.0.0.9" in str(row.remedy)
    assert connection.tls(lost).verdict == "skipped"


@pytest.mark.parametrize(
    ("offered", "verdicts"),
    [
        ({*FIND.values(), *MOVE.values(), *GET.values()}, ["ok", "ok", "ok"]),
        ({FIND["StudyRoot"], MOVE["PatientRoot"]}, ["ok", "warning", "warning"]),
        ({GET["StudyRoot"]}, ["failed", "failed", "ok"]),
    ],
)
def test_offered_services(offered: set[str], verdicts: list[str]) -> None:
    seen = replace(SEEN, offered=frozenset(offered))
    rows = [rule(seen) for rule in (connection.find_offered, connection.move_offered, connection.get_offered)]
    assert [row.verdict for row in rows] == verdicts
    assert all(row.remedy for row in rows if row.verdict != "ok")
    if FIND["StudyRoot"] not in offered:
        assert "Study Root" in connection.find(seen).found


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (replace(SOME, halves=10), "ok"),
        (replace(SOME, halves=None), "ok"),
        (replace(SOME, halves=11), "warning"),
        (replace(SOME, sample=Answer(status="0xFE00"), halves=10), "warning"),
        (replace(SOME, stopped=True, sample=Answer(status="0xFE00")), "ok"),
        (replace(SOME, studies=0), "skipped"),
        (Search(OK, sample=Answer("unable_to_process", status="0xC000")), "skipped"),
    ],
)
def test_a_limit_of_answers(seen: Search, verdict: str) -> None:
    assert connection.limit(replace(SEEN, search=seen)).verdict == verdict


def test_c_find_that_ignores_keys_or_is_not_allowed() -> None:
    row = connection.find(replace(SEEN, search=replace(SOME, control_matches=7)))
    assert row.verdict == "warning"
    assert "7 answers to a search for a study that cannot exist" in row.found
    row = connection.find(replace(SEEN, search=Search(Answer("not_authorized", status="0x0124"))))
    assert (row.verdict, row.found) == ("failed", "The PACS answered 0x0124.")
    assert "allow C-FIND and C-MOVE for our AE title OURS" in str(row.remedy)


@pytest.mark.parametrize(
    ("answer", "nowhere", "verdict"),
    [
        (OK, OK, "skipped"),
        (OK, Answer("destination_unknown", status="0xA801"), "ok"),
        (Answer("no_match", status="0x0112"), Answer("destination_unknown", status="0xA801"), "ok"),
        (Answer("destination_unknown", status="0xA801"), Answer("destination_unknown", status="0xA801"), "failed"),
        (Answer("not_authorized", status="0x0124"), OK, "failed"),
    ],
)
def test_a_destination_is_compared_with_one_that_cannot_exist(answer: Answer, nowhere: Answer, verdict: str) -> None:
    assert destination.known(replace(AT_RX, to_destination=answer, to_nowhere=nowhere)).verdict == verdict


def test_a_receiver_that_refused_the_pacs_names_the_keyword() -> None:
    row = destination.connection_back(replace(AT_RX, moved=Answer("all_failed"), refused=("10.0.0.7",)))
    assert row.verdict == "failed"
    assert "allow=['10.0.0.7']" in str(row.remedy)


def test_the_arrival_at_a_receiver_is_reported() -> None:
    row = destination.connection_back(replace(AT_RX, moved=OK, arrival=Arrival("10.0.0.1", "PACS", "JPEG 2000")))
    assert (row.verdict, row.found) == ("ok", "The PACS connected from 10.0.0.1 as PACS, and sent JPEG 2000.")


@pytest.mark.parametrize(("seconds", "said"), [(0.1, "gave up at once"), (20.0, "a firewall between")])
def test_how_long_a_failed_move_took_tells_the_likely_cause(seconds: float, said: str) -> None:
    row = destination.one_instance(replace(AT_RX, moved=Answer("all_failed", status="0xA702", duration_s=seconds)))
    assert row.verdict == "failed"
    assert said in str(row.remedy)
    assert "AE title RX, host 10.0.0.9, port 11112" in str(row.remedy)


@pytest.mark.parametrize(
    ("text", "found"), [("is it so?", "Is it so?"), ("it is so.", "It is so."), ("it is so", "It is so.")]
)
def test_a_text_becomes_one_sentence(text: str, found: str) -> None:
    assert connection.echo(replace(SEEN, echo=Answer("idle_timeout", text))).found == found


def test_a_container_is_named_before_anything_is_moved() -> None:
    problem = "this process runs in a container, and the PACS may not reach it: publish the port"
    row = destination.connection_back(replace(AT_RX, asked_to_move=False, reach_problem=problem))
    assert row.verdict == "warning"
    assert row.found == "This process runs in a container, and the PACS may not reach it."
    assert row.remedy == "Publish the port."


def test_the_entry_is_the_one_that_the_receiver_advertises() -> None:
    seen = replace(AT_RX, receiver_host="node7", receiver_port=30104, moved=Answer("destination_unknown"))
    assert "AE title RX, host node7, port 30104" in str(destination.one_instance(seen).remedy)
