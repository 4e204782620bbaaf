"""Helpers for millions of frozen records: `changed` copies only if something changes."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

Record = TypeVar("Record")


def changed(record: Record, **fields: object) -> Record:
    """Return a frozen dataclass with these fields, like `dataclasses.replace`; the same object if it has them already.

    Parameters
    ----------
    record
        An instance of a frozen dataclass.
    **fields
        Its new fields.

    Examples
    --------
    >>> from dicomove.outcome import Counts
    >>> counts = Counts(completed=2)
    >>> changed(counts, failed=1)
    Counts(total=None, completed=2, failed=1, warning=None, remaining=None, at_end=False)
    >>> changed(counts, completed=2) is counts
    True
    """
    for name, value in fields.items():
        before = getattr(record, name)
        if before is not value and before != value:
            return replace(record, **fields)  # type: ignore[type-var]  # it is a dataclass
    return record


@contextmanager
def in_bulk() -> Iterator[None]:
    """Make many records, without Python's search for cycles.

    The records are not part of cycles, but the search would visit all of them again and again: that is a sixth of the
    time to prepare a run of a million rows. Do not wait for other threads in the block. It is also a decorator.

    Examples
    --------
    >>> with in_bulk():
    ...     gc.isenabled()
    False
    >>> gc.isenabled()
    True
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
