"""The C-FINDs of one row, level by level; answers that do not fit the row are left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import uuid4

from dicomove.cohort import (
    OPTIONAL_KEYS,
    PATIENT_KEYS,
    RETURN_KEYS,
    UNIQUE_KEYS,
    Level,
    Query,
    QueryModel,
    Step,
    is_blank,
    matches,
    unsafe,
)
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.answers import (
    each_once,
    left_out,
    merged,
    several_patients,
    unconfirmed,
    unproven,
    unrepeated,
    unwritten,
    why_not,
)
from dicomove.search.c_find import Asker
from dicomove.search.capped import ask_whole
from dicomove.search.limits import KnownLimits

Match = dict[str, str]
_Pair = tuple[str, str]

#: Errors of an archive for a search with an unknown key.
_MAY_BE_THE_KEYS: Final = frozenset({"identifier_mismatch", "unable_to_process"})
_MODALITIES: Final = "ModalitiesInStudy"


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
        self._asker = asker
        self._wanted = wanted
        self._limits = limits

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
        except _UnconfirmedError as unconfirmed:
            return _answer([], unconfirmed.found, (), ())

    def _ask_steps(self, query: Query, listed: FindResult | None) -> Answer:
        found: list[Match] = [{}]
        keys: list[_Pair] = []
        reasons: list[str] = []
        notes: list[str | None] = []
        last = FindResult((), "0x0000")
        for step in query.steps:
            keys += [*step.keys, *step.checks]
            below: list[Match] = []
            unique = UNIQUE_KEYS[query.query_model][step.level][-1]
            for above in (upper | _typed_above(step, query.query_model) for upper in found):
                last = self._find(step, above, query) if listed is None else listed
                answers = _once(last)
                identifying = _identifying(step, query.query_model)
                for match in answers:
                    # An archive may leave a key empty in its only answer. If there are several, each has to repeat it.
                    repeated = identifying if len({answer.get(unique) for answer in answers}) > 1 else []
                    reason = self._why_not(match, step, above, keys, repeated, query.query_model)
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
        several = several_patients(found) if _names_one(query) else None
        named = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
        extra = {*PATIENT_KEYS}.difference(self._wanted, named)
        found = [{name: value for name, value in match.items() if name not in extra} for match in found]
        return replace(_answer(found, last, reasons, [*notes, several]), several_patients=several is not None)

    def ask_list(self, queries: Sequence[Query], uids: Sequence[str], is_enough: Callable[[Match], bool]) -> FindResult:
        """Ask for several rows together, which differ only in a UID."""
        query = queries[0]
        step = query.steps[-1]
        unique = UNIQUE_KEYS[query.query_model][step.level][-1]
        sent = {**dict.fromkeys(self._returned(step, query), ""), **_values(step), unique: list(uids)}
        return self._ask(query.query_model, {"QueryRetrieveLevel": step.level, **sent}, is_enough)

    def _find(self, step: Step, above: Match, query: Query) -> FindResult:
        keys = dict.fromkeys(self._returned(step, query), "")
        keys |= {name: above[name] for name in _unique_keys_above(step, query.query_model) if name in above}
        sent = {"QueryRetrieveLevel": step.level, **keys, **_values(step)}
        return ask_whole(partial(self._ask, query.query_model), sent, self._limits, _today(), self._asker.renew)

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
        apart = PATIENT_KEYS if step is query.steps[0] and _names_one(query) else ()
        return (*returned, *apart, *(name for name, _ in step.checks))

    def _why_not(
        self,
        match: Match,
        step: Step,
        above: Match,
        keys: Sequence[_Pair],
        repeated: Sequence[str],
        query_model: QueryModel,
    ) -> str | None:
        """Return why a match does not fit the row. If the PACS does not give the modalities, its series are asked."""
        unique = UNIQUE_KEYS[query_model][step.level][-1]
        upper = [(name, above[name]) for name in _unique_keys_above(step, query_model) if above.get(name)]
        reason = why_not(match, unique, [*keys, *upper], repeated)
        asked = {name for name, _ in (*step.keys, *step.checks)}
        if reason is None and _MODALITIES in asked and not match.get(_MODALITIES):
            match[_MODALITIES] = "\\".join(self._modalities(merged(above, match), query_model))
            reason = why_not(match, unique, keys, repeated)
        lacking = [name for name, _ in upper if name.endswith("UID") and is_blank(match.get(name))]
        if reason is None and lacking and not self._heeds_uids_above(match[unique], step.level, upper, query_model):
            return f"came without {' and '.join(lacking)}, and the PACS ignores it in a search"
        blank = unproven(match, step.checks)
        if reason is None and blank:
            one = dict([*upper, (unique, match[unique])])
            reason = self._not_confirmed({"QueryRetrieveLevel": step.level, **one}, blank, query_model)
        return reason

    def _heeds_uids_above(self, uid: str, level: Level, upper: Sequence[_Pair], query_model: QueryModel) -> bool:
        """Return whether the PACS finds a match only below its own study and series, and not below any UID.

        Answers need not repeat the UIDs above them. If the PACS ignores these, its answers may be of any patient.

        Raises
        ------
        _UnconfirmedError
            It had no answer.
        """
        if level not in (heeds := self._limits.heeds_uids_above):
            nowhere = {**dict(upper), upper[-1][0]: f"2.25.{uuid4().int}"}
            control = {"QueryRetrieveLevel": level, **nowhere, UNIQUE_KEYS[query_model][level][-1]: uid}
            found = self._asker.find(control, query_model=query_model, is_enough=lambda _: True)
            if found.error and found.status is None:
                raise _UnconfirmedError(found)
            heeds[level] = not found.matches
        return heeds[level]

    def _not_confirmed(self, one: Match, checks: Sequence[_Pair], query_model: QueryModel) -> str | None:
        """Return why a match does not fit the row, if it leaves identifying keys of the row blank.

        The PACS may not return these keys, or the study may lack them. A search by the keys distinguishes the two: it
        returns the match again, or nothing.

        Parameters
        ----------
        one
            The level and the unique keys of the match.
        checks
            The blank keys, with the row's values.
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


def _unique_keys_above(step: Step, query_model: QueryModel) -> Iterator[str]:
    own = UNIQUE_KEYS[query_model][step.level][-1]
    return (name for name in UNIQUE_KEYS[query_model][step.level] if name != own)


def _typed_above(step: Step, query_model: QueryModel) -> Match:
    """Return the row's own unique keys of the levels above; an answer need not repeat them."""
    return {name: value for name, value in step.keys if name in set(_unique_keys_above(step, query_model))}


def _identifying(step: Step, query_model: QueryModel) -> list[str]:
    """Return the keys of a step that name a patient or a study. If there are several answers, each has to repeat them.

    A PACS that ignores a key leaves it out of its answers, or leaves it empty, and its answers may be of any patient.
    """
    above = set(_unique_keys_above(step, query_model))
    return [name for name in step.identifying if name not in above]


def _names_one(query: Query) -> bool:
    """Whether a row means one patient, but has no UID, so that its matches may be of several patients."""
    first = query.steps[0]
    named = [value for name, value in first.keys if name in first.identifying]
    return bool(named) and not query.is_by_uid and all({"*", "?", "\\"}.isdisjoint(value) for value in named)


def _once(result: FindResult) -> list[Match]:
    """Return each answer once, because an archive that joins two databases may return it twice."""
    return list({tuple(match.items()): match for match in result}.values())


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()


def _values(step: Step) -> dict[str, str | list[str]]:
    return {name: value.split("\\") if "\\" in value else value for name, value in step.keys}
