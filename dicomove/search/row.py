"""The C-FINDs of one row, level by level, and only the answers that were asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from dicomove.cohort import (
    OPTIONAL_KEYS,
    PATIENT_KEYS,
    RETURN_KEYS,
    UNIQUE_KEYS,
    Query,
    QueryModel,
    Step,
    left_out,
    matches,
    merged,
    several_patients,
    unproven,
    unrepeated,
    unsafe,
    untold,
    why_not,
)
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.asker import Asker
from dicomove.search.caps import Caps
from dicomove.search.whole import ask_whole

Match = dict[str, str]
Pair = tuple[str, str]

#: How an archive refuses a search with a key that it does not know.
_MAY_BE_THE_KEYS: Final = frozenset({"identifier_mismatch", "unable_to_process"})
_MODALITIES: Final = "ModalitiesInStudy"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the C-FINDs of one row brought.

    Attributes
    ----------
    outcome, status, error, advice, error_comment
        The columns of `find`.
    matches
        Keyword -> text.
    filtered
        Answers that were left out, since the row did not ask for them.
    asked_by
        The keywords of the keys that were sent.
    repeated
        Matches that an earlier alternative of the same query has, and that are not among `matches`.
    ambiguous
        Matches among which nothing decides.
    loose
        The keys that the matches have with other zeros or blanks.
    several_patients
        Whether the matches are of more than one patient, although the row names one.
    """

    outcome: str
    matches: tuple[Match, ...] = ()
    status: str | None = None
    error: str | None = None
    advice: str | None = None
    error_comment: str | None = None
    filtered: int = 0
    asked_by: str | None = None
    repeated: int = 0
    ambiguous: int = 0
    loose: str | None = None
    several_patients: bool = False


class Search:
    """Asks one PACS for one row after the other.

    Parameters
    ----------
    asker
        Asks.
    wanted
        The attributes to ask for at the level of the query.
    caps
        What was learnt about the PACS.
    """

    def __init__(self, asker: Asker, wanted: Sequence[str], caps: Caps) -> None:
        self._asker = asker
        self._wanted = wanted
        self._caps = caps

    def ask(self, query: Query, listed: FindResult | None = None) -> Answer:
        """Return the answer to a row.

        A later level is asked with the unique keys that the level above answered. Every answer is held against all
        keys of the row, also those of the levels above.

        Parameters
        ----------
        query
            The row's.
        listed
            What a list of UIDs brought for a row with one step, which is then not asked.
        """
        try:
            return self._ask_steps(query, listed)
        except _UnconfirmedError as unconfirmed:
            return _answer([], unconfirmed.found, (), ())

    def _ask_steps(self, query: Query, listed: FindResult | None) -> Answer:
        found: list[Match] = [{}]
        keys: list[Pair] = []
        reasons: list[str] = []
        notes: list[str | None] = []
        last = FindResult((), "0x0000")
        for step in query.steps:
            keys += [*step.keys, *step.checks]
            below: list[Match] = []
            for above in (upper | _typed_above(step, query.query_model) for upper in found):
                last = self._find(step, above, query) if listed is None else listed
                answers = _once(last)
                identifying = _identifying(step, query.query_model)
                for match in answers:
                    # An archive may leave a key empty in its only answer. Of several, each has to repeat it.
                    repeated = identifying if len(answers) > 1 else []
                    reason = self._why_not(match, step, above, keys, repeated, query.query_model)
                    if reason is None:
                        below.append(merged(above, match))
                        notes += [unrepeated(match, identifying), untold(match, (name for name, _ in step.keys))]
                    else:
                        reasons.append(reason)
                notes += [last.advice] if last.advice and not last.error else []
                if last.error:
                    return self._answered(query, below if step is query.steps[-1] else [], last, reasons, notes)
            found = below
        return self._answered(query, found, last, reasons, notes)

    def _answered(
        self, query: Query, found: list[Match], last: FindResult, reasons: Sequence[str], notes: Sequence[str | None]
    ) -> Answer:
        """Return the answer, without the keys that only tell patients apart."""
        several = several_patients(found) if _names_one(query) else None
        named = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
        extra = {*PATIENT_KEYS}.difference(self._wanted, named)
        found = [{name: value for name, value in match.items() if name not in extra} for match in found]
        return replace(_answer(found, last, reasons, [*notes, several]), several_patients=several is not None)

    def ask_list(self, queries: Sequence[Query], uids: Sequence[str], is_enough: Callable[[Match], bool]) -> FindResult:
        """Ask for several rows at once, that differ in a UID alone."""
        query = queries[0]
        step = query.steps[-1]
        unique = UNIQUE_KEYS[query.query_model][step.level][-1]
        sent = {**dict.fromkeys(self._returned(step, query), ""), **_values(step), unique: list(uids)}
        return self._ask(query.query_model, {"QueryRetrieveLevel": step.level, **sent}, is_enough)

    def _find(self, step: Step, above: Match, query: Query) -> FindResult:
        keys = dict.fromkeys(self._returned(step, query), "")
        keys |= {name: above[name] for name in _unique_keys_above(step, query.query_model) if name in above}
        sent = {"QueryRetrieveLevel": step.level, **keys, **_values(step)}
        return ask_whole(partial(self._ask, query.query_model), sent, self._caps, _today(), self._asker.renew)

    def _ask(
        self,
        query_model: QueryModel,
        keys: Mapping[str, str | list[str]],
        is_enough: Callable[[Match], bool] | None = None,
    ) -> FindResult:
        """Send one C-FIND; where it is refused, see once whether that is for keys that may be missing."""
        plain = {name: value for name, value in keys.items() if value or name not in OPTIONAL_KEYS}
        is_plain = self._caps.without_optional_keys
        found = self._asker.find(plain if is_plain else keys, query_model=query_model, is_enough=is_enough)
        if is_plain or found.error not in _MAY_BE_THE_KEYS or len(plain) == len(keys):
            return found
        again = self._asker.find(plain, query_model=query_model, is_enough=is_enough)
        self._caps.without_optional_keys |= again.error is None
        return found if again.error else again

    def _returned(self, step: Step, query: Query) -> Sequence[str]:
        returned = self._wanted if step.level == query.level else RETURN_KEYS[step.level]
        apart = PATIENT_KEYS if step is query.steps[0] and _names_one(query) else ()
        return (*returned, *apart, *(name for name, _ in step.checks))

    def _why_not(
        self,
        match: Match,
        step: Step,
        above: Match,
        keys: Sequence[Pair],
        repeated: Sequence[str],
        query_model: QueryModel,
    ) -> str | None:
        """Say why a match is not what was asked; modalities that the PACS does not tell are looked up in the series."""
        unique = UNIQUE_KEYS[query_model][step.level][-1]
        upper = [(name, above[name]) for name in _unique_keys_above(step, query_model) if above.get(name)]
        reason = why_not(match, unique, [*keys, *upper], repeated)
        asked = {name for name, _ in (*step.keys, *step.checks)}
        if reason is None and _MODALITIES in asked and not match.get(_MODALITIES):
            match[_MODALITIES] = "\\".join(self._modalities(merged(above, match), query_model))
            reason = why_not(match, unique, keys, repeated)
        blank = unproven(match, step.checks)
        if reason is None and blank:
            one = dict([*upper, (unique, match[unique])])
            reason = self._not_confirmed({"QueryRetrieveLevel": step.level, **one}, blank, query_model)
        return reason

    def _not_confirmed(self, one: Match, checks: Sequence[Pair], query_model: QueryModel) -> str | None:
        """Say why a match that leaves identifying keys of the row blank is not what was asked.

        The PACS may not tell these keys, or the study may have none. Only a search by them tells which: it brings the
        match again, or nothing.

        Parameters
        ----------
        one
            The level and the unique keys of the match.
        checks
            The keys that it leaves blank, as the row has them.
        query_model
            The information model.

        Raises
        ------
        _UnconfirmedError
            The search had no answer.
        """
        again = self._asker.find({**one, **dict(checks)}, query_model=query_model)
        if again.error:
            raise _UnconfirmedError(again)
        if any(matches([*one.items(), *checks], found) for found in again):
            return None
        names = " and ".join(name for name, _ in checks)
        return f"came without {names}, and the PACS does not find it by the {names} of the row"

    def _modalities(self, study: Match, query_model: QueryModel) -> list[str]:
        keys = {name: study.get(name, "") for name in UNIQUE_KEYS[query_model]["STUDY"]}
        if any(map(unsafe, keys.values())):
            return []
        series = self._asker.find(
            {"QueryRetrieveLevel": "SERIES", "Modality": "", "SeriesInstanceUID": "", **keys}, query_model=query_model
        )
        return sorted({match["Modality"] for match in series if match.get("Modality")})


