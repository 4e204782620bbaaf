"""TLS: the trusted certificates and our own, and explanations of failed handshakes (PS3.15 B)."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from dicomove.credentials import Credential, check_secret, found_secret
from dicomove.errors import AddressError, AssociationError, ConnectionFailed, TlsFailed, check_word
from dicomove.files import user_path

Verify = Literal["full", "chain", "none"]
Profile = Literal["bcp195", "non-downgrading"]
PemFile: TypeAlias = "str | os.PathLike[str]"

#: Forward secrecy and authenticated encryption only: what PS3.15 B.10 lists, and TLS 1.3, which has nothing else.
_NON_DOWNGRADING: Final = "ECDHE+AESGCM:DHE+AESGCM"
#: Forward secrecy, and no SHA-1: Python's own default. Some builds of Python, such as Debian's, have another one.
_BCP195: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AES:!aNULL:!aDSS:!PSK:!SHA1:!AESCCM"


@dataclass(frozen=True, slots=True, repr=False)
class TLS:
    """The encryption of associations.

    Parameters
    ----------
    ca
        The trusted certificates: a PEM file, or a folder from ``openssl rehash``. ``None``: those that this system
        trusts. A `Receiver` with a `ca` asks the PACS for a certificate, and refuses a PACS without one.
    certificate
        Our certificate: a PEM file with its chain. A `Receiver` needs one; a `Pacs` needs one if the PACS asks for it.
    key
        Its private key, a PEM file; ``None`` if it is in the file of the certificate.
    password
        The password of an encrypted key: text, or its place. ``{"env": "KEY_PASSWORD"}`` is an environment variable.
        ``{"keyring": "main-pacs"}`` is the entry of that service in the system's keyring, with the name of the key's
        file as its user name (``pip install dicomove[keyring]``).
    verify
        ``"full"``: the certificate of the peer is valid, and issued for the host that was called. ``"chain"``: it is
        valid, for any name; many certificates of PACS have no address. ``"none"``: no check. The connection is
        encrypted then, but the peer may be anyone.
    profile
        ``"bcp195"``: TLS 1.2 or newer (PS3.15 B.9). ``"non-downgrading"``: only with the cipher suites of PS3.15 B.10.
    server_name
        The name in the PACS's certificate, if it is not the host of the address.

    Raises
    ------
    AddressError
        A file is missing or not PEM, the key does not belong to the certificate, the password cannot be found, or a
        word is not one of those above.

    Examples
    --------
    >>> TLS(verify="chain")
    TLS(verify='chain')
    """

    ca: PemFile | None = None
    certificate: PemFile | None = None
    key: PemFile | None = None
    password: Credential | None = field(default=None, compare=False)
    verify: Verify = "full"
    profile: Profile = "bcp195"
    server_name: str | None = None

    def __post_init__(self) -> None:
        _check_words(self)
        if self.server_name is not None and not _may_be_host(self.server_name):
            message = f"tls: server_name={self.server_name!r} is not the name of a host"
            raise AddressError(message)
        check_secret(None if self.password == "" else self.password, "password", "tls")
        for name in ("ca", "certificate", "key"):
            path = getattr(self, name)
            if path is not None and not isinstance(path, str | os.PathLike):
                message = f"tls: {name} is the path of a PEM file, not {type(path).__name__}"
                raise AddressError(message)
            object.__setattr__(self, name, None if path is None else str(user_path(path).absolute()))
        client_context(self)

    def with_password(self) -> dict[str, str | None]:
        """Return its fields for another process, with the password itself: that process may not find its place.

        Raises
        ------
        AddressError
            The password cannot be found.
        """
        return {**asdict(self), "password": _password(self)}

    def __repr__(self) -> str:
        said = {name: getattr(self, name) for name in ("ca", "certificate", "key", "verify", "profile", "server_name")}
        default = {"verify": "full", "profile": "bcp195"}
        return f"TLS({', '.join(f'{name}={value!r}' for name, value in said.items() if value != default.get(name))})"


Wrap: TypeAlias = Callable[[socket.socket], ssl.SSLSocket]
#: The types of ``Pacs(tls=...)``.
ClientTLS: TypeAlias = "TLS | ssl.SSLContext | bool | None"


def client_context(tls: TLS | ssl.SSLContext | Literal[True]) -> ssl.SSLContext:
    """Return the context for a connection to a peer.

    Raises
    ------
    AddressError
        A file cannot be used.
    """
    if isinstance(tls, ssl.SSLContext):
        return tls
    chosen = TLS() if tls is True else tls
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = chosen.verify == "full"
    context.verify_mode = ssl.CERT_NONE if chosen.verify == "none" else ssl.CERT_REQUIRED
    _prepare(context, chosen)
    return context


def server_context(tls: TLS) -> ssl.SSLContext:
    """Return the context for connections from peers.

    Raises
    ------
    AddressError
        There is no certificate, or a file cannot be used.
    """
    if tls.certificate is None:
        message = "tls: a receiver needs a certificate of its own: TLS(certificate=..., key=...)"
        raise AddressError(message)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED if tls.ca is not None and tls.verify != "none" else ssl.CERT_NONE
    _prepare(context, tls)
    return context


def client_side(tls: TLS | ssl.SSLContext | Literal[True], host: str) -> Wrap:
    """Return a function that wraps a socket connected to this host; the handshake comes later."""
    context = client_context(tls)
    name = (tls.server_name if isinstance(tls, TLS) else None) or host
    return lambda sock: context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)


def server_side(tls: TLS) -> Wrap:
    """Return a function that wraps an accepted socket; the handshake comes later."""
    context = server_context(tls)
    return lambda sock: context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)


def explained(error: OSError, *, to_receiver: bool = False) -> str:
    """Return the meaning of an error of TLS, and the remedy, for the user of a `Pacs` or of a `Receiver`.

    Examples
    --------
    >>> ended = ssl.SSLEOFError(8, "EOF occurred in violation of protocol")
    >>> explained(ended)
    'The peer ended the TLS handshake without a word: does this port speak TLS, and does the peer want a certificate?'
    >>> explained(ended, to_receiver=True)
    'the PACS ended the TLS handshake without a word: does it trust the certificate of the Receiver?'
    """
    meaning = _meaning(error)
    return (to_receiver and meaning.to_receiver) or meaning.to_client


def ended_without_reason(error: OSError) -> bool:
    """Whether the peer only closed the connection: that may pass, and what it gives a reason for does not."""
    return _meaning(error) is _ENDED


def lost_credentials(error: AddressError) -> AssociationError:
    """Return the error of an association whose certificates, key or passcode are gone since the run began.

    Examples
    --------
    >>> lost_credentials(AddressError("tls: there is no file key.pem")).error
    'tls_failed'
    >>> lost_credentials(AddressError("user: TOKEN is not set")).error
    'connection_failed'
    """
    kind = TlsFailed if str(error).startswith("tls: ") else ConnectionFailed
    return kind(str(error))


def _meaning(error: OSError) -> _Meaning:
    if isinstance(error, ssl.SSLCertVerificationError):
        found = _CERTIFICATE.get(error.verify_code)
        return _Meaning(found or f"The peer's certificate is not valid: {error.verify_message}.")
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _ENDED
    reason = error.reason or ""
    known = next((meaning for words, meaning in _REASONS if any(word in reason for word in words)), None)
    return known or _Meaning(f"TLS failed: {reason.replace('_', ' ').lower() or 'no reason was given'}.")


def _check_words(tls: TLS) -> None:
    check_word("tls: verify", tls.verify, ("full", "chain", "none"), AddressError)
    check_word("tls: profile", tls.profile, ("bcp195", "non-downgrading"), AddressError)
    if tls.key is not None and tls.certificate is None:
        message = "tls: a key without its certificate: give certificate=, too"
        raise AddressError(message)


def _may_be_host(name: object) -> bool:
    try:
        return isinstance(name, str) and not {"\0", " "} & set(name) and bool(name.encode("idna"))
    except UnicodeError:
        return False


def _prepare(context: ssl.SSLContext, tls: TLS) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 sets it by default, but many hospitals' own authorities do not comply.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.set_ciphers(_NON_DOWNGRADING if tls.profile == "non-downgrading" else _BCP195)
    if tls.ca is not None:
        _trust(context, str(tls.ca))
    elif tls.verify != "none":
        context.load_default_certs()
    if tls.certificate is not None:
        _show(context, str(tls.certificate), None if tls.key is None else str(tls.key), _password(tls))


def _password(tls: TLS) -> str | None:
    if tls.password is None:
        return None
    return found_secret(tls.password, "password", "tls", Path(str(tls.key or tls.certificate)).name)


def _trust(context: ssl.SSLContext, ca: str) -> None:
    try:
        context.load_verify_locations(**{"capath" if Path(ca).is_dir() else "cafile": ca})
    except (OSError, ssl.SSLError) as error:
        message = f"tls: ca={ca!r} has no certificates that can be read, as PEM: {_brief(error)}"
        raise AddressError(message) from error


def _show(context: ssl.SSLContext, certificate: str, key: str | None, password: str | None) -> None:
    try:
        # Without a password, OpenSSL would ask for one on the terminal, and wait.
        context.load_cert_chain(certificate, key, password if password is not None else "")
    except (OSError, ssl.SSLError) as error:
        named = f"certificate={certificate!r}" + (f", key={key!r}" if key else "")
        lacks = "" if key else ", or the file lacks the private key"
        message = f"tls: {named} cannot be used: {_brief(error)}{lacks}"
        raise AddressError(message) from error


def _brief(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        known = {
            "KEY_VALUES_MISMATCH": "the key is not that of the certificate",
            "BAD_DECRYPT": "the key is encrypted, and the password is missing or wrong",
            "BAD_PASSWORD_READ": "the key is encrypted, and the password is missing",
        }
        return known.get(error.reason or "", "OpenSSL cannot read it as PEM, or its password is missing or wrong")
    return error.strerror or "it cannot be read"


class _Meaning(NamedTuple):
    """What an error means, for the user who calls a peer, and for the user of a receiver, whom the PACS calls."""

    to_client: str
    to_receiver: str = ""


_ENDED: Final = _Meaning(
    "The peer ended the TLS handshake without a word: does this port speak TLS, and does the peer want a certificate?",
    "the PACS ended the TLS handshake without a word: does it trust the certificate of the Receiver?",
)
_UNKNOWN_AUTHORITY: Final = (
    "The peer's certificate is signed by an authority that is not trusted here: give that authority's certificate with "
    "TLS(ca=...)."
)
_OTHER_NAME: Final = (
    "The peer's certificate is valid, and made out to another name than the host that was called: call the host by "
    "that name, or give TLS(server_name=...), or TLS(verify='chain') to accept any name."
)
#: By OpenSSL's error numbers for certificates.
_CERTIFICATE: Final = {
    9: "The peer's certificate is not valid yet: compare the clocks of both machines.",
    10: "The peer's certificate has expired: its administrator renews it.",
    18: "The peer's certificate is self-signed: get it from the administrator, and give it with TLS(ca=...).",
    19: _UNKNOWN_AUTHORITY,
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    23: "The peer's certificate was revoked: ask the administrator.",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
#: By parts of OpenSSL's names for errors; the first one that fits counts.
_REASONS: Final = (
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL"),
        _Meaning(
            "The peer does not speak TLS on this port: connect without tls=, or to the port for TLS.",
            "the PACS connected without TLS: its administrator adds TLS to its entry for the Receiver, or leave out "
            "tls= here",
        ),
    ),
    (
        ("CERTIFICATE_REQUIRED", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        _Meaning(
            "A certificate is required, and none was shown: give TLS(certificate=..., key=...).",
            "the PACS showed no certificate, and ca= of the Receiver's TLS requires one",
        ),
    ),
    (
        ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE", "ALERT_UNSUPPORTED_CERTIFICATE"),
        _Meaning(
            "The peer does not accept our certificate: its administrator has to trust the authority that signed it, "
            "and it must not have expired.",
            "the PACS does not accept the certificate of the Receiver: its administrator has to trust the authority "
            "that signed it, and it must not have expired",
        ),
    ),
    (
        ("ALERT_ACCESS_DENIED",),
        _Meaning("The peer accepts our certificate and denies access: ask its administrator."),
    ),
    (
        ("PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE", "VERSION_TOO_LOW"),
        _Meaning("The two sides have no version of TLS in common: 1.2 and newer are spoken here."),
    ),
    (
        ("NO_SHARED_CIPHER", "HANDSHAKE_FAILURE", "INSUFFICIENT_SECURITY"),
        _Meaning(
            "The two sides have no cipher suite in common, or the peer requires a certificate: give "
            "TLS(certificate=..., key=...), or another profile.",
            "the PACS and the Receiver have no cipher suite in common",
        ),
    ),
)
