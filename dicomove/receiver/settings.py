"""What the receiver's process is told once, at its start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self

from dicomove.receiver.paths import DEFAULT_PATH
from dicomove.receiver.shelf import Existing

Accept = Literal["requested", "any"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a peer may take before it loses its connection, and nothing else.

    Parameters
    ----------
    handshake
        Seconds until its A-ASSOCIATE-RQ is there.
    idle
        Seconds between two PDUs.
    pdu
        Seconds for one PDU, from its first byte to its last: a peer that drips is no peer.
    associations
        Connections at the same time; beyond it, the one that has been idle for the longest time is ended.
    """

    handshake: float = 10
    idle: float = 300
    pdu: float = 30
    associations: int = 200


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of `Receiver`, checked."""

    folder: str
    ae_title: str
    host: str
    port: int
    path: str = DEFAULT_PATH
    allow: tuple[str, ...] = ()
    accept: Accept = "requested"
    existing: Existing = "keep"
    min_free: int | None = None
    limits: Limits = DEFAULT_LIMITS

    def to_json(self) -> str:
        """Return it as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return what `to_json` made."""
        told = json.loads(line)
        return cls(**{**told, "limits": Limits(**told["limits"])})