class _UnconfirmedError(Exception):
    def __init__(self, found: FindResult) -> None:
        super().__init__("whose a match is could not be asked")
        self.found = found


def find_outcome(result: FindResult, *, matched: bool) -> str:
    """Return the word of the ``outcome`` column for the last C-FIND of a row."""
    if result.cancelled:
        return "cancelled"
    if result.error is None:
        return "matched" if matched else "empty"
    if matched:
        return "partial"
    if result.status is not None or result.error == "not_supported":
        return "failed"
    return "interrupted" if result.sent else "unreachable"


def _answer(found: list[Match], last: FindResult, reasons: Sequence[str], notes: Sequence[str | None]) -> Answer:
    said = dict.fromkeys(note for note in (last.advice, *notes) if note)
    return Answer(
        find_outcome(last, matched=bool(found)),
        tuple(found),
        last.status,
        last.error,
        sentences(*said, left_out(reasons) or "") or None,
        last.error_comment,
        len(reasons),
    )


def _unique_keys_above(step: Step, query_model: QueryModel) -> Iterator[str]:
    own = UNIQUE_KEYS[query_model][step.level][-1]
    return (name for name in UNIQUE_KEYS[query_model][step.level] if name != own)


def _typed_above(step: Step, query_model: QueryModel) -> Match:
    """Return the unique keys of the levels above that the row has itself: an answer need not repeat them."""
    return {name: value for name, value in step.keys if name in set(_unique_keys_above(step, query_model))}


def _identifying(step: Step, query_model: QueryModel) -> list[str]:
    """Return the keys of a step that name a patient or a study: of several answers, each has to repeat them.

    A PACS that ignores a key leaves it out of its answers, or leaves it empty: then they may be of any patient.
    """
    above = set(_unique_keys_above(step, query_model))
    return [name for name in step.identifying if name not in above]


def _names_one(query: Query) -> bool:
    """Whether a row means one patient, but names none by a UID: its studies may turn out to be of several."""
    first = query.steps[0]
    named = [value for name, value in first.keys if name in first.identifying]
    return bool(named) and not query.is_by_uid and all({"*", "?", "\\"}.isdisjoint(value) for value in named)


def _once(result: FindResult) -> list[Match]:
    """Return each answer once: an archive that joins two databases gives it twice."""
    return list({tuple(match.items()): match for match in result}.values())


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _values(step: Step) -> dict[str, str | list[str]]:
    return {name: value.split("\\") if "\\" in value else value for name, value in step.keys}
