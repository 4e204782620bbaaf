"""The arguments of `Receiver`, checked before anything is started."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from dicomove.pacs import ae_title as checked_ae_title
from dicomove.receiver.admission import network
from dicomove.receiver.paths import PathTemplate
from dicomove.receiver.settings import Accept, Limits, Settings
from dicomove.receiver.shelf import Existing


def checked_settings(
    folder: Path,
    *,
    ae_title: str,
    port: int,
    host: str,
    path: str,
    allow: Iterable[str],
    accept: str,
    existing: str,
    min_free: int | None,
    limits: Limits,
) -> Settings:
    """Return what the process is told.

    Raises
    ------
    AddressError
        `ae_title` is none.
    ValueError
        Another argument cannot be right.
    """
    PathTemplate(path)  # raises ValueError
    return Settings(
        folder=str(folder),
        ae_title=checked_ae_title(ae_title, "ae_title"),
        host=host,
        port=_port(port),
        path=path,
        allow=tuple(str(network(value)) for value in ([allow] if isinstance(allow, str) else allow)),
        accept=_checked(accept, Accept, "accept"),
        existing=_checked(existing, Existing, "existing"),
        min_free=min_free,
        limits=limits,
    )


def checked_seconds(value: float, name: str) -> float:
    """Return a number of seconds.

    Raises
    ------
    ValueError
        It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        message = f"{name}={value!r}: a number of seconds, at least 0"
        raise ValueError(message)
    return value


def _port(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 65535:
        message = f"port={value!r}: a number from 0 to 65535"
        raise ValueError(message)
    return value


def _checked(value: str, words: Any, name: str) -> Any:
    if value not in get_args(words):
        message = f"{name}={value!r} is not one of {', '.join(get_args(words))}"
        raise ValueError(message)
    return value
