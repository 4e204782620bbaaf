"""C-GET through a relay that damages what the PACS sends: nothing hangs, and no damaged file gets a final name."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

import dicomove as dm
from dicomove.testing import Synthetic
from tests import receiving

pytestmark = pytest.mark.timeout(900)

TRIES = int(os.environ.get("DICOMOVE_FUZZ", "10"))
SOURCE = Synthetic(studies=1, instances=4, size=40_000)
UID = receiving.studies(SOURCE)["StudyInstanceUID"].iloc[0]


def read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := sock.recv(size - len(data))):
        data += more
    return data


def pdus(sock: socket.socket) -> Iterator[bytes]:
    while len(head := read(sock, 6)) == 6:
        yield head + read(sock, struct.unpack(">I", head[2:])[0])


def damaged(pdu: bytes, chance: random.Random) -> list[bytes]:
    """Damage a PDU in its headers, leave it out, repeat it, or cut it."""
    kind = chance.choice(["flip", "flip", "drop", "repeat", "cut"])
    if kind == "flip":
        changed = bytearray(pdu)
        changed[chance.randrange(min(12, len(pdu)))] ^= 1 << chance.randrange(8)
        return [bytes(changed)]
    return {"drop": [], "repeat": [pdu, pdu], "cut": [pdu[: chance.randrange(len(pdu))], b""]}[kind]


@contextmanager
def relay(port: int, seed: int) -> Iterator[int]:
    """Damage one PDU of the PACS, after the association has been accepted."""
    chance = random.Random(seed)
    place = chance.randrange(1, 12)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    threading.Thread(target=exchange, args=(client,), daemon=True).start()

        def exchange(client: socket.socket) -> None:
            with client, socket.create_connection(("127.0.0.1", port)) as pacs, suppress(OSError):
                threading.Thread(target=forward, args=(client, pacs), daemon=True).start()
                for number, pdu in enumerate(pdus(pacs)):
                    for part in damaged(pdu, chance) if number == place else [pdu]:
                        if not part:
                            return
                        client.sendall(part)

        def forward(client: socket.socket, pacs: socket.socket) -> None:
            with suppress(OSError):
                while data := client.recv(65536):
                    pacs.sendall(data)
                pacs.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def test_no_damaged_file_gets_a_final_name(tmp_path: Path) -> None:
    outcomes: set[str] = set()
    for seed in range(1, TRIES + 1):
        folder = tmp_path / str(seed)
        with (
            receiving.pacs({}, source=SOURCE) as pacs,
            relay(pacs.port, seed) as port,
            dm.Receiver(folder, port=None) as receiver,
            dm.GetScu(dm.Pacs(f"PACS@127.0.0.1:{port}", idle_timeout=1, first_response_timeout=1)) as scu,
        ):
            try:
                outcomes.add(scu.get_study({"StudyInstanceUID": UID}, receiver).outcome)
            except Exception as error:  # noqa: BLE001 (whatever it is, the seed has to be told)
                pytest.fail(f"seed {seed}: {type(error).__name__}: {error}")
        try:
            receiving.assert_whole(folder, SOURCE)
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
        assert receiving.partial(folder) == [], f"seed {seed}"
    assert {"complete", "interrupted"} <= outcomes
