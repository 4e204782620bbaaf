from __future__ import annotations

import json
import logging
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keyring
import pandas as pd
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked

import dicomove as dm
from dicomove.dimse.associate import write_request
from dicomove.dimse.pdu import reject_pdu
from dicomove.dimse.presentation_contexts import MOST_CONTEXTS
from dicomove.user import User
from tests import servers


class InMemory(KeyringBackend):
    """A keyring of a test, with one entry."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        return "from the keyring" if (service, username) == ("main-pacs", "research") else None

    def set_password(self, service: str, username: str, password: str) -> None:
        raise NotImplementedError

    def delete_password(self, service: str, username: str) -> None:
        raise NotImplementedError


@pytest.fixture
def _in_memory() -> Any:
    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())  # type: ignore[no-untyped-call]  # keyring's own __init__ has no types
    yield
    keyring.set_keyring(before)


def test_the_fields_of_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACS_PASSCODE", "from the environment")
    assert User("research").item() == (1, b"research", b"")
    assert User("Jürgen", passcode="pass").item() == (2, "Jürgen".encode(), b"pass")
    assert User("research", passcode={"env": "PACS_PASSCODE"}).item() == (2, b"research", b"from the environment")
    assert User(token="a.b.c").item() == (5, b"a.b.c", b"")  # noqa: S106  # a test's


@pytest.mark.usefixtures("_in_memory")
def test_a_passcode_in_the_keyring() -> None:
    assert User("research", passcode={"keyring": "main-pacs"}).item() == (2, b"research", b"from the keyring")
    with pytest.raises(dm.errors.AddressError, match="no entry of service 'other' for user 'research'"):
        User("research", passcode={"keyring": "other"}).item()


class Locked(InMemory):
    """A keyring that a person has to unlock."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked(service, username)


@pytest.mark.usefixtures("_in_memory")
@pytest.mark.parametrize("backend", [Locked, fail.Keyring])
def test_a_keyring_that_cannot_be_read(backend: type[KeyringBackend]) -> None:
    keyring.set_keyring(backend())
    pacs = dm.Pacs("PACS@127.0.0.1:104", user=User("research", passcode={"keyring": "main-pacs"}))
    with pytest.raises(dm.errors.AddressError, match=r"keyring cannot be read \(.*{'env': ...} needs no keyring"):
        dm.echo(pacs)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"name": ""},
        {"name": "research", "token": "a.b.c"},
        {"name": "research", "passcode": ""},
        {"name": "research", "passcode": {"file": "passcode.txt"}},
        {"name": "research", "passcode": {"env": "A", "keyring": "B"}},
        {"name": "research", "passcode": 1234},
    ],
    ids=json.dumps,
)
def test_what_cannot_be_a_user(arguments: dict[str, Any]) -> None:
    with pytest.raises(dm.errors.AddressError, match=r"^user: "):
        User(**arguments)


def test_a_passcode_that_is_not_where_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PACS_PASSCODE", raising=False)
    user = User("research", passcode={"env": "PACS_PASSCODE"})
    with pytest.raises(dm.errors.AddressError, match="variable PACS_PASSCODE for the passcode is not set"):
        user.item()
    for long in (User(token="secret" * 10_900), User("secret" * 10_900), User("research", "secret" * 10_900)):
        with pytest.raises(dm.errors.AddressError, match="49152 can be sent") as raised:
            long.item()
        assert "secretsecret" not in str(raised.value)


def test_the_longest_user_is_named_beside_the_roles_of_c_get() -> None:
    user = User(token="x" * 0xC000).item()
    roles = [f"1.2.840.10008.{number}".ljust(64, "9") for number in range(MOST_CONTEXTS)]
    assert user[1] in write_request("PACS", "DICOMOVE", [], 16384, user, roles)


def test_the_secret_is_never_shown() -> None:
    pacs = dm.Pacs("PACS@127.0.0.1:104", user=User("research", passcode="hidden"))
    assert "hidden" not in f"{pacs!r} {pacs} {pacs.user!r}"
    assert "research" in repr(pacs)
    assert dm.Pacs("PACS@127.0.0.1:104", user="research").user == User("research")


class Rejecting:
    """A PACS that keeps what is proposed to it, and rejects it."""

    def __init__(self) -> None:
        self.request = b""

    def __call__(self, sock: socket.socket) -> None:
        head = sock.recv(6, socket.MSG_WAITALL)
        self.request = sock.recv(int.from_bytes(head[2:]), socket.MSG_WAITALL)
        sock.sendall(reject_pdu(1, 1, 1))


def test_the_pacs_is_told_and_a_refusal_names_the_user(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    peer = Rejecting()
    with servers.listening(peer) as port:
        pacs = dm.Pacs(f"PACS@127.0.0.1:{port}", user=User("research", passcode="hidden"))
        results = dm.move(pd.DataFrame({"StudyInstanceUID": ["1.2.3"]}), pacs, "ANYWHERE", progress=False)
    assert b"\x58\0" + (20).to_bytes(2) + b"\2\0\0\x08research\0\6hidden" in peer.request
    assert results["error"].tolist() == ["association_rejected"]
    assert "we called 'PACS' as 'DICOMOVE', and named a user" in results["advice"].iloc[0]
    assert "hidden" not in caplog.text + results.to_csv()


def test_nothing_is_sent_without_the_passcode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PACS_PASSCODE", raising=False)
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3"]})
    with servers.counting() as counter:
        pacs = dm.Pacs(counter.pacs.address, user=User("research", passcode={"env": "PACS_PASSCODE"}))
        for call in (
            lambda: dm.echo(pacs),
            lambda: dm.find(table, pacs, progress=False),
            lambda: dm.move(table, pacs, "ANYWHERE", progress=False),
        ):
            with pytest.raises(dm.errors.AddressError, match="PACS_PASSCODE for the passcode is not set"):
                call()
    assert counter.connections == 0


def test_a_passcode_that_is_gone_during_a_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A keyring is locked at night, say. The row says so, and may be tried again."""
    monkeypatch.setenv("PACS_PASSCODE", "pass")
    study = {"StudyInstanceUID": "1.2.3"}
    with servers.counting() as counter, dm.Receiver(tmp_path, port=None) as receiver:
        pacs = dm.Pacs(counter.pacs.address, user=User("research", passcode={"env": "PACS_PASSCODE"}))
        mover, getter = dm.MoveScu(pacs), dm.GetScu(pacs)
        monkeypatch.delenv("PACS_PASSCODE")
        results = [mover.move_study(study, "ANYWHERE"), getter.get_study(study, receiver)]
    for result in results:
        assert (result.outcome, result.error) == ("unreachable", "connection_failed")
        assert "PACS_PASSCODE for the passcode is not set" in (result.advice or "")
    assert counter.connections == 0


def test_an_executor_takes_no_context_of_tls() -> None:
    pacs = dm.Pacs("PACS@127.0.0.1:104", tls=ssl.create_default_context())
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3"]})
    with ThreadPoolExecutor() as executor, pytest.raises(ValueError, match=r"Pacs\(tls=TLS"):
        dm.move(table, pacs, "ANYWHERE", executor=executor, progress=False)
