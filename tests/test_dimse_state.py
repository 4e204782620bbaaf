"""What may come next on an association, by the table."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dicomove.dimse.messages import C_CANCEL_RQ, C_MOVE_RQ, RESPONSE, Message
from dicomove.dimse.state import OVER, TABLE, Event, Role, State, StateMachine, after, event_of

REQUESTOR, ACCEPTOR = Role.REQUESTOR, Role.ACCEPTOR
Said = tuple[Role, Event]

ESTABLISHED: list[Said] = [(REQUESTOR, Event.ASSOCIATE_RQ), (ACCEPTOR, Event.ASSOCIATE_AC)]
ASKED: list[Said] = [*ESTABLISHED, (REQUESTOR, Event.REQUEST)]
ANSWERED: list[Said] = [*ASKED, (ACCEPTOR, Event.FINAL_RESPONSE)]
PENDING: list[Said] = [*ASKED, (ACCEPTOR, Event.DATA), (ACCEPTOR, Event.RESPONSE)]
SUB_OPERATION: list[Said] = [*PENDING, (ACCEPTOR, Event.REQUEST)]
RELEASING: list[Said] = [*ANSWERED, (REQUESTOR, Event.RELEASE_RQ)]
COLLIDED: list[Said] = [*RELEASING, (ACCEPTOR, Event.RELEASE_RQ)]

STORIES: dict[str, tuple[list[Said], State]] = {
    "nothing": ([], State.CONNECTED),
    "asked for an association": (ESTABLISHED[:1], State.NEGOTIATING),
    "established": (ESTABLISHED, State.IDLE),
    "rejected": ([*ESTABLISHED[:1], (ACCEPTOR, Event.ASSOCIATE_RJ)], State.REJECTED),
    "aborted instead of an answer": ([*ESTABLISHED[:1], (ACCEPTOR, Event.ABORT)], State.ABORTED),
    "closed instead of an answer": ([*ESTABLISHED[:1], (ACCEPTOR, Event.CLOSE)], State.LOST),
    "asked": (ASKED, State.REQUESTED),
    "some bytes of a response": ([*ASKED, (ACCEPTOR, Event.DATA)], State.ANSWERING),
    "pending": (PENDING, State.ANSWERING),
    "answered": (ANSWERED, State.IDLE),
    "cancelled, and not answered": ([*ASKED, (REQUESTOR, Event.CANCEL)], State.REQUESTED),
    "cancelled after the final response": ([*ANSWERED, (REQUESTOR, Event.CANCEL)], State.IDLE),
    "asked again": ([*ANSWERED, (REQUESTOR, Event.REQUEST)], State.REQUESTED),
    "C-STORE for C-GET": (SUB_OPERATION, State.STORING),
    "C-STORE at once": ([*ASKED, (ACCEPTOR, Event.REQUEST)], State.STORING),
    "stored": ([*SUB_OPERATION, (REQUESTOR, Event.FINAL_RESPONSE)], State.ANSWERING),
    "C-STORE after the final response": ([*ANSWERED, (ACCEPTOR, Event.DATA), (ACCEPTOR, Event.REQUEST)], State.STORING),
    "released": ([*RELEASING, (ACCEPTOR, Event.RELEASE_RP)], State.RELEASED),
    "data before the answer to a release": ([*RELEASING, (ACCEPTOR, Event.DATA)], State.RELEASING),
    "both release": (COLLIDED, State.COLLIDED),
    "both release, one answers": ([*COLLIDED, (REQUESTOR, Event.RELEASE_RP)], State.RELEASING),
    "both release, both answer": (
        [*COLLIDED, (REQUESTOR, Event.RELEASE_RP), (ACCEPTOR, Event.RELEASE_RP)],
        State.RELEASED,
    ),
    "release while idle": ([*ANSWERED, (ACCEPTOR, Event.RELEASE_RQ)], State.RELEASING),
    "close while idle": ([*ANSWERED, (ACCEPTOR, Event.CLOSE)], State.LOST),
    "release crosses a request": ([*ASKED, (ACCEPTOR, Event.RELEASE_RQ)], State.CROSSED),
    "abort crosses a request": ([*ASKED, (ACCEPTOR, Event.ABORT)], State.CROSSED),
    "close crosses a request": ([*ASKED, (ACCEPTOR, Event.CLOSE)], State.CROSSED),
    "release after a response": ([*PENDING, (ACCEPTOR, Event.RELEASE_RQ)], State.RELEASING),
    "abort after a response": ([*PENDING, (ACCEPTOR, Event.ABORT)], State.ABORTED),
    "close after a byte of a response": ([*ASKED, (ACCEPTOR, Event.DATA), (ACCEPTOR, Event.CLOSE)], State.LOST),
    "the requestor aborts its request": ([*ASKED, (REQUESTOR, Event.ABORT)], State.ABORTED),
    "the release that crossed is answered": (
        [*ASKED, (ACCEPTOR, Event.RELEASE_RQ), (REQUESTOR, Event.RELEASE_RP)],
        State.CROSSED,
    ),
}


@pytest.mark.parametrize(("said", "state"), STORIES.values(), ids=STORIES)
def test_both_sides_come_to_the_same_state(said: list[Said], state: State) -> None:
    machines = [StateMachine(role) for role in Role]
    for sender, event in said:
        for machine in machines:
            assert machine.may_send(event) if machine.role is sender else machine.may_receive(event)
            (machine.sent if machine.role is sender else machine.received)(event)
    assert {machine.state for machine in machines} == {state}


ILLEGAL: list[tuple[Role, State, Event]] = [
    (ACCEPTOR, State.CONNECTED, Event.ASSOCIATE_AC),
    (REQUESTOR, State.CONNECTED, Event.REQUEST),
    (REQUESTOR, State.NEGOTIATING, Event.ASSOCIATE_RQ),
    (REQUESTOR, State.NEGOTIATING, Event.DATA),
    (ACCEPTOR, State.NEGOTIATING, Event.RELEASE_RQ),
    (ACCEPTOR, State.IDLE, Event.FINAL_RESPONSE),
    (ACCEPTOR, State.IDLE, Event.ASSOCIATE_AC),
    (ACCEPTOR, State.IDLE, Event.RELEASE_RP),
    (REQUESTOR, State.IDLE, Event.ASSOCIATE_RQ),
    (REQUESTOR, State.REQUESTED, Event.REQUEST),
    (REQUESTOR, State.ANSWERING, Event.FINAL_RESPONSE),
    (ACCEPTOR, State.REQUESTED, Event.CANCEL),
    (ACCEPTOR, State.REQUESTED, Event.RELEASE_RP),
    (ACCEPTOR, State.STORING, Event.FINAL_RESPONSE),
    (ACCEPTOR, State.RELEASING, Event.REQUEST),
]


@pytest.mark.parametrize(("sender", "state", "event"), ILLEGAL)
def test_illegal_events_change_nothing(sender: Role, state: State, event: Event) -> None:
    assert after(sender, state, event) is None
    machine = StateMachine(sender)
    machine.state = state
    machine.sent(event)
    assert machine.state is state


def test_each_side_may_end_an_association_at_any_time_and_only_once() -> None:
    for role in Role:
        for state in State:
            ends = {Event.ABORT, Event.CLOSE} & {*TABLE[role][state]}
            assert ends == (set() if state in OVER else {Event.ABORT, Event.CLOSE})
    left = {(state, event) for role in Role for state in OVER for event in TABLE[role][state]}
    assert left == {(State.CROSSED, Event.RELEASE_RP)}


def test_only_an_unanswered_request_can_cross() -> None:
    into = {
        (role, state)
        for role in Role
        for state in State
        for event, then in TABLE[role][state].items()
        if then is State.CROSSED and state is not State.CROSSED
    }
    assert into == {(ACCEPTOR, State.REQUESTED)}


@given(st.lists(st.tuples(st.sampled_from(Role), st.sampled_from(Event)), max_size=12))
def test_once_anything_was_answered_a_request_has_not_crossed(said: list[Said]) -> None:
    machine = StateMachine(REQUESTOR)
    machine.state = State.ANSWERING
    for sender, event in said:
        if sender is REQUESTOR and event is Event.REQUEST:
            break
        (machine.sent if sender is REQUESTOR else machine.received)(event)
    assert machine.state is not State.CROSSED


@pytest.mark.parametrize(("within_pdu", "state"), [(True, State.LOST), (False, State.CROSSED)])
def test_the_end_of_a_connection_within_a_response(within_pdu: bool, state: State) -> None:
    machine = StateMachine(REQUESTOR)
    machine.state = State.REQUESTED
    machine.lost(within_pdu=within_pdu)
    assert machine.state is state


@pytest.mark.parametrize(
    ("field", "status", "event"),
    [
        (C_MOVE_RQ, None, Event.REQUEST),
        (C_CANCEL_RQ, None, Event.CANCEL),
        (C_MOVE_RQ | RESPONSE, 0xFF00, Event.RESPONSE),
        (C_MOVE_RQ | RESPONSE, 0xFF01, Event.RESPONSE),
        (C_MOVE_RQ | RESPONSE, 0x0000, Event.FINAL_RESPONSE),
        (C_MOVE_RQ | RESPONSE, 0xB000, Event.FINAL_RESPONSE),
        (C_MOVE_RQ | RESPONSE, 0xFE00, Event.FINAL_RESPONSE),
        (C_MOVE_RQ | RESPONSE, None, Event.FINAL_RESPONSE),
    ],
)
def test_the_event_of_a_message(field: int, status: int | None, event: Event) -> None:
    command = {"CommandField": field, "MessageIDBeingRespondedTo": 7}
    message = Message(1, command if status is None else {**command, "Status": status})
    assert event_of(message) is event
    assert event_of(message, 7) is event


def test_a_response_to_another_request_is_not_final() -> None:
    message = Message(1, {"CommandField": C_MOVE_RQ | RESPONSE, "MessageIDBeingRespondedTo": 6, "Status": 0})
    assert event_of(message, 7) is Event.RESPONSE
