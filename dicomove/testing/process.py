"""The demo PACS's own process: ``python -m dicomove.testing.process``, told what to do on standard input.

It ends when standard input does, and so with the process that started it, however that ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dicomove.testing.acceptor import Listener
from dicomove.testing.archive import Archive
from dicomove.testing.server import QueryRetrieveScp, StorageScp


def main() -> None:
    """Serve until standard input ends."""
    order = json.loads(sys.stdin.readline())
    destinations = {title: (str(host), int(port)) for title, (host, port) in order["destinations"].items()}
    received = Path(order["received"])
    received.mkdir(parents=True, exist_ok=True)
    archive = Archive.from_folder(Path(order["folder"]))
    with Listener(StorageScp(received)) as storage:
        destinations.setdefault(order["destination"], ("127.0.0.1", storage.port))
        with Listener(QueryRetrieveScp(order["ae_title"], archive, destinations), order["port"]) as pacs:
            sys.stdout.write(f"{pacs.port}\n")
            sys.stdout.flush()
            sys.stdin.read()


if __name__ == "__main__":
    main()
