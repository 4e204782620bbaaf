"""`Pacs`: the address of the PACS, the AE titles of both sides, and the timeouts. A frozen value."""

from __future__ import annotations

import re
import ssl
import sys
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal, Self, TypeGuard

from dicomove.errors import AddressError
from dicomove.tls import TLS, ClientTLS
from dicomove.user import User

ANY_CALLED_AE_TITLE: Final = "ANY-SCP"

#: Sizes from 16 KiB to 1 MiB are equally fast (docs/performance.md), because these associations carry small messages.
#: With this size, no message needs two PDUs.
DEFAULT_MAX_PDU_LENGTH: Final = 131072

_AE_TITLE: Final = re.compile(r"[ -\[\]-~]+")
_ADDRESS = re.compile(r"(?:(?P<ae>.*)@)?(?:\[(?P<ipv6>[^\]]+)\]|(?P<host>[^\[\]:@\s]+)):(?P<port>[0-9]+)", re.DOTALL)


@dataclass(frozen=True, repr=False)
class Pacs:
    """A PACS: its address, the AE titles of both sides, and the timeouts.

    Parameters
    ----------
    address
        ``"AET@host:port"`` or ``"host:port"``. Put an IPv6 address into brackets: ``"AET@[::1]:4242"``.
    called_ae_title
        The PACS's AE title, if it is not in the address.
    calling_ae_title
        Our AE title. Most PACS answer only AE titles that they know.
    max_pdu_length
        The largest PDU that we receive, in bytes; 0 is no limit (PS3.8 D.1).
    connect_timeout
        Seconds to wait for the TCP connection. Here and below, ``None`` means no limit.
    association_timeout
        Seconds to wait for the answer to A-ASSOCIATE-RQ, C-ECHO, or A-RELEASE-RQ.
    idle_timeout
        Seconds of silence between two responses.
    first_response_timeout
        Seconds of silence before the first response. A busy PACS queues requests, and many PACS send no response before
        they have moved the last instance. ``"auto"`` is five times `idle_timeout`.
    tls
        Encrypts the associations. ``True`` trusts the certificates that this system trusts. `TLS` names the
        certificates to trust and to show. An `ssl.SSLContext` is used as it is; it cannot be sent to the workers of an
        ``executor=``, nor to the receiver's process for C-GET.
    user
        The user name, passcode or token for the PACS (PS3.7 D.3.3.7): a `User`, or the name alone.

    Raises
    ------
    AddressError
        An invalid address, AE title (PS3.5 6.2: at most 16 characters, no backslash, no control characters, not blank),
        PDU length or timeout.

    Examples
    --------
    >>> Pacs("ORTHANC@127.0.0.1:4242", calling_ae_title="MY_SCU")
    Pacs('ORTHANC@127.0.0.1:4242', calling_ae_title='MY_SCU')
    >>> Pacs("[::1]:104").host
    '::1'
    """

    address: str
    _: KW_ONLY
    called_ae_title: str = ANY_CALLED_AE_TITLE
    calling_ae_title: str = "DICOMOVE"
    max_pdu_length: int = DEFAULT_MAX_PDU_LENGTH
    connect_timeout: float | None = 10
    association_timeout: float | None = 30
    idle_timeout: float | None = 120
    first_response_timeout: float | Literal["auto"] | None = "auto"
    tls: ClientTLS = None
    user: User | str | None = None
    host: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        named, host, port = _split(self.address)
        first = self.first_response_timeout
        if first == "auto":
            first = None if self.idle_timeout is None else 5 * self.idle_timeout
        normalised = {
            "called_ae_title": _called(named, ae_title(self.called_ae_title, "called_ae_title"), self.address),
            "calling_ae_title": ae_title(self.calling_ae_title, "calling_ae_title"),
            "host": host,
            "port": port,
            "first_response_timeout": first,
            "tls": _tls(self.tls),
            "user": _user(self.user),
        }
        for name, value in normalised.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "address", f"{self.called_ae_title}@{_bracketed(host)}:{port}")
        _check_limits(self)

    @classmethod
    def profile(cls, name: str) -> Self:
        """Return the PACS of a profile: of the table ``[pacs.NAME]`` in a ``dicomove.toml``.

        The file is that of the project (the nearest one from the working directory upwards) or else that of the user
        (in the configuration directory). Its keys are the parameters of `Pacs`; ``"none"`` stands for no limit. The
        variable ``DICOMOVE_NAME_IDLE_TIMEOUT`` overrides the key ``idle_timeout`` of this profile,
        ``DICOMOVE_IDLE_TIMEOUT`` that of every profile.

        Parameters
        ----------
        name
            The profile.

        Raises
        ------
        AddressError
            There is no such profile, or a key or value is wrong; the message names file and line, or the variable.
        """
        from dicomove.profiles import load  # not at the top: most PACS are given by address

        return load(name, cls)

    def identity(self) -> tuple[int, bytes, bytes] | None:
        """Return type, primary and secondary field of the user identity (PS3.7 D.3.3.7), if there is a user.

        Raises
        ------
        AddressError
            The passcode or the token cannot be found in its place.
        """
        return self.user.item() if isinstance(self.user, User) else None

    def __repr__(self) -> str:
        tls = f", tls={self.tls!r}" if self.tls else ""
        user = f", user={self.user!r}" if self.user else ""
        return f"Pacs({self.address!r}, calling_ae_title={self.calling_ae_title!r}{tls}{user})"

    def __str__(self) -> str:
        return self.address


