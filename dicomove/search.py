"""The C-FINDs of one row, level by level, and only the answers that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dicomove.cohort import RETURN_KEYS, UNIQUE_KEYS, Query, QueryModel, Step, matches
from dicomove.dimse import FindResult, FindScu
from dicomove.errors import AssociationAborted as Aborted
from dicomove.errors import ConnectionLost, IdleTimeout, InvalidResponse, TotalTimeout

Match = dict[str, str]

_AFTER_SENDING: Final = {kind.error for kind in (Aborted, ConnectionLost, IdleTimeout, InvalidResponse, TotalTimeout)}
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
        Answers that were left out, since nobody had asked for them.
    """

    outcome: str
    matches: tuple[Match, ...] = ()
    status: str | None = None
    error: str | None = None
    advice: str | None = None
    error_comment: str | None = None
    filtered: int = 0


class Search:
    """Asks one PACS for one row after the other.

    Parameters
    ----------
    scu
        Asks.
    wanted
        The attributes to ask for at the level of the query.
    """

    def __init__(self, scu: FindScu, wanted: Sequence[str]) -> None:
        self._scu = scu
        self._wanted = wanted

    def ask(self, query: Query) -> Answer:
        """Return the answer to a row: a later level is asked with the unique keys that the level above answered."""
        found: list[Match] = [{}]
        filtered, last = 0, FindResult((), "0x0000")
        for step in query.steps:
            below: list[Match] = []
            for above in found:
                last = self._find(step, above, query)
                kept = [above | match for match in last if self._asked_for(match, step, above, query)]
                filtered += len(last) - len(kept)
                below += kept
                if last.error:
                    return _answer(below if step is query.steps[-1] else [], last, filtered)
            found = below
        return _answer(found, last, filtered)

    def _find(self, step: Step, above: Match, query: Query) -> FindResult:
        keys = dict.fromkeys(self._returned(step, query), "")
        keys |= {name: above[name] for name in _unique_keys_above(step, query.query_model) if name in above}
        return self._scu.find_studies(
            {"QueryRetrieveLevel": step.level, **keys, **_values(step)}, query_model=query.query_model
        )

    def _returned(self, step: Step, query: Query) -> Sequence[str]:
        return self._wanted if step.level == query.level else RETURN_KEYS[step.level]

    def _asked_for(self, match: Match, step: Step, above: Match, query: Query) -> bool:
        """Whether a match is what was asked; modalities that the PACS does not tell are looked up in the series."""
        asked = dict(step.keys)
        if _MODALITIES in asked and not match.get(_MODALITIES):
            match[_MODALITIES] = "\\".join(self._modalities(above | match, query.query_model))
        upper = [(name, above[name]) for name in _unique_keys_above(step, query.query_model) if above.get(name)]
        return matches([*step.keys, *upper], match)

    def _modalities(self, study: Match, query_model: QueryModel) -> list[str]:
        keys = {name: study.get(name, "") for name in UNIQUE_KEYS[query_model]["STUDY"]}
        series = self._scu.find_studies(
            {"QueryRetrieveLevel": "SERIES", "Modality": "", "SeriesInstanceUID": "", **keys}, query_model=query_model
        )
        return sorted({match["Modality"] for match in series if match.get("Modality")})


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


def _answer(found: list[Match], last: FindResult, filtered: int) -> Answer:
    answer = Answer(
        find_outcome(last, matched=bool(found)),
        tuple(found),
        last.status,
        last.error,
        last.advice,
        last.error_comment,
        filtered,
    )
    if filtered and not answer.advice:
        return replace(answer, advice=f"The PACS gave {filtered} more that nobody had asked for: they are left out.")
    return answer


def _unique_keys_above(step: Step, query_model: QueryModel) -> Iterator[str]:
    own = UNIQUE_KEYS[query_model][step.level][-1]
    return (name for name in UNIQUE_KEYS[query_model][step.level] if name != own)


def _values(step: Step) -> dict[str, str | list[str]]:
    return {name: value.split("\\") if "\\" in value else value for name, value in step.keys}
