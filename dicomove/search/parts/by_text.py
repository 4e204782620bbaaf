"""Splits a search by the characters of an attribute: PatientID, AccessionNumber, StudyID.

Every value ends with some character, so the patterns ``*0``, ``*1``, ... ``*A``, ... together cover all values, and
``*00``, ``*10``, ... cover ``*0``. A PACS that accepts wildcards only at the end is asked by ``0*``, ``1*``, ...
Searches such as ``*Q*`` find out which characters occur. If a PACS ignores such a pattern, its answers do not match the
pattern, or lack known matches.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.limits import FEW, Match
from dicomove.search.parts.hidden_matches import OneSearch, has_failed

#: The characters of identifiers, without backslash, ``*`` and ``?``; a blank is never at an end.
_CHARACTERS: Final = f"{string.digits}{string.ascii_uppercase}-_./:#+^{string.ascii_lowercase}"
_WILDCARDS: Final = frozenset("*?")
#: The most C-FINDs for one scope; after them, the scope counts as incomplete.
_MOST: Final = 20_000
#: After so many parts that are all too large, the PACS counts as ignoring the patterns.
_MOST_CUT: Final = 200

_Scope = Mapping[str, str]
_Holds = Callable[[Match], bool]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """The values that begin with `head`, and whose rest ends (or begins) with `part`.

    Examples
    --------
    >>> _Pattern("SYN", "7").text, _Pattern("SYN", "7", at_end=False).text, _Pattern("SYN", "7").holds("syn007")
    ('SYN*7', 'SYN7*', True)
    """

    head: str = ""
    part: str = ""
    at_end: bool = True

    @property
    def text(self) -> str:
        """The key that asks for it."""
        return f"{self.head}*{self.part}" if self.at_end else f"{self.head}{self.part}*"

    @property
    def whole(self) -> str:
        """The only value of the pattern that none of its parts has."""
        return f"{self.head}{self.part}"

    def holds(self, value: str) -> bool:
        """Whether a value belongs to it, in upper or lower case."""
        rest = value.casefold()[len(self.head) :]
        part = self.part.casefold()
        begins = value.casefold().startswith(self.head.casefold())
        return begins and (rest.endswith(part) if self.at_end else rest.startswith(part))

    def parts(self, characters: Iterable[str]) -> list[_Pattern]:
        """Return its parts, which cover all values except `whole`."""
        grown = (f"{one}{self.part}" if self.at_end else f"{self.part}{one}" for one in characters)
        return [_Pattern(self.head, part, self.at_end) for part in grown]


@dataclass
class ByText:
    """Splits a search by the characters of attributes.

    Attributes
    ----------
    asked
        The search.
    names
        The attributes, in the order in which they are tried.
    """

    asked: OneSearch
    names: Sequence[str]
    failed: FindResult | None = None
    parts: int = 0
    _characters: dict[str, str] = field(default_factory=dict)
    _unusable: set[tuple[str, bool]] = field(default_factory=set)

    @property
    def used(self) -> list[str]:
        """The attributes that the search leaves open."""
        return [name for name in self.names if _head(self._key(name)) is not None]

    def ask_for(self, scope: _Scope, holds: _Holds, names: Sequence[str] | None = None) -> bool:
        """Ask for all matches in a scope; return whether they are certainly complete.

        Parameters
        ----------
        scope
            The keys of the scope.
        holds
            Whether a match belongs to it.
        names
            The attributes that may still split it; by default, all that the search leaves open.
        """
        proved: list[str] = []
        for place, name in enumerate(left := self.used if names is None else names):
            if not any(self._split(scope, holds, name, at_end, left[place + 1 :]) for at_end in (True, False)):
                continue
            proved.append(name)
            known = [match for match in self.asked.found.values() if holds(match)]
            # Matches without a value of these attributes are in none of the parts.
            if not any(all(not match.get(one) for one in proved) for match in known):
                return True
        return False

    def ask_ends(self, matches: Sequence[Match]) -> bool:
        """Ask for the values with the last characters of some matches; return whether each part has fewer matches."""
        is_smaller = False
        for name in self.used[:1]:
            head = _head(self._key(name)) or ""
            ends = {match.get(name, "")[len(head) :][-1:] for match in matches} - {""} - _WILDCARDS
            for end in sorted(ends):
                self.parts += 1
                answer = self.asked({name: _Pattern(head, end).text})
                if has_failed(answer) or not all(_Pattern(head, end).holds(match.get(name, "")) for match in answer):
                    return False
                is_smaller = len(answer) < len(matches)
        return is_smaller

    def samples_have_more(self, number: int) -> bool:
        """Ask for some small parts of the whole search; return whether they have new matches."""
        for name in self.used[:1]:
            head = _head(self._key(name)) or ""
            values = sorted({match.get(name, "") for match in self.asked.found.values()} - {""})
            patterns = {
                _Pattern(head, value[len(head) :][-3:]).text for value in values[:: max(len(values) // number, 1)]
            }
            known = len(self.asked.found)
            for pattern in sorted(patterns)[:number]:
                self.parts += 1
                if has_failed(self.asked({name: pattern})):
                    return False
            return len(self.asked.found) > known
        return False

    def _key(self, name: str) -> str:
        value = self.asked.keys.get(name) or ""
        return value if isinstance(value, str) else "\\"

    def _split(self, scope: _Scope, holds: _Holds, name: str, at_end: bool, names: Sequence[str]) -> bool:  # noqa: FBT001
        """Split a scope by one attribute; return whether the PACS respects it and every part is complete."""
        if (name, at_end) in self._unusable or not self.asked.limits.may_search_by(name):
            return False
        head = _head(self._key(name)) or ""
        before = {uid for uid, match in self.asked.found.items() if holds(match) and match.get(name)}
        characters = self._alphabet(name, head, before) if at_end else _CHARACTERS
        split = _Split(scope, holds, name, names, characters, [_Pattern(head, "", at_end)] if characters else [])
        began, is_first = self.parts, True
        while split.todo and self.parts - began < _MOST:
            known, pattern = len(self.asked.found), split.todo.pop()
            full = self._parts_of(pattern, split)
            is_ignored = not split.answered and self.parts - began > _MOST_CUT
            if full is None or is_ignored or (is_first and not before <= split.seen and not split.todo):
                self._unusable.add((name, at_end))
                return False
            # If the limit varies, a part is complete only if its own parts bring no more.
            if self.asked.limits.is_unsteady and (is_first or len(self.asked.found) > known):
                split.todo += full
            is_first = False
            split.wholes += [pattern.whole] if pattern.whole else []
        for whole in split.wholes:  # only if the PACS respects the attribute
            self._alone(split, whole)
        return bool(characters) and split.is_whole and not split.todo and before <= split.seen

    def _parts_of(self, pattern: _Pattern, split: _Split) -> list[_Pattern] | None:
        """Ask for the parts of a pattern; return incomplete ones, or ``None`` if the PACS ignores the pattern."""
        full = []
        for part in pattern.parts(split.characters):
            answer = self._part({**split.scope, split.name: part.text}, split.seen)
            if answer is None or not all(part.holds(match.get(split.name, "")) for match in answer):
                return None
            if self._is_full_of_patients(split.name, answer):
                for patient in self.asked.limits.full_patients(answer.matches):
                    self._alone(split, patient)
            elif self.asked.is_cut(answer):
                split.todo.append(part)
                continue
            elif len(answer) >= FEW:
                full.append(part)
            split.answered += 1
        return full

    def _alone(self, split: _Split, value: str) -> None:
        """Ask for one value; if it has too many matches, split by the remaining attributes."""
        if value in split.alone:
            return
        split.alone.add(value)
        name, inside = split.name, {**split.scope, split.name: value}
        answer = self._part(inside, split.seen)
        if answer is None:
            split.is_whole = False
        elif self.asked.is_cut(answer):
            split.is_whole &= self.ask_for(
                inside, lambda match: split.holds(match) and match.get(name) == value, split.names
            )
            split.seen |= {uid for uid, match in self.asked.found.items() if match.get(name) == value}

    def _is_full_of_patients(self, name: str, answer: FindResult) -> bool:
        """Whether an answer can lack only matches of patients that it contains."""
        limits = self.asked.limits
        is_limited = bool(answer.error) or limits.reached_by_request(answer.matches)
        return name == "PatientID" and not is_limited and bool(limits.full_patients(answer.matches))

    def _part(self, keys: _Scope, seen: set[str]) -> FindResult | None:
        self.parts += 1
        answer = self.asked(keys)
        if has_failed(answer):
            self.failed = answer
            return None
        seen |= self.asked.uids(answer)
        return answer

    def _alphabet(self, name: str, head: str, known: set[str]) -> str:
        """Return the characters of the values after their head; none if the PACS ignores the pattern."""
        if name in self._characters:
            return self._characters[name]
        values = {self.asked.found[uid].get(name, "") for uid in known}
        there = {one for value in values for one in value[len(head) :]} - _WILDCARDS - {" "}
        folds = False
        for one in _CHARACTERS:
            if one in there or (folds and one.upper() in there):
                continue
            self.parts += 1
            answer = self.asked({name: f"{head}*{one}*"})
            got = [match.get(name, "")[len(head) :] for match in answer]
            if has_failed(answer) or not all(one.casefold() in value.casefold() for value in got):
                return ""
            folds |= bool(got) and not any(one in value for value in got)
            if got or self.asked.is_cut(answer):
                there |= {one} | {other for value in got for other in value} - _WILDCARDS - {" "}
        self._characters[name] = "".join(sorted(there))
        return self._characters[name]


@dataclass
class _Split:
    """A scope that is split by one attribute, and then by `names`."""

    scope: _Scope
    holds: _Holds
    name: str
    names: Sequence[str]
    characters: str
    todo: list[_Pattern]
    seen: set[str] = field(default_factory=set)
    wholes: list[str] = field(default_factory=list)
    alone: set[str] = field(default_factory=set)
    is_whole: bool = True
    #: The number of parts below the limit of the PACS.
    answered: int = 0


def _head(value: str) -> str | None:
    """Return the common beginning of all values that a key matches, or ``None`` for a key that cannot be split."""
    if not value:
        return ""
    head = value[:-1]
    return head if value.endswith("*") and _WILDCARDS.isdisjoint(head) and "\\" not in value else None
