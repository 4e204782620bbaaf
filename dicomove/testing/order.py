"""The settings for the process of a rehearsal PACS, in a module that does not load pandas."""

from __future__ import annotations

import base64
import io
import pickle
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomove.testing.faults.base import Fault
from dicomove.testing.synthetic import Synthetic
from dicomove.tls import TLS


class _Modules(pickle.Pickler):
    """Collects the names of the modules of what it is given."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.names: set[str] = set()

    def reducer_override(self, value: object) -> Any:
        self.names.add(str(getattr(value, "__module__", None) or "builtins"))
        return NotImplemented


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

    def is_ours(self) -> bool:
        """Return whether all that it is made of comes from this package, or from Python."""
        pickler = _Modules()
        pickler.dump(self)
        return {name.partition(".")[0] for name in pickler.names} <= {"dicomove", *sys.stdlib_module_names}

    @staticmethod
    def decoded(line: str) -> Order:
        """Return the settings from `encoded`; the process that started this one sends them over a pipe."""
        order = pickle.loads(base64.b64decode(line))  # noqa: S301 (see above)
        if not isinstance(order, Order):
            raise TypeError(line)
        return order
