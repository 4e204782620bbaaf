"""The user identity of an association (PS3.7 D.3.3.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dicomove.credentials import Credential, check_secret, found_secret, shown_secret
from dicomove.errors import AddressError

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
        said += [
            f"{of}={shown_secret(secret)}" for of in ("passcode", "token") if (secret := getattr(self, of)) is not None
        ]
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


def _found(secret: Credential, said: str, name: str) -> bytes:
    encoded = found_secret(secret, said, "user", name).encode()
    if len(encoded) > _LONGEST:
        message = f"user: the {said} has {len(encoded)} bytes, and {_LONGEST} can be sent"
        raise AddressError(message)
    return encoded
