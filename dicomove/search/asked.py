"""The C-FINDs of one search, with all of their matches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Final

from dicomove.cohort import matches
from dicomove.dimse import FindResult
from dicomove.search.hidden import MOST, MOST_LATER, Keys, is_broad, longer, narrower
from dicomove.search.levels import Axis
from dicomove.search.limits import FEW, KnownLimits, Match

#: Errors of a PACS for a search with too many matches.
TOO_MANY: Final = frozenset({"out_of_resources", "unable_to_process", "cancelled_by_pacs", "identifier_mismatch"})
#: Errors after which an answer may have some of too many matches.
_BREAKS: Final = frozenset({"association_aborted", "connection_lost"})


class Asked:
    """Sends the C-FINDs of one search, and keeps each match once.

    Parameters
    ----------
    ask
        Sends one C-FIND.
    renew
        Ends the association, so that the next C-FIND has a fresh one.
    keys
        The keys of the search.
    limits
        The known limits of the PACS at this level.
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
        limits: KnownLimits,
        axis: Axis,
        today: dt.date,
    ) -> None:
        self._ask, self.renew, self.keys, self.limits, self._axis, self._today = ask, renew, keys, limits, axis, today
        self.unique = axis.unique
        self.found: dict[str, dict[str, str]] = {}
        #: The length of the longest answer that came without an error.
        self.longest = 0

    def __call__(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches; with an error if the PACS hides that there are more."""
        result = self._find(keys)
        if result.error or result.cancelled or not self.limits.may_hide(result.matches):
            return result
        most = MOST if keys or is_broad(self.keys) else MOST_LATER
        return replace(result, error="out_of_resources") if self.denies(keys, result, most) else result

    def denies(self, keys: Keys, answer: FindResult, most: int) -> bool:
        """Whether one of a few narrower searches has a match that an answer lacks."""
        given, limits, asked = self.uids(answer), self.limits, {**self.keys, **keys}
        for part in narrower(asked, self._axis, self.found.values(), self._today, limits.searchable)[:most]:
            narrow = self._find({**keys, **part})
            if has_failed(narrow):
                return False
            whole = [(name, value) for name, value in {**asked, **part}.items() if isinstance(value, str)]
            new = next((match for match in narrow if self.uid(match) not in given and matches(whole, match)), None)
            if new is not None:
                if limits.searchable is None:
                    limits.searchable = tuple(self._texts_of(asked, part, new))
                return True
        return False

    def _texts_of(self, asked: Keys, part: Keys, match: Match) -> Iterator[str]:
        """Yield the attributes whose last character finds this match, and only values with this character."""
        for name in self._axis.texts:
            value, key = match.get(name, ""), asked.get(name) or ""
            end = longer(key, value[-1]) if value and isinstance(key, str) else None
            if name in part:
                yield name
            elif end:
                answer = self._find({**part, name: end})
                if self.uid(match) in self.uids(answer) and all(matches([(name, end)], one) for one in answer):
                    yield name

    def _find(self, keys: Keys) -> FindResult:
        """Ask with further keys, and keep the matches."""
        if self.limits.needs_fresh_associations:
            self.renew()
        result = self._ask({**self.keys, **keys})
        self.longest = max(self.longest, 0 if result.error else len(result))
        self.limits.see(result.matches)
        for match in result:
            self.found.setdefault(self.uid(match), match)
        return result

    def elsewhere(self, keys: Keys) -> FindResult:
        """Ask with other keys, and do not keep the matches."""
        return self._ask(keys)

    def uids(self, matches: Iterable[Match]) -> set[str]:
        """Return the unique keys of matches."""
        return set(map(self.uid, matches))

    def uid(self, match: Match) -> str:
        """Return the unique key of a match; if the PACS leaves it empty, the whole match as text."""
        return match.get(self.unique) or str(match)

    def is_cut(self, answer: FindResult) -> bool:
        """Whether an answer is at a limit: it ended with an error, or has the largest number of matches."""
        return has_too_many(answer) or self.limits.reached(answer.matches)


def has_too_many(answer: FindResult) -> bool:
    """Whether an answer ended with an error that may mean too many matches."""
    return answer.error in TOO_MANY or (answer.error in _BREAKS and len(answer) >= FEW)


def is_refused(answer: FindResult) -> bool:
    """Whether the answer is only an error, perhaps because the PACS does not accept a key."""
    return answer.error in TOO_MANY and not answer.matches


def has_failed(answer: FindResult) -> bool:
    """Whether the C-FIND failed for a reason that narrower searches do not avoid."""
    return answer.cancelled or bool(answer.error and not has_too_many(answer))
