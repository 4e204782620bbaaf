"""A peer that sends the bytes of a script to each client that connects, valid or not.

`ScriptedPeer` plays a script, which is a sequence of steps. `SCRIPTS` has ready-made ones. No step needs a valid
answer, or any answer.

>>> from dicomove import MoveScu, Pacs
>>> with ScriptedPeer(SCRIPTS["http"].steps) as peer, MoveScu(Pacs(peer.address)) as scu:
...     scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE").error
'invalid_response'

::

    pdus         writes valid and invalid PDUs
    peer         `ScriptedPeer`; one connection, as client or as server
    steps        the steps of a script
    scripts      ready-made scripts by name
"""

from dicomove.testing.raw.peer import RawConnection, ScriptedPeer, Step
from dicomove.testing.raw.scripts import SCRIPTS, Script
from dicomove.testing.raw.steps import (
    Accept,
    Associate,
    AwaitRelease,
    Close,
    Drip,
    FinishSending,
    InOnePdu,
    ReadBytes,
    ReadPdu,
    ReadRequest,
    Repeat,
    Reset,
    Respond,
    Send,
    Silence,
    StopReading,
    damaged,
    garbage,
)

__all__ = [
    "SCRIPTS",
    "Accept",
    "Associate",
    "AwaitRelease",
    "Close",
    "Drip",
    "FinishSending",
    "InOnePdu",
    "RawConnection",
    "ReadBytes",
    "ReadPdu",
    "ReadRequest",
    "Repeat",
    "Reset",
    "Respond",
    "Script",
    "ScriptedPeer",
    "Send",
    "Silence",
    "Step",
    "StopReading",
    "damaged",
    "garbage",
]
