"""How many failed rows end a run."""

from __future__ import annotations

from typing import Literal

from dicomove.words import FAILED

OnFailure = Literal["continue", "stop"]


class Failures:
    """Count rows that failed, and say when there are too many.

    Parameters
    ----------
    most
        The run ends when so many rows have failed; ``None`` is no limit.
    on_failure
        ``"continue"``, or ``"stop"``: the first row that fails ends the run.

    Examples
    --------
    >>> failures = Failures(2, "continue")
    >>> for outcome in ("failed", "complete", "empty", "partial"):
    ...     failures.count(outcome)
    >>> failures.counted, failures.exhausted
    (2, True)
    """

    def __init__(self, most: int | None = None, on_failure: OnFailure = "continue") -> None:
        self._most = 1 if on_failure == "stop" else most
        self._counted = 0

    def __repr__(self) -> str:
        return f"<Failures: {self._counted} of {'any number' if self._most is None else self._most}>"

    @property
    def counted(self) -> int:
        """How many rows have failed."""
        return self._counted

    @property
    def exhausted(self) -> bool:
        """Whether the run is to end."""
        return self._most is not None and self._counted >= self._most

    def count(self, outcome: str) -> None:
        """Take note of a row that has ended, and will not be tried again.

        Parameters
        ----------
        outcome
            As in the result table.
        """
        self._counted += outcome in FAILED
