from __future__ import annotations

import json
from typing import Any

import keyring
import pytest
from keyring.backend import KeyringBackend

import dicomove as dm
from dicomove.user import User


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
    with pytest.raises(dm.errors.AddressError, match="65535 can be sent") as raised:
        User(token="secret" * 20_000).item()
    assert "secretsecret" not in str(raised.value)


def test_the_secret_is_never_shown() -> None:
    pacs = dm.Pacs("PACS@127.0.0.1:104", user=User("research", passcode="hidden"))
    assert "hidden" not in f"{pacs!r} {pacs} {pacs.user!r}"
    assert "research" in repr(pacs)
    assert dm.Pacs("PACS@127.0.0.1:104", user="research").user == User("research")
