"""The C-FINDs of one row, level by level; answers that do not fit the row are left out.

Whether a match is of the row is compared, and the PACS is asked about what the match leaves blank.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import uuid4

from dicomove.cohort import (
    OPTIONAL_KEYS,
    PATIENT_KEYS,
    RETURN_KEYS,
    UNIQUE_KEYS,
    Query,
    QueryModel,
    Step,
    different,
    is_blank,
    matches,
    unsafe,
)
from dicomove.dimse import FindResult
from dicomove.outcome import sentences
from dicomove.search.answers import (
    ISSUER,
    OF_ANY_SITE,
    each_once,
    is_of_any_site,
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
from dicomove.search.limits import KnownLimits
from dicomove.search.parts.capped import ask_whole

Match = dict[str, str]
_Pair = tuple[str, str]
_Pairs = Sequence[_Pair]

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
    of_any_site
        Whether a match may be of a patient at another site than the row names.
    is_narrow
        Whether nothing matches all keys of the row, and its accession number alone may match.
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
    of_any_site: bool = False
    is_narrow: bool = False


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
        self._check = _MatchCheck(asker, limits)

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
            # An answer need not repeat the row's own unique keys of the levels above.
            typed = {name: value for name, value in step.keys if name in step.above}
            unique, identifying = step.unique, step.identifying
            below: list[Match] = []
            for above in (upper | typed for upper in found):
                last = self._find(step, above, query) if listed is None else listed
                answers = different(last)
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
        several = several_patients(found, by_uid=query.is_by_uid) if query.names_one_patient else None
        notes = [*notes, OF_ANY_SITE if is_of_any_site(query, found) else None, several]
        named = {name for step in query.steps for name, _ in (*step.keys, *step.checks)}
        extra = {*PATIENT_KEYS}.difference(self._wanted, named)
        found = [{name: value for name, value in match.items() if name not in extra} for match in found]
        return replace(_answer(found, last, reasons, notes), several_patients=several is not None)

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
        today = dt.datetime.now(dt.UTC).date()
        return ask_whole(partial(self._ask, step.query_model), sent, self._limits, today, self._asker.renew)

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
        is_first = step is query.steps[0] and not query.is_by_uid
        apart = PATIENT_KEYS if is_first and query.names_one_patient else ()
        if step.level == "STUDY" and any(name == ISSUER for one in query.steps for name, _ in (*one.keys, *one.checks)):
            apart = (*apart, ISSUER)  # in Patient Root, only patients were asked for it
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


def _values(step: Step) -> dict[str, str | list[str]]:
    return {name: value.split("\\") if "\\" in value else value for name, value in step.keys}


class _UnconfirmedError(Exception):
    """A C-FIND about a match had no answer, so that it is not known whether the match is of its row."""

    def __init__(self, found: FindResult) -> None:
        super().__init__("whose a match is could not be asked")
        self.found = found


class _MatchCheck:
    """Tells whether the matches of one PACS are of the rows that asked."""

    def __init__(self, asker: Asker, limits: KnownLimits) -> None:
        self._asker, self._limits = asker, limits

    def why_not(
        self, match: dict[str, str], step: Step, above: Mapping[str, str], keys: _Pairs, repeated: Sequence[str]
    ) -> str | None:
        """Return why a match does not fit the row, or None if it does.

        If the PACS does not give the modalities of a study, its series are asked, and the match gets them.

        Parameters
        ----------
        match
            The match.
        step
            The C-FIND that brought it.
        above
            The match at the level above.
        keys
            All keys of the row down to this level.
        repeated
            The keys that an answer has to repeat.

        Raises
        ------
        _UnconfirmedError
            A C-FIND about the match had no answer.
        """
        upper = [(name, above[name]) for name in step.above if above.get(name)]
        expected = [*keys, *upper]
        reason = why_not(match, step.unique, expected, repeated)
        if reason is None and _MODALITIES in dict((*step.keys, *step.checks)) and not match.get(_MODALITIES):
            match[_MODALITIES] = "\\".join(self._modalities(merged(above, match), step))
            reason = why_not(match, step.unique, expected, repeated)
        if reason is not None:
            return reason
        one = {"QueryRetrieveLevel": step.level, **dict(upper), step.unique: match[step.unique]}
        lacking = [name for name, _ in upper if name.endswith("UID") and is_blank(match.get(name))]
        if lacking and not self._searches_by_uids_above(one, step):
            return f"came without {' and '.join(lacking)}, and the PACS ignores it in a search"
        blank = unproven(match, step.checks)
        return self._not_confirmed(one, blank, step) if blank else None

    def _searches_by_uids_above(self, one: Mapping[str, str], step: Step) -> bool:
        """Return whether the PACS finds a match only below its own study and series, and not below any UID.

        Answers need not repeat the UIDs above them. If the PACS ignores these, its answers may be of any patient.
        """
        if step.level not in (known := self._limits.searches_by_uids_above):
            nowhere = {**one, step.above[-1]: f"2.25.{uuid4().int}"}
            found = self._asker.find(nowhere, query_model=step.query_model, is_enough=lambda _: True)
            if found.error and found.status is None:
                raise _UnconfirmedError(found)
            known[step.level] = not found.matches
        return known[step.level]

    def _not_confirmed(self, one: Mapping[str, str], checks: _Pairs, step: Step) -> str | None:
        """Return why a match does not fit the row, if it leaves identifying keys of the row blank.

        The PACS may not return these keys, or the study may lack them. A search by the keys distinguishes the two: it
        returns the match again, or nothing.
        """
        again = self._asker.find({**one, **dict(checks)}, query_model=step.query_model)
        if again.error:
            raise _UnconfirmedError(again)
        if any(matches([*one.items(), *checks], found) for found in again):
            return None
        names = " and ".join(name for name, _ in checks)
        return f"came without {names}, and the PACS does not find it by the {names} of the row"

    def _modalities(self, study: Mapping[str, str], step: Step) -> Iterable[str]:
        keys = {name: study.get(name, "") for name in UNIQUE_KEYS[step.query_model]["STUDY"]}
        if any(unsafe(uid, name) for name, uid in keys.items()):
            return []
        asked = {"QueryRetrieveLevel": "SERIES", "Modality": "", "SeriesInstanceUID": "", **keys}
        series = self._asker.find(asked, query_model=step.query_model)
        return sorted({match["Modality"] for match in series if match.get("Modality")})
