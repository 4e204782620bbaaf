"""A search in parts by the characters of a text: PatientID, AccessionNumber, StudyID.

Every value ends in some character, so that the patterns ``*0``, ``*1``, ... ``*A``, ... are parts of all of them, and
``*00``, ``*10``, ... are parts of ``*0``. A PACS that takes wildcards at the end alone is asked by ``0*``, ``1*``, ...
Which characters there are is asked as well (``*Q*``). A PACS that ignores such a pattern is found out, since it gives
answers that do not match it, or lacks those that are known.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from dicomove.dimse import FindResult
from dicomove.search.asked import Asked, has_failed
from dicomove.search.caps import FEW, Match

#: The characters of identifiers. Backslash, ``*`` and ``?`` are none, and a blank is never at an end.
_CHARACTERS: Final = f"{string.digits}{string.ascii_uppercase}-_./:#+^{string.ascii_lowercase}"
_WILDCARDS: Final = frozenset("*?")
#: So many questions to one scope, and it is not known to be whole.
_MOST: Final = 20_000
#: So many parts of which none is small enough, and the PACS ignores the patterns.
_MOST_CUT: Final = 200

Scope = Mapping[str, str]
Holds = Callable[[Match], bool]


@dataclass(frozen=True, slots=True)
class Pattern:
    """The texts that begin with `head` and go on with anything that ends, or begins, with `part`.

    Examples
    --------
    >>> Pattern("SYN", "7").text, Pattern("SYN", "7", at_end=False).text, Pattern("SYN", "7").holds("syn007")
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
        """The only text that none of its parts has."""
        return f"{self.head}{self.part}"

    def holds(self, value: str) -> bool:
        """Whether a text belongs to it, in upper or lower case."""
        rest = value.casefold()[len(self.head) :]
        part = self.part.casefold()
        begins = value.casefold().startswith(self.head.casefold())
        return begins and (rest.endswith(part) if self.at_end else rest.startswith(part))

    def parts(self, characters: Iterable[str]) -> list[Pattern]:
        """Return its parts, but for `whole`."""
        grown = (f"{one}{self.part}" if self.at_end else f"{self.part}{one}" for one in characters)
        return [Pattern(self.head, part, self.at_end) for part in grown]


