"""The old name of `dicomove.store`: what it had is there, and asking for it here warns."""

from __future__ import annotations

import warnings
from typing import Any, Final

from dicomove import store

_MOVED: Final = frozenset(store.__all__) - {"MANIFEST_COLUMNS", "InstanceReader", "InstanceRecord", "verify"}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    message = f"dicomove.journal is now dicomove.store: from dicomove.store import {name}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return getattr(store, name)
