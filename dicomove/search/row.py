"""The C-FINDs of one row, level by level; answers that do not fit the row are left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from dicomove.cohort import (
    OPTIONAL_KEYS,
    PATIENT_KEYS,
    RETURN_KEYS,
    Query,
    QueryModel,
    Step,
)
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.answers import (
    each_once,
    left_out,
    merged,
    several_patients,
    unconfirmed,
    unrepeated,
    unwritten,
)
from dicomove.search.c_find import Asker
from dicomove.search.capped import ask_whole
from dicomove.search.limits import KnownLimits
from dicomove.search.match_check import MatchCheck, UnconfirmedError

Match = dict[str, str]
_Pair = tuple[str, str]

#: Errors of an archive for a search with an unknown key.
_MAY_BE_THE_KEYS: Final = frozenset({"identifier_mismatch", "unable_to_process"})


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one row.

    Attributes
    ----------
    outcome, status, error, advice, error_comment
        The columns of `find`.
    matches
        The matches, as keyword -> text.
    filtered
        The number of answers that were left out because they do not fit the row.
    asked_by
        The keywords of the keys that were sent.
    repeated
        The number of matches that belong to an earlier alternative of the same query, and are not in `matches`.
    ambiguous
        The number of matches among which nothing decides.
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
    """Asks one PACS, row by row.

    Parameters
    ----------
    asker
        Sends the C-FINDs.
    wanted
        The requested attributes at the level of the query.
    limits
        The known limits of the PACS.
    """

    def __init__(self, asker: Asker, wanted: Sequence[str], limits: KnownLimits) -> None:
        self._asker, self._wanted, self._limits = asker, wanted, limits
        self._check = MatchCheck(asker, limits)

    def ask(self, query: Query, listed: FindResult | None = None) -> Answer:
        """Return the answer to a row.

        Each level is asked with the unique keys from the answers of the level above. Every answer is compared with all
        keys of the row, also those of the levels above.

        Parameters
        ----------
        query
            The query of the row.
        listed
            For a row with one step, its matches from a list of UIDs; the step is then not asked.
        """
        try:
            return self._ask_steps(query, listed)
        except UnconfirmedError as unconfirmed:
            return _answer([], unconfirmed.found, (), ())

    def _ask_steps(self, query: Query, listed: FindResult | None) -> Answer:
        found: list[Match] = [{}]
        keys: list[_Pair] = []
        reasons: list[str] = []
        notes: list[str | None] = []
        last = FindResult((), "0x0000")
        for step in query.steps:
            keys += [*step.keys, *step.checks]
            # An answer need not repeat the row's own unique keys of the levels above.
            typed = {name: value for name, value in step.keys if name in step.above}
            unique, identifying = step.unique, step.identifying
            below: list[Match] = []
            for above in (upper | typed for upper in found):
                last = self._find(step, above, query) if listed is None else listed
                answers = _once(last)
                # An archive may leave a key empty in its only answer. If there are several, each has to repeat it.
                repeated = identifying if len({answer.get(unique) for answer in answers}) > 1 else ()
                for match in answers:
                    reason = self._check.why_not(match, step, above, keys, repeated)
                    if reason is None:
                        below.append(merged(above, match))
                        notes += [unrepeated(match, identifying), unwritten(match, (*step.keys, *step.checks))]
                        notes.append(unconfirmed(match, (name for name, _ in step.keys)))
                    else:
                        reasons.append(reason)
                notes += [last.advice] if last.advice and not last.error else []
                if last.error:
                    return self._answered(query, below if step is query.steps[-1] else [], last, reasons, notes)
            found = each_once(below, unique)
        return self._answered(query, found, last, reasons, notes)

    def _answered(
        self, query: Query, found: list[Match], last: FindResult, reasons: Sequence[str], notes: Sequence[str | None]
    ) -> Answer:
        """Return the answer, without the keys that only distinguish patients."""
        several = several_patients(found) if query.names_one_patient else None
        named = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
        extra = {*PATIENT_KEYS}.difference(self._wanted, named)
        found = [{name: value for name, value in match.items() if name not in extra} for match in found]
        return replace(_answer(found, last, reasons, [*notes, several]), several_patients=several is not None)

    def ask_list(self, queries: Sequence[Query], uids: Sequence[str], is_enough: Callable[[Match], bool]) -> FindResult:
        """Ask for several rows together, which differ only in a UID."""
        query = queries[0]
        step = query.steps[-1]
        sent = {**dict.fromkeys(self._returned(step, query), ""), **_values(step), step.unique: list(uids)}
        return self._ask(step.query_model, {"QueryRetrieveLevel": step.level, **sent}, is_enough)

    def _find(self, step: Step, above: Match, query: Query) -> FindResult:
        keys = dict.fromkeys(self._returned(step, query), "")
        keys |= {name: above[name] for name in step.above if name in above}
        sent = {"QueryRetrieveLevel": step.level, **keys, **_values(step)}
        return ask_whole(partial(self._ask, step.query_model), sent, self._limits, _today(), self._asker.renew)

    def _ask(
        self,
        query_model: QueryModel,
        keys: Mapping[str, str | list[str]],
        is_enough: Callable[[Match], bool] | None = None,
    ) -> FindResult:
        """Send one C-FIND. The first time that the PACS refuses one, try it without the optional keys."""
        plain = {name: value for name, value in keys.items() if value or name not in OPTIONAL_KEYS}
        is_plain = self._limits.without_optional_keys
        found = self._asker.find(plain if is_plain else keys, query_model=query_model, is_enough=is_enough)
        if is_plain or found.error not in _MAY_BE_THE_KEYS or len(plain) == len(keys):
            return found
        again = self._asker.find(plain, query_model=query_model, is_enough=is_enough)
        self._limits.without_optional_keys |= again.error is None
        return found if again.error else again

    def _returned(self, step: Step, query: Query) -> Sequence[str]:
        returned = self._wanted if step.level == query.level else RETURN_KEYS[step.level]
        apart = PATIENT_KEYS if step is query.steps[0] and query.names_one_patient else ()
        return (*returned, *apart, *(name for name, _ in step.checks))


def _outcome(result: FindResult, *, matched: bool) -> str:
    """Return the outcome for the last C-FIND of a row."""
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
        _outcome(last, matched=bool(found)),
        tuple(found),
        last.status,
        last.error,
        sentences(*said, left_out(reasons) or "") or None,
        last.error_comment,
        len(reasons),
    )


def _once(result: FindResult) -> list[Match]:
    """Return each answer once, because an archive that joins two databases may return it twice."""
    return list({tuple(match.items()): match for match in result}.values())


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _values(step: Step) -> dict[str, str | list[str]]:
    return {name: value.split("\\") if "\\" in value else value for name, value in step.keys}
