"""Pseudonyms for the identifiers in a report or an export: keyed hashes (HMAC-SHA-256, RFC 2104)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

_KEY_BYTES: Final = 32
_LABEL_DIGITS: Final = 10
_ROUNDS: Final = 200_000
#: The size of a UID derived from 128 random bits (PS3.5 B.2).
_UID_BYTES: Final = 16


class Pseudonyms:
    """Makes pseudonyms: an identifier always has the same one with the same key.

    Parameters
    ----------
    key
        With this key, a reader can recognise pseudonyms. ``None`` is a random key, which is not stored.

    Raises
    ------
    ValueError
        The key is empty, or neither text nor bytes.

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
        if not isinstance(given, str | bytes):
            message = f"the key is of type {type(given).__name__}: give text, or bytes"
            raise ValueError(message)  # noqa: TRY004 - every invalid argument is a ValueError
        if not given:
            message = "the key is empty: give a secret key, so that readers cannot recognise the pseudonyms"
            raise ValueError(message)
        password = given.encode() if isinstance(given, str) else given
        # There are few possible patient numbers, so a guessed key reveals all of them. Each guess must be slow.
        self._key = hashlib.pbkdf2_hmac("sha256", password, b"dicomove pseudonyms", _ROUNDS)

    def label(self, value: object) -> str:
        """Return the pseudonym of a row."""
        return f"row {self._digest('label', repr(value)).hex()[:_LABEL_DIGITS]}"

    def patient(self, value: str) -> str:
        """Return the pseudonym of a patient."""
        return f"patient {self._digest('PatientID', value).hex()[:_LABEL_DIGITS]}"

    def uid(self, value: str) -> str:
        """Return the UID that replaces a UID."""
        return f"2.25.{int.from_bytes(self._digest('UID', value)[:_UID_BYTES])}"

    def cohort(self, sha256: str) -> str:
        """Return a keyed hash instead of a cohort's hash: for a short cohort, the plain hash would reveal patients."""
        return self._digest("cohort", sha256).hex()

    def _digest(self, kind: str, value: str) -> bytes:
        said = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, said, hashlib.sha256).digest()
