"""The legal transitions of an association (PS3.8 9.2), as a table without I/O.

The table is the same for both sides: its events have a sender, the requestor or the acceptor of the
association. The requestor sends the requests; with C-GET, the acceptor sends C-STORE requests in between.

An association is used again only from the state `IDLE`. A request whose answer had not begun when the acceptor ended
the association is `CROSSED`: the two may have passed each other on the wire.
"""

from __future__ import annotations

from enum import IntEnum, auto
from typing import Final

from dicomove.dimse.messages import C_CANCEL_RQ, RESPONSE, Message, is_response_to
from dicomove.dimse.pdu import (
    ABORT,
    ASSOCIATE_AC,
    ASSOCIATE_RJ,
    ASSOCIATE_RQ,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
)
from dicomove.outcome import category


class Role(IntEnum):
    """The sides of an association."""

    REQUESTOR = auto()
    ACCEPTOR = auto()

    @property
    def peer(self) -> Role:
        """The other side."""
        return Role.ACCEPTOR if self is Role.REQUESTOR else Role.REQUESTOR


class State(IntEnum):
    """The states of an association: the awaited event."""

    CONNECTED = auto()  #: A-ASSOCIATE-RQ
    NEGOTIATING = auto()  #: the answer to it
    IDLE = auto()  #: a request; all requests so far were answered
    REQUESTED = auto()  #: the first byte of the response
    ANSWERING = auto()  #: the rest of a response, or the next one
    STORING = auto()  #: the response to a C-STORE that is a sub-operation of C-GET
    RELEASING = auto()  #: A-RELEASE-RP
    COLLIDED = auto()  #: both A-RELEASE-RP, since both sides sent A-RELEASE-RQ (PS3.8 7.2.2.3)
    RELEASED = auto()
    REJECTED = auto()
    ABORTED = auto()
    LOST = auto()  #: the connection ended, and the association with it
    CROSSED = auto()  #: the association ended after a request and before the first byte of a response


class Event(IntEnum):
    """The events of a side."""

    ASSOCIATE_RQ = auto()
    ASSOCIATE_AC = auto()
    ASSOCIATE_RJ = auto()
    DATA = auto()  #: some of a message
    REQUEST = auto()
    CANCEL = auto()
    RESPONSE = auto()  #: one that is not the last, or that belongs to another request
    FINAL_RESPONSE = auto()
    RELEASE_RQ = auto()
    RELEASE_RP = auto()
    ABORT = auto()
    CLOSE = auto()  #: the connection ended


OVER: Final = frozenset({State.RELEASED, State.REJECTED, State.ABORTED, State.LOST, State.CROSSED})
#: Ended in the way that the protocol has for it.
ENDED_BY_PDU: Final = frozenset({State.RELEASED, State.ABORTED})

Transitions = dict[State, dict[Event, State]]

#: Either side may do this, in every state in which the association is not over.
_ENDS: Final = {Event.ABORT: State.ABORTED, Event.CLOSE: State.LOST}

_REQUESTOR: Final[Transitions] = {
    State.CONNECTED: {Event.ASSOCIATE_RQ: State.NEGOTIATING},
    State.IDLE: {
        Event.DATA: State.IDLE,
        Event.REQUEST: State.REQUESTED,
        Event.CANCEL: State.IDLE,  # it came after the final response
        Event.RESPONSE: State.IDLE,  # a response without a request is ignored
        Event.FINAL_RESPONSE: State.IDLE,
        Event.RELEASE_RQ: State.RELEASING,
    },
    **{
        state: {Event.DATA: state, Event.CANCEL: state, Event.RELEASE_RQ: State.RELEASING}
        for state in (State.REQUESTED, State.ANSWERING)
    },
    State.STORING: {
        Event.DATA: State.STORING,
        Event.CANCEL: State.STORING,
        Event.RESPONSE: State.STORING,
        Event.FINAL_RESPONSE: State.ANSWERING,
        Event.RELEASE_RQ: State.RELEASING,
    },
}

