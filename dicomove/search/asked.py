"""The C-FINDs of one search, and all that they brought."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.caps import Caps, Match

Keys = Mapping[str, str | list[str]]

#: How a PACS may answer a search that has too many matches.
TOO_MANY: Final = frozenset({"out_of_resources", "unable_to_process", "cancelled_by_pacs", "identifier_mismatch"})


class Asked:
    """Asks, and keeps each match once.

    Parameters
    ----------
    ask
        Sends one C-FIND.
    renew
        Ends the association, so that the next C-FIND has a fresh one.
    keys
        The keys of the search.
    caps
        What was learnt about the PACS at this level.
    unique
        The unique key of the level.
    """

    def __init__(
        self, ask: Callable[[Keys], FindResult], renew: Callable[[], object], keys: Keys, caps: Caps, unique: str
    ) -> None:
        self._ask, self.renew, self.keys, self.caps, self.unique = ask, renew, keys, caps, unique
        self.found: dict[str, dict[str, str]] = {}
        #: The length of the longest answer that came without an error.
        self.longest = 0

    def __call__(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches."""
        if self.caps.needs_fresh_associations:
            self.renew()
        result = self._ask({**self.keys, **keys})
        self.longest = max(self.longest, 0 if result.error else len(result))
        self.caps.see(result.matches)
        for match in result:
            self.found.setdefault(match.get(self.unique, ""), match)
        return result

    def elsewhere(self, keys: Keys) -> FindResult:
        """Ask something else, and keep nothing of it."""
        return self._ask(keys)

    def uids(self, matches: Iterable[Match]) -> set[str]:
        """Return the unique keys of matches."""
        return {match.get(self.unique, "") for match in matches}

    def is_cut(self, answer: FindResult) -> bool:
        """Whether an answer says itself that it lacks matches, or has as many as the PACS gives."""
        return answer.error in TOO_MANY or self.caps.reached(answer.matches)


def has_failed(answer: FindResult) -> bool:
    """Whether there was no answer, for a reason that smaller parts do not change."""
    return answer.cancelled or bool(answer.error and answer.error not in TOO_MANY)
