"""The C-FINDs of one search, and all that they brought."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from dicomove.cohort import matches
from dicomove.dimse import FindResult
from dicomove.search.caps import FEW, Caps, Match
from dicomove.search.hidden import MOST, MOST_LATER, Keys, is_broad, longer, narrower
from dicomove.search.levels import Axis

#: How a PACS may answer a search that has too many matches.
TOO_MANY: Final = frozenset({"out_of_resources", "unable_to_process", "cancelled_by_pacs", "identifier_mismatch"})
#: How an answer may break off that has some of too many matches.
_BREAKS: Final = frozenset({"association_aborted", "connection_lost"})


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
    axis
        The level.
    today
        The date of today.
    """

    def __init__(
        self,
        ask: Callable[[Keys], FindResult],
        renew: Callable[[], object],
        keys: Keys,
        caps: Caps,
        axis: Axis,
        today: dt.date,
    ) -> None:
        self._ask, self.renew, self.keys, self.caps, self._axis, self._today = ask, renew, keys, caps, axis, today
        self.unique = axis.unique
        self.found: dict[str, dict[str, str]] = {}
        #: The length of the longest answer that came without an error.
        self.longest = 0

    def __call__(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches; with an error where the PACS hides that there are more."""
        result = self._told(keys)
        if result.error or result.cancelled or not self.caps.may_hide(result.matches):
            return result
        most = MOST if keys or is_broad(self.keys) else MOST_LATER
        return replace(result, error="out_of_resources") if self.denies(keys, result, most) else result

    def denies(self, keys: Keys, answer: FindResult, most: int) -> bool:
        """Whether a few narrower searches bring what an answer does not have."""
        given, caps, asked = self.uids(answer), self.caps, {**self.keys, **keys}
        for part in narrower(asked, self._axis, self.found.values(), self._today, caps.told_by)[:most]:
            told = self._told({**keys, **part})
            if has_failed(told):
                return False
            whole = [(name, value) for name, value in {**asked, **part}.items() if isinstance(value, str)]
            new = next((match for match in told if self.uid(match) not in given and matches(whole, match)), None)
            if new is not None:
                if caps.told_by is None:
                    caps.told_by = tuple(self._texts_of(asked, part, new))
                return True
        return False

    def _texts_of(self, asked: Keys, part: Keys, match: Match) -> Iterator[str]:
        """Yield the texts by whose last character the PACS finds a match of a part, and nothing else."""
        for name in self._axis.texts:
            value, key = match.get(name, ""), asked.get(name) or ""
            end = longer(key, value[-1]) if value and isinstance(key, str) else None
            if name in part:
                yield name
            elif end:
                told = self._told({**part, name: end})
                if self.uid(match) in self.uids(told) and all(matches([(name, end)], one) for one in told):
                    yield name

    def _told(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches."""
        if self.caps.needs_fresh_associations:
            self.renew()
        result = self._ask({**self.keys, **keys})
        self.longest = max(self.longest, 0 if result.error else len(result))
        self.caps.see(result.matches)
        for match in result:
            self.found.setdefault(self.uid(match), match)
        return result

    def elsewhere(self, keys: Keys) -> FindResult:
        """Ask something else, and keep nothing of it."""
        return self._ask(keys)

    def uids(self, matches: Iterable[Match]) -> set[str]:
        """Return the unique keys of matches."""
        return set(map(self.uid, matches))

    def uid(self, match: Match) -> str:
        """Return the unique key of a match; all of it, where the PACS leaves that empty."""
        return match.get(self.unique) or str(match)

    def is_cut(self, answer: FindResult) -> bool:
        """Whether an answer says itself that it lacks matches, or has as many as the PACS gives."""
        return has_too_many(answer) or self.caps.reached(answer.matches)


def has_too_many(answer: FindResult) -> bool:
    """Whether the PACS ended an answer as one may that has too many matches."""
    return answer.error in TOO_MANY or (answer.error in _BREAKS and len(answer) >= FEW)


def is_refused(answer: FindResult) -> bool:
    """Whether the PACS gave nothing but an error, as it may do for a key that it does not take."""
    return answer.error in TOO_MANY and not answer.matches


def has_failed(answer: FindResult) -> bool:
    """Whether there was no answer, for a reason that smaller parts do not change."""
    return answer.cancelled or bool(answer.error and not has_too_many(answer))