@dataclass
class ByText:
    """Asks for a search in parts.

    Attributes
    ----------
    asked
        Asks.
    names
        The attributes, in the order in which they are tried.
    """

    asked: Asked
    names: Sequence[str]
    failed: FindResult | None = None
    parts: int = 0
    _characters: dict[str, str] = field(default_factory=dict)
    _unusable: set[tuple[str, bool]] = field(default_factory=set)

    @property
    def used(self) -> list[str]:
        """The attributes that the search leaves open."""
        return [name for name in self.names if _head(self._key(name)) is not None]

    def ask_for(self, scope: Scope, holds: Holds, names: Sequence[str] | None = None) -> bool:
        """Ask for all that is in a scope; return whether that is proved.

        Parameters
        ----------
        scope
            The keys of the scope.
        holds
            Whether a match belongs to it.
        names
            The attributes that are left to cut by; by default, all that the search leaves open.
        """
        proved: list[str] = []
        for place, name in enumerate(left := self.used if names is None else names):
            if not any(self._sweep(scope, holds, name, at_end, left[place + 1 :]) for at_end in (True, False)):
                continue
            proved.append(name)
            known = [match for match in self.asked.found.values() if holds(match)]
            # What has none of these attributes is in no part.
            if not any(all(not match.get(one) for one in proved) for match in known):
                return True
        return False

    def ask_ends(self, matches: Sequence[Match]) -> bool:
        """Ask for the texts that end as those of some matches; return whether each part is smaller than all."""
        is_smaller = False
        for name in self.used[:1]:
            head = _head(self._key(name)) or ""
            ends = {match.get(name, "")[len(head) :][-1:] for match in matches} - {""} - _WILDCARDS
            for end in sorted(ends):
                self.parts += 1
                answer = self.asked({name: Pattern(head, end).text})
                if has_failed(answer) or not all(Pattern(head, end).holds(match.get(name, "")) for match in answer):
                    return False
                is_smaller = len(answer) < len(matches)
        return is_smaller

    def tells_more(self, number: int) -> bool:
        """Ask for some small parts of the whole search; return whether they have matches that it lacked."""
        for name in self.used[:1]:
            head = _head(self._key(name)) or ""
            values = sorted({match.get(name, "") for match in self.asked.found.values()} - {""})
            patterns = {
                Pattern(head, value[len(head) :][-3:]).text for value in values[:: max(len(values) // number, 1)]
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

    def _sweep(self, scope: Scope, holds: Holds, name: str, at_end: bool, names: Sequence[str]) -> bool:  # noqa: FBT001
        """Ask for a scope by one attribute; return whether the PACS heeds it, and every part is whole."""
        if (name, at_end) in self._unusable or not self.asked.caps.may_tell_by(name):
            return False
        head = _head(self._key(name)) or ""
        before = {uid for uid, match in self.asked.found.items() if holds(match) and match.get(name)}
        characters = self._alphabet(name, head, before) if at_end else _CHARACTERS
        sweep = _Sweep(scope, holds, name, names, characters, [Pattern(head, "", at_end)] if characters else [])
        began, is_first = self.parts, True
        while sweep.todo and self.parts - began < _MOST:
            known, pattern = len(self.asked.found), sweep.todo.pop()
            full = self._parts_of(pattern, sweep)
            is_ignored = not sweep.answered and self.parts - began > _MOST_CUT
            if full is None or is_ignored or (is_first and not before <= sweep.seen and not sweep.todo):
                self._unusable.add((name, at_end))
                return False
            # Where the limit varies, parts are whole as soon as their own parts bring no more.
            if self.asked.caps.is_unsteady and (is_first or len(self.asked.found) > known):
                sweep.todo += full
            is_first = False
            sweep.wholes += [pattern.whole] if pattern.whole else []
        for whole in sweep.wholes:  # after it is known that the PACS heeds the attribute
            self._alone(sweep, whole)
        return bool(characters) and sweep.is_whole and not sweep.todo and before <= sweep.seen

    def _parts_of(self, pattern: Pattern, sweep: _Sweep) -> list[Pattern] | None:
        """Ask for the parts of a pattern; return those that may have more, or ``None`` where the PACS ignores them."""
        full = []
        for part in pattern.parts(sweep.characters):
            answer = self._part({**sweep.scope, sweep.name: part.text}, sweep.seen)
            if answer is None or not all(part.holds(match.get(sweep.name, "")) for match in answer):
                return None
            if self._is_full_of_patients(sweep.name, answer):
                for patient in self.asked.caps.full_patients(answer.matches):
                    self._alone(sweep, patient)
            elif self.asked.is_cut(answer):
                sweep.todo.append(part)
                continue
            elif len(answer) >= FEW:
                full.append(part)
            sweep.answered += 1
        return full

    def _alone(self, sweep: _Sweep, value: str) -> None:
        """Ask for one value; where it has too many matches, by the attributes that are left."""
        if value in sweep.alone:
            return
        sweep.alone.add(value)
        name, inside = sweep.name, {**sweep.scope, sweep.name: value}
        answer = self._part(inside, sweep.seen)
        if answer is None:
            sweep.is_whole = False
        elif self.asked.is_cut(answer):
            sweep.is_whole &= self.ask_for(
                inside, lambda match: sweep.holds(match) and match.get(name) == value, sweep.names
            )
            sweep.seen |= {uid for uid, match in self.asked.found.items() if match.get(name) == value}

    def _is_full_of_patients(self, name: str, answer: FindResult) -> bool:
        """Whether an answer lacks at most matches of patients whom it has."""
        caps = self.asked.caps
        is_limited = bool(answer.error) or caps.reached_by_request(answer.matches)
        return name == "PatientID" and not is_limited and bool(caps.full_patients(answer.matches))

    def _part(self, keys: Scope, seen: set[str]) -> FindResult | None:
        self.parts += 1
        answer = self.asked(keys)
        if has_failed(answer):
            self.failed = answer
            return None
        seen |= self.asked.uids(answer)
        return answer

    def _alphabet(self, name: str, head: str, known: set[str]) -> str:
        """Return the characters that the values have after their head; none where the PACS ignores the question."""
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
class _Sweep:
    """A scope that is asked for by one attribute, and then by `names`."""

    scope: Scope
    holds: Holds
    name: str
    names: Sequence[str]
    characters: str
    todo: list[Pattern]
    seen: set[str] = field(default_factory=set)
    wholes: list[str] = field(default_factory=list)
    alone: set[str] = field(default_factory=set)
    is_whole: bool = True
    #: The parts that had fewer answers than the PACS gives.
    answered: int = 0


def _head(value: str) -> str | None:
    """Return how all values begin that a key matches, or ``None`` for a key that is not cut by its characters."""
    if not value:
        return ""
    head = value[:-1]
    return head if value.endswith("*") and _WILDCARDS.isdisjoint(head) and "\\" not in value else None
