"""Frozen records, of which there may be millions: a changed copy is made only where something changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

Record = TypeVar("Record")


def changed(record: Record, **fields: object) -> Record:
    """Return a frozen dataclass with these fields, like `dataclasses.replace`; itself where it has them already.

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
