"""The old name of `dicomove.store`: its names still work here, with a warning that gives the new ones."""

from __future__ import annotations

from typing import Any, Final

from dicomove import store
from dicomove.moved_names import moved

_MOVED: Final = frozenset(store.__all__) - {"MANIFEST_COLUMNS", "InstanceReader", "InstanceRecord", "verify"}


def __getattr__(name: str) -> Any:
    if name not in _MOVED:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return moved(__name__, "dicomove.store", name)
