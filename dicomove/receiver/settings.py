"""Checks the arguments of `Receiver`, and sends them to its process at its start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Self, get_args

from dicomove.errors import AddressError, check_word
from dicomove.files import shown
from dicomove.pacs import ae_title as checked_ae_title, is_number
from dicomove.receiver.admission import network
from dicomove.receiver.pacs_entry import advertised
from dicomove.receiver.paths import DEFAULT_PATH, PathTemplate
from dicomove.receiver.placing import Existing
from dicomove.tls import TLS, server_context

Accept = Literal["requested", "any"]
Mislabelled = Literal["quarantine", "keep"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits for one peer. A peer beyond a limit loses only its connection.

    Parameters
    ----------
    handshake
        Seconds until its A-ASSOCIATE-RQ is there.
    idle
        Seconds between two PDUs.
    pdu
        Seconds for one PDU, from its first byte to its last, against peers that send very slowly.
    associations
        Connections at the same time; beyond this number, the connection that was idle for the longest time ends.
    """

    handshake: float = 10
    idle: float = 300
    pdu: float = 30
    associations: int = 200


DEFAULT_LIMITS: Final = Limits()
#: What a journal has without its options.
_ELSEWHERE: Final = ("folder", "ae_title")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The arguments of `Receiver`."""

    folder: str
    ae_title: str
    host: str
    port: int | None
    path: str = DEFAULT_PATH
    allow: tuple[str, ...] = ()
    accept: Accept = "requested"
    existing: Existing = "keep"
    mislabelled: Mislabelled = "quarantine"
    min_free: int | None = None
    limits: Limits = DEFAULT_LIMITS
    tls: TLS | None = None
    advertise: str | None = None

    def checked(self) -> Self:
        """Return the settings for the process.

        Raises
        ------
        AddressError
            `ae_title` is not an AE title, or `tls` has no usable certificate.
        ValueError
            Another argument is invalid.
        """
        PathTemplate(self.path, takes_columns=True)  # raises ValueError
        _check_folder(self.folder)
        _check_advertise(self.advertise, self.port)
        ae_title = checked_ae_title(self.ae_title, "ae_title")
        _check_port(self.port)
        allow = tuple(str(network(value)) for value in self.allow)
        check_word("accept", self.accept, get_args(Accept))
        check_word("existing", self.existing, get_args(Existing))
        check_word("mislabelled", self.mislabelled, get_args(Mislabelled))
        _check_tls(self.tls)
        _check_min_free(self.min_free)
        _check_limits(self.limits)
        return replace(self, ae_title=ae_title, allow=allow)

    def to_json(self) -> str:
        """Return the settings as one line."""
        return json.dumps({**asdict(self), "tls": self.tls and self.tls.with_password()})

    def written(self) -> dict[str, object]:
        """Return what a journal keeps: `kept_arguments` makes the arguments of it again.

        Secrets are not kept: if `tls` has its password as text, it is null.
        """
        values = {name: value for name, value in asdict(self).items() if name not in _ELSEWHERE}
        if self.tls is None:
            del values["tls"]
        elif isinstance(self.tls.password, str):
            values["tls"] = None
        return values

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return the settings from a line."""
        values = json.loads(line)
        tls = values["tls"] and TLS(**values["tls"])
        return cls(**{**values, "limits": Limits(**values["limits"]), "tls": tls})


def kept_arguments(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `Receiver` from what a journal keeps.

    Raises
    ------
    AddressError
        A file of `tls` is missing.
    ValueError
        The receiver had a password that a journal does not keep.
    """
    made = dict(written)
    if "tls" in made:
        if made["tls"] is None:
            message = (
                "the receiver of the run had a password for its key, which a journal does not keep: call move() again"
            )
            raise ValueError(message)
        made["tls"] = TLS(**made["tls"])
    if "limits" in made:
        made["limits"] = Limits(**made["limits"])
    return made


def checked_quiet_period(value: float) -> float:
    """Return a quiet period.

    Raises
    ------
    ValueError
        It is not a number of seconds.
    """
    if not is_number(value) or not 0 <= value < float("inf"):
        message = f"quiet_period={value!r}: a number of seconds, at least 0"
        raise ValueError(message)
    return value


def _check_folder(folder: str) -> None:
    if Path(folder).is_file():
        message = f"folder={shown(folder)!r}: this is a file"
        raise ValueError(message)
    if folder != shown(folder):  # on some systems, names are bytes
        message = f"folder={shown(folder)!r}: its name is not text, and no record or journal could hold it: rename it"
        raise ValueError(message)


def _check_advertise(advertise: str | None, port: int | None) -> None:
    if advertise is None:
        return
    advertised(advertise)  # raises ValueError
    if port is None:
        message = f"advertise={advertise!r}: a receiver with port=None listens at no port"
        raise ValueError(message)


def _check_tls(tls: object) -> None:
    if isinstance(tls, TLS):
        server_context(tls)
    elif tls is not None:
        message = (
            "tls: a receiver has a process of its own, and takes "
            f"TLS(certificate=..., key=...), not {type(tls).__name__}"
        )
        raise AddressError(message)


def _check_min_free(min_free: object) -> None:
    if min_free is not None and not (is_number(min_free) and 0 <= min_free < float("inf")):
        message = f"min_free={min_free!r}: a number of bytes, at least 0, or None"
        raise ValueError(message)


def _check_limits(limits: object) -> None:
    if not isinstance(limits, Limits):
        message = f"limits={limits!r}: give dicomove.receiver.Limits(...)"
        raise ValueError(message)  # noqa: TRY004 (as every other argument that is not what it should be)
    for name, value in asdict(limits).items():
        if not (is_number(value) and 0 < value < float("inf")):
            message = f"limits: {name}={value!r}: a number above 0, and not infinite"
            raise ValueError(message)


def _check_port(port: object) -> None:
    if port is not None and (isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535):
        message = f"port={port!r}: a number from 0 to 65535, or None to listen at none"
        raise ValueError(message)
