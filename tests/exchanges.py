"""Requests to a raw peer, and how it answers: C-MOVE, C-FIND, C-ECHO, and C-GET."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydicom.uid import CTImageStorage

import dicomove as dm
from dicomove.dimse import MoveResult
from dicomove.testing.raw import Accept, AwaitRelease, Close, ReadRequest, Respond, ScriptedPeer, Step, pdus

STUDY = {"StudyInstanceUID": "1.2.3"}
SHORT = {"idle_timeout": 5.0, "first_response_timeout": 5.0, "association_timeout": 5.0}


def move(scu: dm.MoveScu) -> str | None:
    return scu.move_study(STUDY, "ANYWHERE").error


def find(scu: dm.MoveScu) -> str | None:
    return scu.find_scu().find_studies({**STUDY, "PatientName": ""}).error


def echo(scu: dm.MoveScu) -> str | None:
    try:
        scu.echo()
    except (dm.errors.AssociationError, dm.errors.StatusError) as error:
        return error.error
    return None


@dataclass(frozen=True)
class Exchange:
    """A request, and how it is answered.

    Attributes
    ----------
    pdus
        Of one request.
    pending, final
        The answer.
    """

    ask: Callable[[dm.MoveScu], str | None]
    pdus: int
    pending: tuple[Respond, ...]
    final: Respond


#: A data set in the final response, in which nothing is said.
NOTHING = pdus.element(0x0008, 0x0054, b"ARCHIVE ")
EXCHANGES = {
    "C-MOVE": Exchange(
        move,
        2,
        (Respond(status=0xFF00, completed=1, remaining=1, fragment=60),),
        Respond(completed=2, remaining=0, data=NOTHING),
    ),
    "C-FIND": Exchange(
        find, 2, (Respond(status=0xFF00, data=pdus.element(0x0020, 0x000D, b"1.2.3\0"), fragment=60),), Respond()
    ),
    "C-ECHO": Exchange(echo, 1, (), Respond(fragment=40)),
}


_CLASSES = pdus.element(0x0008, 0x0062, f"{CTImageStorage}\0".encode())
#: SOP classes are asked for before a C-GET, on another association.
FINDS: tuple[Step, ...] = (
    Accept(),
    ReadRequest(),
    Respond(status=0xFF00, data=_CLASSES),
    Respond(),
    AwaitRelease(),
    Close(),
)


def got(
    receiver: dm.Receiver, step: Step, *further: Step, kind: type[ScriptedPeer] = ScriptedPeer, **options: object
) -> tuple[MoveResult, int]:
    """The result of one C-GET, and how many associations there were for it."""
    with kind(FINDS, [Accept(), step, *further]) as peer:
        with dm.GetScu(dm.Pacs(peer.address, **{**SHORT, **options})) as scu:  # type: ignore[arg-type]
            result = scu.get_study(STUDY, receiver)
        return result, peer.connections - 1
