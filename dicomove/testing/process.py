"""The process of a rehearsal PACS, which `start.py` or ``python -m`` runs. It reads its settings from standard input.

It ends with its standard input, and so with the process that started it, even after a crash.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from dicomove.testing.acceptor import Listener
from dicomove.testing.archive import Archive
from dicomove.testing.faults.base import Request
from dicomove.testing.faults.injector import Injector
from dicomove.testing.order import Order
from dicomove.testing.server import QueryRetrieveScp
from dicomove.testing.storage import StorageScp
from dicomove.tls import server_side


def serve(order: Order, ready: Callable[[int], None], until_told: Callable[[], object]) -> None:
    """Serve until the signal to stop."""
    order.received.mkdir(parents=True, exist_ok=True)
    source = order.source
    archive = Archive.from_folder(source) if isinstance(source, Path) else Archive(source.instances_of_all())
    injector = Injector(order.faults, order.seed)
    with order.log.open("a") as log, Listener(StorageScp(order.received)) as storage:
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
            until_told()


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
