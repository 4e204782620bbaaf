from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import keyring
import pandas as pd
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from keyring.backend import KeyringBackend

import dicomove as dm
from dicomove.credentials import Credential
from dicomove.receiver import kept_arguments
from dicomove.receiver.settings import Settings
from dicomove.testing import RehearsalPacs, Synthetic
from dicomove.tls import TLS, client_context, explained, server_context
from tests import servers
from tests.certificates import Authority, Identity

SECRET = "not for a log"  # noqa: S105  # a test's


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def local(authority: Authority) -> Identity:
    return authority.sign("localhost", "127.0.0.1")


def listening(identity: Identity, ca: Path | None = None) -> TLS:
    return TLS(certificate=identity.certificate, key=identity.key, ca=ca)


def attempt(
    server: Callable[[socket.socket], object], client: Callable[[socket.socket], object]
) -> tuple[Exception | None, Exception | None]:
    """What each side makes of one connection: client first."""
    found: list[Exception | None] = [None, None]

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            try:
                server(connection)
            except OSError as error:
                found[1] = error

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=10) as connection:
            try:
                client(connection)
            except OSError as error:
                found[0] = error
        thread.join(10)
    return found[0], found[1]


def server_side(context: ssl.SSLContext) -> Callable[[socket.socket], object]:
    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.sendall(secured.recv(5))

    return serve


def client_side(context: ssl.SSLContext, name: str = "127.0.0.1") -> Callable[[socket.socket], object]:
    def call(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_hostname=name) as secured:
            with contextlib.suppress(OSError):  # what the peer says of it is read below
                secured.sendall(b"hello")
            assert secured.recv(5) == b"hello"

    return call


def said(error: Exception | None) -> str:
    assert isinstance(error, ssl.SSLError), error
    return explained(error)


@pytest.mark.parametrize("profile", ["bcp195", "non-downgrading"])
def test_both_sides_with_certificates(authority: Authority, local: Identity, profile: str) -> None:
    server = TLS(ca=authority.file, certificate=local.certificate, key=local.key, profile=profile)  # type: ignore[arg-type]
    ours = authority.sign("research.example")
    client = TLS(ca=authority.file, certificate=ours.certificate, key=ours.key)
    assert attempt(server_side(server_context(server)), client_side(client_context(client))) == (None, None)


@pytest.mark.parametrize(
    ("verify", "words"),
    [("full", "made out to another name"), ("chain", None), ("none", None)],
)
def test_a_certificate_of_another_name(authority: Authority, verify: str, words: str | None) -> None:
    other = authority.sign("pacs.example")
    client = TLS(ca=authority.file, verify=verify)  # type: ignore[arg-type]
    error, _ = attempt(server_side(server_context(listening(other))), client_side(client_context(client)))
    assert error is None if words is None else words in said(error)


def test_an_expired_certificate(authority: Authority) -> None:
    old = listening(authority.sign("127.0.0.1", expired=True))
    error, _ = attempt(server_side(server_context(old)), client_side(client_context(TLS(ca=authority.file))))
    assert "has expired" in said(error)


def test_an_authority_that_is_not_trusted(local: Identity, stranger: Authority) -> None:
    server = server_side(server_context(listening(local)))
    error, theirs = attempt(server, client_side(client_context(TLS(ca=stranger.file))))
    assert "authority that is not trusted here" in said(error)
    assert "does not accept our certificate" in said(theirs)


def test_a_receiver_that_asks_for_a_certificate(authority: Authority, local: Identity, stranger: Authority) -> None:
    server = server_side(server_context(listening(local, authority.file)))
    without, theirs = attempt(server, client_side(client_context(TLS(ca=authority.file))))
    assert "A certificate is required, and none was shown" in said(theirs)
    assert "A certificate is required, and none was shown" in said(without)
    other = stranger.sign("research.example")
    ours = TLS(ca=authority.file, certificate=other.certificate, key=other.key)
    wrong, theirs = attempt(server, client_side(client_context(ours)))
    assert "authority that is not trusted here" in said(theirs)
    assert "does not accept our certificate" in said(wrong)


