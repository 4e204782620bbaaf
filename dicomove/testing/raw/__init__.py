"""A peer that sends the bytes of a script to each client that connects, whatever they mean.

`ScriptedPeer` plays a script: a sequence of steps, ready-made in `SCRIPTS`. No step needs a reasonable answer, or any.

>>> from dicomove import MoveScu, Pacs
>>> with ScriptedPeer(SCRIPTS["http"].steps) as peer, MoveScu(Pacs(peer.address)) as scu:
...     scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE").error
'invalid_response'

::

    pdus         PDUs by hand, right or wrong
    connection   one connection, on whichever side
    steps        what a raw peer can do
    scripts      ready-made scripts by name
    peer         `ScriptedPeer`
"""

from dicomove.testing.raw.connection import RawConnection, Step
from dicomove.testing.raw.peer import ScriptedPeer
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