_ACCEPTOR: Final[Transitions] = {
    State.NEGOTIATING: {Event.ASSOCIATE_AC: State.IDLE, Event.ASSOCIATE_RJ: State.REJECTED},
    State.IDLE: {
        Event.RELEASE_RQ: State.RELEASING,
        # Some PACS send the last C-STORE of a C-GET after the final response.
        Event.DATA: State.ANSWERING,
        Event.REQUEST: State.STORING,
    },
    State.REQUESTED: {
        Event.DATA: State.ANSWERING,
        Event.REQUEST: State.STORING,
        Event.RESPONSE: State.ANSWERING,
        Event.FINAL_RESPONSE: State.IDLE,
        **dict.fromkeys((Event.RELEASE_RQ, Event.ABORT, Event.CLOSE), State.CROSSED),
    },
    State.ANSWERING: {
        Event.DATA: State.ANSWERING,
        Event.REQUEST: State.STORING,
        Event.RESPONSE: State.ANSWERING,
        Event.FINAL_RESPONSE: State.IDLE,
        Event.RELEASE_RQ: State.RELEASING,
    },
    State.STORING: {Event.RELEASE_RQ: State.RELEASING},
}

_BOTH: Final[Transitions] = {
    State.RELEASING: {
        Event.DATA: State.RELEASING,  # of a message that was on its way
        Event.RELEASE_RQ: State.COLLIDED,
        Event.RELEASE_RP: State.RELEASED,
    },
    State.COLLIDED: {Event.DATA: State.COLLIDED, Event.RELEASE_RP: State.RELEASING},
    State.CROSSED: {Event.RELEASE_RP: State.CROSSED},
}


def _row(state: State, own: Transitions) -> dict[Event, State]:
    return ({} if state in OVER else _ENDS) | _BOTH.get(state, {}) | own.get(state, {})


#: By the sender of an event, the state before it and the event: the state after it.
TABLE: Final[dict[Role, Transitions]] = {
    role: {state: _row(state, own) for state in State}
    for role, own in ((Role.REQUESTOR, _REQUESTOR), (Role.ACCEPTOR, _ACCEPTOR))
}

PDU_EVENTS: Final = {
    ASSOCIATE_RQ: Event.ASSOCIATE_RQ,
    ASSOCIATE_AC: Event.ASSOCIATE_AC,
    ASSOCIATE_RJ: Event.ASSOCIATE_RJ,
    P_DATA: Event.DATA,
    RELEASE_RQ: Event.RELEASE_RQ,
    RELEASE_RP: Event.RELEASE_RP,
    ABORT: Event.ABORT,
}


def after(sender: Role, state: State, event: Event) -> State | None:
    """Return the state after an event; ``None`` if the event is not legal.

    Examples
    --------
    >>> after(Role.ACCEPTOR, State.REQUESTED, Event.RELEASE_RQ)
    <State.CROSSED: 13>
    >>> after(Role.ACCEPTOR, State.IDLE, Event.FINAL_RESPONSE) is None
    True
    """
    return TABLE[sender][state].get(event)


def event_of(message: Message, message_id: int | None = None) -> Event:
    """Return the event of a message.

    Parameters
    ----------
    message
        The message.
    message_id
        Of the request whose response is awaited: a response to another one is not final.
    """
    field = message.number("CommandField") or 0
    if field == C_CANCEL_RQ:
        return Event.CANCEL
    if not field & RESPONSE:
        return Event.REQUEST
    is_other = message_id is not None and not is_response_to(message, message_id)
    status = message.number("Status")
    is_pending = status is not None and category(status) == "pending"
    return Event.RESPONSE if is_other or is_pending else Event.FINAL_RESPONSE


def final_response(announced: Message | None, message_id: int) -> Message | None:
    """Return a message whose data set is not complete, if it is the final response to a request."""
    is_final = announced and event_of(announced, message_id) is Event.FINAL_RESPONSE
    return announced if is_final else None


class StateMachine:
    """The state of one association, from one of its sides."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = State.CONNECTED
        self._ours, self._theirs = TABLE[role], TABLE[role.peer]

    def may_send(self, event: Event) -> bool:
        """Whether we may send this event now."""
        return event in self._ours[self.state]

    def may_receive(self, event: Event) -> bool:
        """Whether the peer may send this event now."""
        return event in self._theirs[self.state]

    def sent(self, event: Event) -> None:
        """Go to the state after our event; an illegal event changes nothing."""
        self.state = self._ours[self.state].get(event, self.state)

    def received(self, event: Event) -> None:
        """Go to the state after the peer's event; an illegal event changes nothing."""
        self.state = self._theirs[self.state].get(event, self.state)

    def lost(self, *, within_pdu: bool) -> None:
        """Go to the state after the end of the connection, which may have come within a PDU of the peer."""
        if within_pdu:
            self.received(Event.DATA)
        self.received(Event.CLOSE)
