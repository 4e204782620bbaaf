"""One instance of gibibytes, straight into the receiver: `python -m benchmarks.receiving.large --mib 2048`.

Without a PACS, whose own time would be most of it. The peer sends as fast as the receiver reads.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import socket
import struct
import time
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian

import dicomove as dm
from benchmarks.receiving.children import cpu_seconds, peak_memory
from benchmarks.receiving.datasets import digests
from benchmarks.receiving.workloads import KIB, MIB, multi_frame
from dicomove.dimse.data_sets import encode
from dicomove.dimse.messages import C_STORE_RQ, Command, decode_command
from dicomove.receiver.own_process.server import MAX_PDU_LENGTH
from dicomove.testing.raw import pdus

_FRAME = 512 * KIB
_ASSOCIATE_AC = 2


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receiving.large", description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the instance")
    parser.add_argument("--scratch", type=Path, help="where the receiver writes; the system's default")
    options = parser.parse_args()
    with (
        TemporaryDirectory(prefix="dicomove-benchmark-", dir=options.scratch) as folder,
        dm.Receiver(folder, port=0, host="127.0.0.1", accept="any") as receiver,
    ):
        print(measure(receiver, options.mib * MIB))


def measure(receiver: dm.Receiver, size: int) -> str:
    """Send one instance, and return a line that says how it went."""
    header = multi_frame(size // _FRAME)
    start = encode(header, ExplicitVRLittleEndian) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
    frame = random.Random(0).randbytes(_FRAME)
    sent = hashlib.sha256()
    for piece in chain([start], repeat(frame, size // _FRAME)):
        sent.update(piece)
    packed = b"".join(_fragments(frame))
    began = time.perf_counter()
    status = send(receiver, header, chain(_fragments(start), repeat(packed, size // _FRAME)))
    answered = time.perf_counter() - began
    receiver.flush()
    durable = time.perf_counter() - began
    is_equal = [one.sha256 for one in digests(receiver.folder)] == [sent.hexdigest()]
    return (
        f"{size // MIB} MiB: Status 0x{status:04X} after {answered:.2f} s ({size / answered / 1e6:.0f} MB/s), "
        f"durable, hashed and recorded after {durable:.2f} s ({size / durable / 1e6:.0f} MB/s); "
        f"peak memory {peak_memory(receiver.pid) >> 20} MiB, CPU {cpu_seconds(receiver.pid):.1f} s; "
        f"SHA-256 {'equal' if is_equal else 'NOT EQUAL'}"
    )


def _fragments(data: bytes) -> Iterable[bytes]:
    """Yield P-DATA-TF of a data set that goes on."""
    longest = MAX_PDU_LENGTH - 6
    for start in range(0, len(data), longest):
        yield pdus.p_data(pdus.pdv(1, data[start : start + longest], command=False, last=False))


def send(receiver: dm.Receiver, header: Dataset, data: Iterable[bytes]) -> int:
    """Store an instance over an association of its own, and return the Status."""
    command: Command = {
        "AffectedSOPClassUID": str(header.SOPClassUID),
        "AffectedSOPInstanceUID": str(header.SOPInstanceUID),
        "CommandField": C_STORE_RQ,
        "MessageID": 1,
        "Priority": 0,
    }
    with socket.create_connection(("127.0.0.1", receiver.port)) as sock, sock.makefile("rb") as answers:
        sock.sendall(pdus.associate_request(receiver.ae_title, {str(header.SOPClassUID): [ExplicitVRLittleEndian]}))
        if _read_pdu(answers)[0] != _ASSOCIATE_AC:
            message = "the receiver did not accept the association"
            raise RuntimeError(message)
        sock.sendall(b"".join(map(pdus.p_data, pdus.message_pdvs(1, command, b""))))
        for piece in data:
            sock.sendall(piece)
        sock.sendall(pdus.p_data(pdus.pdv(1, b"", command=False)))
        answer = decode_command(_read_pdu(answers)[12:])
        sock.sendall(pdus.RELEASE_REQUEST)
        _read_pdu(answers)
    return int(answer["Status"])


def _read_pdu(answers: BinaryIO) -> bytes:
    head = answers.read(6)
    return head + answers.read(int.from_bytes(head[2:]))


if __name__ == "__main__":
    main()
