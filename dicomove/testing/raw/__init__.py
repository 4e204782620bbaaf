"""Peers that speak bytes: as a PACS to whoever calls, and as a client that attacks an SCP.

`ScriptedPeer` plays a script: steps in a row, ready-made in `SCRIPTS`. `attack` does what `ATTACKS` names to an SCP at
some host and port. Nothing here needs the other side to be reasonable, or to ever answer.

>>> from dicomove import MoveScu, Pacs
>>> with ScriptedPeer(SCRIPTS["http"].steps) as peer, MoveScu(Pacs(peer.address)) as scu:
...     scu.move_study({"StudyInstanceUID": "1.2.3"}, "ANYWHERE").error
'invalid_response'
"""

from dicomove.testing.raw.attacks import ATTACKS, Attack, AttackResult, attack
from dicomove.testing.raw.peer import ScriptedPeer
from dicomove.testing.raw.scripts import SCRIPTS, Script
from dicomove.testing.raw.steps import (
    Accept,
    Associate,
    AwaitRelease,
    Close,
    Deaf,
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
    damaged,
    garbage,
)
from dicomove.testing.raw.talk import Step, Talk

__all__ = [
    "ATTACKS",
    "SCRIPTS",
    "Accept",
    "Associate",
    "Attack",
    "AttackResult",
    "AwaitRelease",
    "Close",
    "Deaf",
    "Drip",
    "FinishSending",
    "InOnePdu",
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
    "Talk",
    "attack",
    "damaged",
    "garbage",
]