def check_pacs(pacs: object) -> None:
    """Check that a PACS is given as a `Pacs`. The message does not quote what is: it may hold a secret.

    Raises
    ------
    AddressError
        It is something else, such as an address.
    """
    if not isinstance(pacs, Pacs):
        message = (
            f"pacs: give a Pacs, not {type(pacs).__name__}: Pacs('AET@host:port') for an address, "
            "or Pacs.profile('name') for a profile of dicomove.toml"
        )
        raise AddressError(message)


def ae_title(value: object, name: str) -> str:
    """Return an AE title without the spaces around it, which do not count (PS3.5 6.2)."""
    if not isinstance(value, str):
        message = f"{name}: give an AE title as text, not {type(value).__name__}"
        raise AddressError(message)
    title = value.strip(" ")
    problem = (
        "is empty"
        if not title
        else f"has {len(title)} characters, but at most 16 are allowed"
        if len(title) > 16
        else "has a character that is not allowed: use printable ASCII without the backslash"
        if not _AE_TITLE.fullmatch(title)
        else None
    )
    if problem:
        message = f"{name} {_shown(value, is_title=True)!r} {problem} (PS3.5 6.2, VR AE)"
        raise AddressError(message)
    return title


def _shown(text: object, *, is_title: bool = False) -> object:
    """Leave out what stands where a URL has its password: a secret has no place in a message.

    A password ends at the ``@``. An AE title is what stands before it in an address.
    """
    end = "" if is_title else "(?=@)"
    return re.sub(rf":(?!//).*{end}", ":...", text, flags=re.DOTALL) if isinstance(text, str) else text


def _split(address: object) -> tuple[str | None, str, int]:
    match = _ADDRESS.fullmatch(address.strip()) if isinstance(address, str) else None
    if not match:
        form = "write 'AET@host:port' or 'host:port', IPv6 as 'AET@[::1]:104'"
        message = f"{_shown(address)!r} is not an address: {form}"
        raise AddressError(message)
    port = int(match["port"])
    if not 1 <= port <= 65535:
        message = f"{_shown(address)!r}: port {port} is not between 1 and 65535"
        raise AddressError(message)
    return match["ae"], match["ipv6"] or match["host"], port


def _called(named: str | None, called_ae_title: str, address: str) -> str:
    """Return the called AE title from the address or the argument; either may be absent."""
    if named is None:
        return called_ae_title
    title = ae_title(named, "called_ae_title")
    if ":" in title:
        message = (
            f"{_shown(address)!r} has a colon before the @: give a name and a password as user=, "
            "and an AE title with a colon as called_ae_title="
        )
        raise AddressError(message)
    if called_ae_title not in (ANY_CALLED_AE_TITLE, title):
        message = f"{_shown(address)!r} and called_ae_title={called_ae_title!r} name two different AE titles: give one"
        raise AddressError(message)
    return title


def _tls(tls: object) -> TLS | ssl.SSLContext | None:
    if tls is None or tls is False:
        return None
    if tls is True:
        return TLS()
    if not isinstance(tls, TLS | ssl.SSLContext):
        message = f"tls: give True, a TLS(...) or an ssl.SSLContext, not {type(tls).__name__}"
        raise AddressError(message)
    return tls


def _user(user: object) -> User | None:
    if user is None or isinstance(user, User):
        return user
    if not isinstance(user, str):
        message = f"user: give a User(name, passcode=...), or the name of the user as text, not {type(user).__name__}"
        raise AddressError(message)
    return User(user)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_limits(pacs: Pacs) -> None:
    for name in ("connect_timeout", "association_timeout", "idle_timeout", "first_response_timeout"):
        seconds = getattr(pacs, name)
        if seconds is not None and not (is_number(seconds) and 0 < seconds < float("inf")):
            message = f"{name}={seconds!r}: give a number of seconds above 0, or None for no limit"
            raise AddressError(message)
    length = pacs.max_pdu_length
    if not (isinstance(length, int) and not isinstance(length, bool) and (length == 0 or 128 <= length <= 2**32 - 1)):
        message = f"max_pdu_length={length!r}: give a number of bytes from 128 to 4294967295, or 0 for no limit"
        raise AddressError(message)


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number that fits into a float: in Python, True and 10**400 are numbers, too."""
    if isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