def test_a_peer_that_speaks_no_tls(authority: Authority, local: Identity) -> None:
    a_associate = bytes([1, 0, 0, 0, 0, 200]) + bytes(200)
    error, _ = attempt(lambda sock: sock.sendall(a_associate), client_side(client_context(TLS(ca=authority.file))))
    assert "does not speak TLS" in said(error)
    server = server_side(server_context(listening(local)))
    _, theirs = attempt(server, lambda sock: sock.send(a_associate) and sock.recv(10))
    assert "does not speak TLS" in said(theirs)


def test_a_peer_that_never_answers_the_handshake() -> None:
    """A port without TLS may take a ClientHello for the beginning of a very long PDU, and wait for its end."""

    def wait(sock: socket.socket) -> None:
        sock.recv(1 << 16, socket.MSG_WAITALL)

    with servers.listening(wait) as port:
        pacs = dm.Pacs(f"PACS@127.0.0.1:{port}", tls=TLS(verify="none"), association_timeout=0.2)
        with pytest.raises(dm.errors.AssociationTimeout, match="does this port speak TLS"):
            dm.echo(pacs)


def test_a_peer_that_hangs_up(authority: Authority) -> None:
    error, _ = attempt(lambda sock: sock.recv(4096), client_side(client_context(TLS(ca=authority.file))))
    assert "without a word" in said(error)


def test_a_peer_of_old_versions_only(authority: Authority, local: Identity) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(authority.file)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLS"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1
    _, theirs = attempt(server_side(server_context(listening(local))), client_side(old))
    assert "no version of TLS in common" in said(theirs)


def test_cipher_suites_without_forward_secrecy_are_for_the_other_profile(authority: Authority, local: Identity) -> None:
    weak = client_context(TLS(ca=authority.file))
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    strict = TLS(certificate=local.certificate, key=local.key, profile="non-downgrading")
    _, theirs = attempt(server_side(server_context(strict)), client_side(weak))
    assert "no cipher suite in common" in said(theirs)


def test_an_encrypted_key(local: Identity, tmp_path: Path) -> None:
    key = load_pem_private_key(local.key.read_bytes(), None)
    protected = tmp_path / "protected.key"
    secret = "not for a log"  # noqa: S105  # a test's
    encryption = BestAvailableEncryption(secret.encode())
    protected.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    tls = TLS(certificate=local.certificate, key=protected, password=secret)
    assert secret not in repr(tls)
    for wrong in (None, "another one"):
        with pytest.raises(dm.errors.AddressError, match="password") as raised:
            TLS(certificate=local.certificate, key=protected, password=wrong)
        assert "another one" not in str(raised.value)


class OneEntry(KeyringBackend):
    """A keyring of a test."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        return SECRET if (service, username) == ("archive", "protected.key") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def protected(local: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An encrypted key, whose password is in a variable and in the keyring."""
    key = load_pem_private_key(local.key.read_bytes(), None)
    path = tmp_path / "protected.key"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(SECRET.encode())))
    monkeypatch.setenv("KEY_PASSWORD", SECRET)
    before = keyring.get_keyring()
    keyring.set_keyring(OneEntry())  # type: ignore[no-untyped-call]  # keyring's own __init__ has no types
    yield path
    keyring.set_keyring(before)


@pytest.mark.parametrize("password", [{"env": "KEY_PASSWORD"}, {"keyring": "archive"}])
def test_the_password_of_a_key_is_kept_elsewhere(password: dict[str, str], protected: Path, local: Identity) -> None:
    tls = TLS(certificate=local.certificate, key=protected, password=password)
    assert SECRET not in repr(tls)
    assert tls.with_password()["password"] == SECRET
    kept = kept_arguments(json.loads(json.dumps(settings(password, protected, local).written())))
    assert (kept["tls"], kept["tls"].password, kept["allow"]) == (tls, password, ["10.0.0.0/8"])


def test_the_password_itself_is_not_kept(protected: Path, local: Identity) -> None:
    written = settings(SECRET, protected, local).written()
    assert SECRET not in json.dumps(written)
    with pytest.raises(ValueError, match="which a journal does not keep"):
        kept_arguments(written)


