"""The settings for the process of a rehearsal PACS."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicomove.testing.faults.base import Fault
from dicomove.testing.synthetic import Synthetic
from dicomove.tls import TLS


@dataclass(frozen=True, kw_only=True)
class Order:
    """The settings for the process."""

    ae_title: str
    source: Path | Synthetic
    scratch: Path
    destination: str
    destinations: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    seed: int = 0
    port: int = 0
    tls: TLS | None = None
    storing_tls: TLS | None = None

    @property
    def received(self) -> Path:
        """The folder of the Storage SCP."""
        return self.scratch / "received"

    @property
    def log(self) -> Path:
        """The file of the requests, one JSON object per line."""
        return self.scratch / "requests.jsonl"

    def encoded(self) -> str:
        """Return it as one line."""
        return base64.b64encode(pickle.dumps(self)).decode()

    @staticmethod
    def decoded(line: str) -> Order:
        """Return the settings from `encoded`; the process that started this one sends them over a pipe."""
        order = pickle.loads(base64.b64decode(line))  # noqa: S301 (see above)
        if not isinstance(order, Order):
            raise TypeError(line)
        return order
