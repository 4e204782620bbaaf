"""Passwords, passcodes and tokens: where they are, how they are read, and how they are hidden.

A secret never appears in a repr, a log, a journal or an error: `shown_secret` shows only the place of one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TypeAlias

from dicomove.errors import AddressError

#: A secret, or its place: ``{"env": "PACS_PASSCODE"}``, ``{"keyring": "main-pacs"}``.
Credential: TypeAlias = "str | Mapping[str, str]"


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


def shown_secret(secret: Credential) -> str:
    """Return a secret as text for a repr: its place, or dots.

    Examples
    --------
    >>> shown_secret({"env": "PACS_PASSCODE"}), shown_secret("not shown")
    ("{'env': 'PACS_PASSCODE'}", '...')
    """
    return "..." if isinstance(secret, str) else repr(dict(secret))


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