def settings(password: Credential, key: Path, local: Identity) -> Settings:
    tls = TLS(certificate=local.certificate, key=key, password=password)
    return Settings(folder="images", ae_title="HERE", host="127.0.0.1", port=0, allow=("10.0.0.0/8",), tls=tls)


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ({"env": "ABSENT_PASSWORD"}, "tls: the environment variable ABSENT_PASSWORD for the password is not set"),
        ({"keyring": "other"}, "tls: the keyring has no entry of service 'other' for user 'protected.key'"),
        ({"file": "x"}, "tls: password is text"),
        ({}, "tls: password is text"),
    ],
)
def test_a_password_that_is_not_where_it_should_be(
    password: dict[str, str], said: str, protected: Path, local: Identity
) -> None:
    with pytest.raises(dm.errors.AddressError, match=said):
        TLS(certificate=local.certificate, key=protected, password=password)


def test_a_receiver_has_the_password_from_the_process_that_made_it(
    protected: Path, local: Identity, authority: Authority, tmp_path: Path
) -> None:
    tls = TLS(ca=authority.file, certificate=local.certificate, key=protected, password={"keyring": "archive"})
    # The keyring of this test is in this process alone.
    source = Synthetic(studies=1, instances=2, size=64)
    plain = TLS(ca=authority.file, certificate=local.certificate, key=local.key)
    with (
        dm.Receiver(tmp_path / "images", port=0, host="127.0.0.1", tls=tls) as receiver,
        RehearsalPacs(source, destinations=receiver.as_destination(), tls=plain, storing_tls=plain) as pacs,
    ):
        ours = dm.Pacs(pacs.address, tls=tls)
        studies = dm.find(pd.DataFrame({"PatientID": ["SYN000001"]}), ours, progress=False)
        results = dm.move(studies, ours, receiver, progress=False)
        with dm.Receiver(tmp_path / "got", port=None) as without_port:
            got = dm.move(studies, ours, without_port, method="get", progress=False)
    assert results["outcome"].tolist() == got["outcome"].tolist() == ["complete"]


def test_files_that_cannot_be_used(authority: Authority, local: Identity, tmp_path: Path) -> None:
    other = authority.sign("other.example")
    (tmp_path / "text.pem").write_text("not a certificate")
    for arguments, words in (
        ({"ca": tmp_path / "absent.pem"}, "No such file"),
        ({"ca": tmp_path / "text.pem"}, "no certificates"),
        ({"certificate": local.certificate}, "lacks the private key"),
        ({"certificate": local.certificate, "key": other.key}, "not that of the certificate"),
        ({"key": local.key}, "without its certificate"),
        ({"ca": [authority.file]}, "ca is the path of a PEM file, not list"),
        ({"server_name": ".example"}, "'.example' is not the name of a host"),
        ({"server_name": "x" * 300}, "is not the name of a host"),
        ({"server_name": "pacs\0"}, "is not the name of a host"),
        ({"server_name": 7}, "7 is not the name of a host"),
        ({"verify": "sometimes"}, "'sometimes' is not one of full"),
        ({"profile": "bcp1"}, "'bcp1' is not one of"),
    ):
        with pytest.raises(dm.errors.AddressError, match=words):
            TLS(**arguments)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("method", ["move", "get"])
def test_a_certificate_that_is_gone_during_a_run_ends_it_with_a_table(
    method: Literal["move", "get"], authority: Authority, tmp_path: Path
) -> None:
    """Each worker reads the files when it begins. A worker that could not took its row with it, and the run waited."""
    ours = authority.sign("research.example")
    tls = TLS(ca=authority.file, certificate=ours.certificate, key=ours.key)
    table = pd.DataFrame({"StudyInstanceUID": [f"1.2.{number}" for number in range(8)]})
    with servers.counting() as pacs, dm.Receiver(tmp_path / "images", port=0, host="127.0.0.1") as receiver:
        where = dm.Pacs(pacs.pacs.address, tls=tls)
        Path(ours.certificate).unlink()
        results = dm.move(table, where, receiver, method=method, outage_timeout=0.5, progress=False)
    assert set(results["error"].dropna()) == {"tls_failed"}
    assert results["outcome"].isin(["unreachable", "not_attempted"]).all()
    assert "cannot be used: No such file" in results["advice"].iloc[0]
    assert pacs.connections == 0


def test_a_receiver_needs_a_certificate(authority: Authority) -> None:
    with pytest.raises(dm.errors.AddressError, match=r"TLS\(certificate="):
        server_context(TLS(ca=authority.file))
