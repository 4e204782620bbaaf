"""Keyed hashes instead of identifiers (HMAC-SHA-256, RFC 2104). Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

_KEY_BYTES: Final = 32
_LABEL_DIGITS: Final = 10
#: Of a UID that is derived from 128 random bits (PS3.5 B.2).
_UID_BYTES: Final = 16


class Pseudonyms:
    """The same identifier has the same pseudonym, under one key.

    Parameters
    ----------
    key
        Whoever has it can tell whose pseudonym it is; ``None`` is a random one, which nobody keeps.

    Examples
    --------
    >>> names = Pseudonyms("our group's secret")
    >>> names.label("MRN 007") == Pseudonyms("our group's secret").label("MRN 007")
    True
    >>> names.uid("1.2.840.1").startswith("2.25.")
    True
    """

    def __init__(self, key: str | bytes | None = None) -> None:
        given = secrets.token_bytes(_KEY_BYTES) if key is None else key
        self._key = given.encode() if isinstance(given, str) else given

    def label(self, value: object) -> str:
        """Return the pseudonym of a row."""
        return f"row {self._digest(repr(value)).hex()[:_LABEL_DIGITS]}"

    def uid(self, value: str) -> str:
        """Return the UID that stands for one."""
        return f"2.25.{int.from_bytes(self._digest(value)[:_UID_BYTES])}"

    def _digest(self, value: str) -> bytes:
        return hmac.new(self._key, value.encode(), hashlib.sha256).digest()
