"""The records of a journal, and the key that identifies a row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from dicomove.results import Row
from dicomove.store.instances import InstanceRecord


class Stored(NamedTuple):
    """One file that existed when its row was recorded; its path is relative to the receiver's folder."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """Identifies a row from run to run, independent of its number and its table.

    Attributes
    ----------
    pacs, destination
        ``"AET@host:port"`` and an AE title.
    level, query_model, keys
        The identifier.
    """

    pacs: str
    destination: str
    level: str
    query_model: str
    keys: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        shown = (f"{name}={'<hidden>' if name == 'PatientID' else value}" for name, value in self.keys)
        return f"Key({', '.join([self.pacs, self.destination, self.level, self.query_model, *shown])})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run: the facts common to all of its rows.

    Attributes
    ----------
    pacs, destination, calling_ae_title, options
        The arguments of `move`.
    cohort_sha256
        Of the caller's table.
    columns, dtypes, index_names, index_dtypes
        Of the caller's table, in order; labels as JSON.
    folder
        Of the receiver.
    """

    pacs: str
    destination: str
    calling_ae_title: str
    options: Mapping[str, object]
    cohort_sha256: str
    columns: Sequence[Hashable]
    dtypes: Sequence[str]
    index_names: Sequence[Hashable]
    index_dtypes: Sequence[str]
    folder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRecord:
    """One row of the caller's table.

    Attributes
    ----------
    position, label, cells
        Its position, label and cells.
    key
        ``None`` if it cannot be a C-MOVE.
    row
        A result that is known from the beginning: for a row that `find` could not match, that is invalid, or that an
        earlier run completed.
    """

    position: int
    label: Hashable
    cells: Sequence[object]
    key: Key | None = None
    row: Row | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt, and the result of its row after it.

    Attributes
    ----------
    key
        Of the row.
    row
        Its result.
    level, identifier
        The request: a retry asks only for missing instances.
    sent
        Whether a C-MOVE was sent.
    final
        Whether no other attempt follows in this run.
    instances
        The files of the row on disk.
    """

    key: Key
    row: Row
    level: str
    identifier: tuple[tuple[str, str], ...]
    sent: bool = True
    final: bool = True
    instances: Sequence[InstanceRecord] = ()


@dataclass(frozen=True, slots=True)
class PreviousResult:
    """The latest result of a row, in which run, and when."""

    row: Row
    run: int
    at: datetime
