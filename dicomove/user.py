"""The user identity of an association (PS3.7 D.3.3.7), and the places of its secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final, TypeAlias

from dicomove.errors import AddressError

#: A secret, or its place: ``{"env": "PACS_PASSCODE"}``, ``{"keyring": "main-pacs"}``.
Credential: TypeAlias = "str | Mapping[str, str]"

_USERNAME: Final = 1
_USERNAME_AND_PASSCODE: Final = 2
_JSON_WEB_TOKEN: Final = 5
#: The lengths of both fields have 16 bits.
_LONGEST: Final = 0xFFFF


@dataclass(frozen=True, slots=True, repr=False)
class User:
    """A user name with an optional passcode, or a JSON Web Token.

    The secret never appears in a repr, a log, a journal or an error. Without TLS, everyone on the network can read it.

    Parameters
    ----------
    name
        The user name.
    passcode, token
        The passcode of this user; or a JSON Web Token instead of name and passcode. Both are text or a place:
        ``{"env": "PACS_PASSCODE"}``, an environment variable; or ``{"keyring": "main-pacs"}``, the entry of this
        service and user name in the system's keyring (``pip install dicomove[keyring]``). The place is read whenever an
        association is opened.

    Raises
    ------
    AddressError
        Neither a name nor a token, or both; or a secret that is neither text nor a place.

    Examples
    --------
    >>> User("research", passcode={"env": "PACS_PASSCODE"})
    User('research', passcode={'env': 'PACS_PASSCODE'})
    >>> User("research", passcode="not shown")
    User('research', passcode=...)
    """

    name: str | None = None
    passcode: Credential | None = field(default=None, hash=False)
    token: Credential | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        if bool(self.name) == (self.token is not None):
            message = "user: give a name, with a passcode or not, or a token; not both, and not neither"
            raise AddressError(message)
        for said in ("passcode", "token"):
            check_secret(getattr(self, said), said, "user")

    def __repr__(self) -> str:
        said = [repr(self.name)] if self.name else []
        said += [f"{of}={_shown(secret)}" for of in ("passcode", "token") if (secret := getattr(self, of)) is not None]
        return f"User({', '.join(said)})"

    def item(self) -> tuple[int, bytes, bytes]:
        """Return type, primary and secondary field of the user identity sub-item (PS3.7 Table D.3-14).

        Raises
        ------
        AddressError
            The secret cannot be found, or is too long to be sent.
        """
        if self.token is not None:
            return _JSON_WEB_TOKEN, _found(self.token, "token", ""), b""
        name = str(self.name).encode()
        if self.passcode is None:
            return _USERNAME, name, b""
        return _USERNAME_AND_PASSCODE, name, _found(self.passcode, "passcode", str(self.name))


def check_secret(secret: object, said: str, of: str) -> None:
    """Check that a secret is text or a place.

    Raises
    ------
    AddressError
        It is neither.
    """
    if secret is None or (isinstance(secret, str) and secret):
        return
    if not isinstance(secret, Mapping) or len(secret) != 1 or not set(secret) <= {"env", "keyring"}:
        message = f"{of}: {said} is text, {{'env': 'VARIABLE'}} or {{'keyring': 'SERVICE'}}"
        raise AddressError(message)


def _shown(secret: Credential) -> str:
    return "..." if isinstance(secret, str) else repr(dict(secret))


def _found(secret: Credential, said: str, name: str) -> bytes:
    encoded = found_secret(secret, said, "user", name).encode()
    if len(encoded) > _LONGEST:
        message = f"user: the {said} has {len(encoded)} bytes, and {_LONGEST} can be sent"
        raise AddressError(message)
    return encoded


def found_secret(secret: Credential, said: str, of: str, name: str) -> str:
    """Return a secret, from its place.

    Parameters
    ----------
    secret
        The secret, or its place.
    said, of
        The name of the secret and of its owner, for the message.
    name
        The user name of its entry in the keyring.

    Raises
    ------
    AddressError
        The secret is not there.
    """
    if isinstance(secret, str):
        return secret
    ((kind, where),) = secret.items()
    if kind == "env":
        value = os.environ.get(where)
        if not value:
            message = f"{of}: the environment variable {where} for the {said} is not set"
            raise AddressError(message)
        return value
    try:
        keyring = import_module("keyring")
    except ImportError as error:
        message = f"{of}: the {said} is in the keyring, which needs: pip install dicomove[keyring]"
        raise AddressError(message) from error
    try:
        value = keyring.get_password(where, name)
    except Exception as error:  # each of its backends has errors of its own
        message = f"{of}: the system's keyring cannot be read ({type(error).__name__}): {{'env': ...}} needs no keyring"
        raise AddressError(message) from error
    if not value:
        message = f"{of}: the keyring has no entry of service {where!r} for user {name!r}"
        raise AddressError(message)
    return str(value)
