"""What each row in flight has got so far: arrivals are attributed to rows by their UIDs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dicomove.receiver.record import KEYS
from dicomove.receiver.shelf import Disposition

#: What became of an instance, as a row counts it.
Fate = Disposition | Literal["differs", "damaged", "refused"]


@dataclass(slots=True)
class Account:
    """What one row has got.

    Attributes
    ----------
    keys
        The unique keys of the row.
    arrivals, bytes
        Instances that came for it, also twice, and their size.
    fates
        How many of each fate.
    last
        When the last one came, or the row was opened, in seconds of the monotonic clock.
    """

    keys: Mapping[str, str]
    arrivals: int = 0
    bytes: int = 0
    fates: dict[str, int] = field(default_factory=dict)
    last: float = field(default_factory=time.monotonic)

    @property
    def index(self) -> tuple[str, str]:
        """The deepest key: under it the account is found."""
        deepest = max(self.keys, key=KEYS.index)
        return deepest, self.keys[deepest]

    def is_of(self, values: Mapping[str, str]) -> bool:
        """Whether an instance with these values is the row's."""
        return all(values.get(name) == value for name, value in self.keys.items())

    def may_be_of(self, values: Mapping[str, str]) -> bool:
        """Whether an instance may be the row's, of which only these values are known yet."""
        return all(values.get(name) in ("", None, value) for name, value in self.keys.items())


class Accounts:
    """The accounts of the rows of all runs that go on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._accounts: dict[str, Account] = {}
        self._index: dict[tuple[str, str], set[str]] = {}
        # What comes after a row has ended is still its own.
        self._in_flight: set[str] = set()

    def open(self, row: str, keys: Mapping[str, str]) -> None:
        """Open the account of a row that is about to be moved; once more, where it is moved again."""
        with self._changed:
            account = self._accounts[row] = Account(dict(keys))
            self._index.setdefault(account.index, set()).add(row)
            self._in_flight.add(row)

    def end(self, run: str) -> None:
        """Forget the rows of a run: those whose name begins with its name."""
        with self._changed:
            for row in [row for row in self._accounts if row.startswith(run)]:
                account = self._accounts.pop(row)
                self._in_flight.discard(row)
                rows = self._index[account.index]
                rows.discard(row)
                if not rows:
                    del self._index[account.index]

    def is_requested(self, values: Mapping[str, str]) -> bool:
        """Whether a row of a run that goes on asked for this."""
        with self._changed:
            return bool(self._of(values))

    def arrived(self, values: Mapping[str, str], fate: Fate, size: int) -> None:
        """Count an instance for every row that asked for it."""
        with self._changed:
            accounts = self._of(values)
            if not accounts and fate == "damaged" and len(self._in_flight) == 1:
                accounts = [self._accounts[row] for row in self._in_flight]  # who else could have asked for it
            for account in accounts:
                account.arrivals += 1
                account.bytes += size
                account.fates[fate] = account.fates.get(fate, 0) + 1
                account.last = time.monotonic()
            self._changed.notify_all()

    def settle(self, row: str, enough: int | None, quiet: float, coming: Callable[[Account], bool]) -> Account:
        """Wait until so many instances came for a row, or a quiet period has passed; then it is in flight no more.

        Parameters
        ----------
        row
            The row.
        enough
            Instances, also if some came twice; ``None`` where nobody knows.
        quiet
            Seconds without an arrival.
        coming
            Says whether an instance is on its way that may be the row's.
        """
        with self._changed:
            account = self._accounts[row]
            start = time.monotonic()
            while enough is None or account.arrivals < enough:
                left = max(account.last, start) + quiet - time.monotonic()
                if left <= 0 and not coming(account):
                    break
                self._changed.wait(min(max(left, 0.05), 0.5))
            self._in_flight.discard(row)
            return account

    def progress(self, coming: Iterable[tuple[Mapping[str, str], int]]) -> dict[str, tuple[int, int]]:
        """Return arrivals and bytes of the rows in flight that have any.

        Parameters
        ----------
        coming
            What is known of the instances on their way, and how many bytes of them have come.
        """
        with self._changed:
            found = {row: (self._accounts[row].arrivals, self._accounts[row].bytes) for row in self._in_flight}
            for values, size in coming:
                for row in self._rows_of(values):
                    if row in found:
                        found[row] = found[row][0], found[row][1] + size
        return {row: numbers for row, numbers in found.items() if any(numbers)}

    def _of(self, values: Mapping[str, str]) -> list[Account]:
        return [self._accounts[row] for row in self._rows_of(values)]

    def _rows_of(self, values: Mapping[str, str]) -> list[str]:
        rows = [row for name in KEYS for row in self._index.get((name, values.get(name, "")), ())]
        return [row for row in rows if self._accounts[row].is_of(values)]
