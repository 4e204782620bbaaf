"""Certificates for a test, made when it needs them: nothing here is a secret, or lasts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and the files of the certificates that it has signed."""

    folder: Path
    ca: trustme.CA
    file: Path

    @classmethod
    def make(cls, folder: Path) -> Authority:
        folder.mkdir(parents=True, exist_ok=True)
        ca = trustme.CA()
        file = folder / "ca.pem"
        ca.cert_pem.write_to_path(str(file))
        return cls(folder, ca, file)

    def sign(self, *names: str, expired: bool = False) -> Identity:
        """Sign a certificate for names and addresses."""
        today = dt.datetime.now(dt.UTC)
        begin, end = (today - dt.timedelta(days=9), today + dt.timedelta(days=-1 if expired else 9))
        leaf = self.ca.issue_cert(*names, not_before=begin, not_after=end)
        number = len(list(self.folder.iterdir()))
        identity = Identity(self.folder / f"{number}.pem", self.folder / f"{number}.key")
        identity.certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(str(identity.key))
        return identity


@dataclass(frozen=True)
class Identity:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path
