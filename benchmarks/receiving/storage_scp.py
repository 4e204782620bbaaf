"""pynetdicom's storage SCP at its best: a process of its own, any context, raw bytes, no decoding, no waiting sockets.

Run as a program it prints its port; when its standard input ends, it prints how many instances have come, and ends.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from itertools import count
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config, evt

_VERIFICATION = "1.2.840.10008.1.1"
SUCCESS = 0x0000


def main() -> None:
    """Serve until standard input ends."""
    options = _options()
    server, taken = start(options.folder, options.ae_title, options.max_pdu, options.host)
    print(server.socket.getsockname()[1], flush=True)
    sys.stdin.read()
    server.shutdown()
    print(json.dumps({"instances": next(taken)}), flush=True)


def start(folder: Path, ae_title: str, max_pdu: int, host: str = "127.0.0.1") -> tuple[Any, count[int]]:
    """Start the SCP in threads of this process; what it has taken is counted."""
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    taken = count()
    ae = AE(ae_title)
    ae.maximum_pdu_size = max_pdu
    ae.maximum_associations = 100
    ae.add_supported_context(_VERIFICATION)
    handlers = [(evt.EVT_C_STORE, _write, [folder, taken]), *NO_DELAY]
    return ae.start_server((host, 0), block=False, evt_handlers=handlers), taken


def _write(event: Any, folder: Path, taken: count[int]) -> int:
    (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
    next(taken)
    return SUCCESS


def no_delay(event: Any) -> None:
    """Let the socket of an association neither delay acknowledgements nor wait for them."""
    sock = event.assoc.dul.socket.socket
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


NO_DELAY: list[Any] = [(event, no_delay) for event in (evt.EVT_CONN_OPEN, evt.EVT_DATA_RECV, evt.EVT_DATA_SENT)]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ae-title", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--max-pdu", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
