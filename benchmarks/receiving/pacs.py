"""The PACS of the benchmark: one Orthanc as it comes, and what its REST interface says about what it holds."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dicomove as dm
from benchmarks.distance.wire import Wire
from benchmarks.receiving.datasets import Digest, digest
from tests.certificates import Authority, Identity
from tests.servers import free_port, wait_until

AE_TITLE = "ORTHANC"


@dataclass
class Orthanc:
    """A running Orthanc. One HTTP connection is kept: thousands of instances go through it.

    Attributes
    ----------
    host
        Where it is.
    ours
        The address at which it reaches this machine.
    """

    dicom_port: int
    http_port: int
    authority: Authority
    identity: Identity
    host: str = "127.0.0.1"
    ours: str = "127.0.0.1"
    _connection: http.client.HTTPConnection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection(self.host, self.http_port, timeout=600)

    @property
    def pacs(self) -> dm.Pacs:
        return dm.Pacs(f"{AE_TITLE}@{self.host}:{self.dicom_port}", calling_ae_title="BENCHMARK")

    def hang_up(self) -> None:
        """Connect anew for the next request: Orthanc itself hangs up on who is silent for a second."""
        self._connection.close()

    def upload(self, size: int, chunks: Iterable[bytes]) -> str:
        """Store one file, and return Orthanc's name of it."""
        self._connection.request("POST", "/instances", iter(chunks), {"Content-Length": str(size)})
        return str(self._answer()["ID"])

    @property
    def answers(self) -> bool:
        """Whether it takes connections at both of its ports."""
        for port in (self.dicom_port, self.http_port):
            with socket.socket() as sock:
                if sock.connect_ex((self.host, port)):
                    return False
        return True

    def register(self, ae_title: str, port: int, *, tls: bool = False) -> None:
        """Make an AE title a Move Destination."""
        self.hang_up()
        modality = {"AET": ae_title, "Host": self.ours, "Port": port, "UseDicomTls": tls}
        self._connection.request("PUT", f"/modalities/{ae_title}", json.dumps(modality))
        self._answer()

    def digest(self, name: str) -> Digest:
        """Take the digest of the data set that it holds under this name."""
        self._connection.request("GET", f"/instances/{name}/file")
        return digest(self._connection.getresponse())

    def _answer(self) -> Any:
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            message = f"Orthanc answers {answer.status}: {text.decode(errors='replace')}"
            raise SystemExit(message)
        return json.loads(text or b"{}")


@contextmanager
def orthanc(folder: Path, at: Wire | None = None) -> Iterator[Orthanc]:
    """Start Orthanc with its defaults: no plugins, no compression, and no TCP_NODELAY, as hospitals run it.

    Parameters
    ----------
    folder
        Where it keeps everything.
    at
        The wire at whose far end it is; it is on this machine otherwise.
    """
    authority = Authority.make(folder / "certificates")
    host, ours = (at.far, at.near) if at else ("127.0.0.1", "127.0.0.1")
    identity = authority.sign("localhost", "127.0.0.1")
    server = Orthanc(free_port(), free_port(), authority, identity, host, ours)
    path = folder / "orthanc.json"
    path.write_text(json.dumps(_configuration(server, folder)))
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    with (folder / "orthanc.log").open("wb") as log:
        command = ["/usr/sbin/Orthanc", str(path)]
        process = subprocess.Popen(
            at.at_the_far_end(*command) if at else command,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: server.answers or process.poll() is not None, 60)
        if process.poll() is not None:
            message = f"Orthanc has ended; {folder / 'orthanc.log'} tells why"
            raise SystemExit(message)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def _configuration(server: Orthanc, folder: Path) -> dict[str, object]:
    return {
        "Name": "benchmark",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "StorageCompression": False,
        "Plugins": [],
        "HttpPort": server.http_port,
        "DicomPort": server.dicom_port,
        "DicomAet": AE_TITLE,
        "RemoteAccessAllowed": server.host != "127.0.0.1",
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "DicomAlwaysAllowGet": True,
        # For what it sends: its own port speaks no TLS.
        "DicomTlsCertificate": str(server.identity.certificate),
        "DicomTlsPrivateKey": str(server.identity.key),
        "DicomTlsTrustedCertificates": str(server.authority.file),
        "StableAge": 1,
    }
