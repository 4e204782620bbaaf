"""The user identity of an association (PS3.7 D.3.3.7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dicomove.credentials import Credential, check_secret, found_secret, shown_secret
from dicomove.errors import AddressError

_USERNAME: Final = 1
_USERNAME_AND_PASSCODE: Final = 2
_JSON_WEB_TOKEN: Final = 5
#: The most bytes of both fields together: they share an item of 64 KiB with the roles of C-GET.
_LONGEST: Final = 0xC000


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
            message = "user: give either a name, with or without a passcode, or a token"
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
        item = self._item()
        length = sum(map(len, item[1:]))
        if length > _LONGEST:
            message = f"user: name and secret have {length} bytes, and {_LONGEST} can be sent"
            raise AddressError(message)
        return item

    def _item(self) -> tuple[int, bytes, bytes]:
        if self.token is not None:
            return _JSON_WEB_TOKEN, found_secret(self.token, "token", "user", "").encode(), b""
        name = str(self.name)
        if self.passcode is None:
            return _USERNAME, name.encode(), b""
        return _USERNAME_AND_PASSCODE, name.encode(), found_secret(self.passcode, "passcode", "user", name).encode()
