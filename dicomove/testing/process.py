"""The process of a rehearsal PACS, and its settings, which it reads from standard input. It does not import pandas.

It ends with its standard input, and so with the process that started it, even after a crash.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from dicomove.testing.archive import Archive
from dicomove.testing.associations import FolderScp, Listener
from dicomove.testing.faults.base import Fault, Request
from dicomove.testing.faults.injector import Injector
from dicomove.testing.server import QueryRetrieveScp
from dicomove.testing.synthetic import Synthetic
from dicomove.tls import TLS, server_side


class _Modules(pickle.Pickler):
    """Collects the names of the modules that define an object and its parts."""

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
        """Return the settings as one line."""
        return base64.b64encode(pickle.dumps(self)).decode()

    def is_ours(self) -> bool:
        """Return whether all parts of the settings come from this package, or from Python."""
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


def serve(order: Order, ready: Callable[[int], None], wait_for_stop: Callable[[], object]) -> None:
    """Serve until `wait_for_stop` returns; `ready` gets the port."""
    order.received.mkdir(parents=True, exist_ok=True)
    source = order.source
    archive = Archive.from_folder(source) if isinstance(source, Path) else Archive(source.instances_of_all())
    injector = Injector(order.faults, order.seed)
    with order.log.open("a") as log, Listener(FolderScp(order.received)) as storage:
        destinations = {order.destination: ("127.0.0.1", storage.port), **order.destinations}
        tls = {title: order.storing_tls for title in order.destinations if order.storing_tls}
        scp = QueryRetrieveScp(order.ae_title, archive, destinations, injector, _recorder(log), tls)
        longest, wrap = injector.max_pdu_length, server_side(order.tls) if order.tls and injector.speaks_tls else None
        with Listener(
            scp,
            order.port,
            gate=injector.enter,
            associate=injector.associate,
            max_pdu_length=longest,
            wrap=wrap,
        ) as pacs:
            ready(pacs.port)
            wait_for_stop()


def _recorder(log: IO[str]) -> Callable[[Request], None]:
    lock = threading.Lock()

    def record(request: Request) -> None:
        facts = {name: getattr(request, name) for name in ("command", "level", "query_model", "attempt", "keys")}
        with lock:
            log.write(json.dumps(facts) + "\n")
            log.flush()

    return record


def main() -> None:
    """Serve until standard input ends."""

    def ready(port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    serve(Order.decoded(sys.stdin.readline()), ready, sys.stdin.read)


if __name__ == "__main__":
    main()
