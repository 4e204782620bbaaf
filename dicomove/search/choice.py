"""Which of several studies a row means: all, the only one, the newest, the oldest, or the nearest to its date. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import pandas as pd

from dicomove.cohort import is_blank, keyword_columns, text
from dicomove.errors import CohortError, IdentifierError
from dicomove.outcome import sentences
from dicomove.search.pieces import Moment, moment
from dicomove.search.row import Answer
from dicomove.words import ADVICE

Matches = Literal["all", "one", "newest", "oldest", "nearest"]

_DATE: Final = "StudyDate"
_UNIQUE: Final = "StudyInstanceUID"


@dataclass(frozen=True, slots=True)
class Choice:
    """Chooses among the studies that a row matches.

    Parameters
    ----------
    matches
        The policy.
    within
        Days around the row's date, for ``"nearest"``; ``None`` is no limit.
    """

    matches: Matches = "all"
    within: int | None = None

    @classmethod
    def of(cls, matches: Matches, within: object) -> Choice:
        """Return the choice that the keywords of `find` mean.

        Raises
        ------
        CohortError
            One of them is wrong.
        """
        if matches not in get_args(Matches):
            msg = f"matches={matches!r} is not one of {', '.join(get_args(Matches))}"
            raise CohortError(msg)
        if within is None:
            return cls(matches)
        if matches != "nearest":
            msg = f'within={within!r} belongs to matches="nearest", and not to {matches!r}'
            raise CohortError(msg)
        try:
            days = pd.Timedelta(within).days if isinstance(within, str | dt.timedelta) else -1
        except ValueError:
            days = -1
        if days < 0:
            msg = f'within={within!r} is not a number of days: write within="3 days"'
            raise CohortError(msg)
        return cls(matches, days)

    def dates(self, table: pd.DataFrame) -> list[dt.date | str | None]:
        """Return the date of each row, or what is wrong with it; nothing where the policy needs none."""
        if self.matches != "nearest":
            return [None] * len(table)
        place = keyword_columns(table.columns, [_DATE]).get(_DATE)
        if place is None:
            msg = 'matches="nearest" needs the column StudyDate: the date from which the distance is measured'
            raise CohortError(msg)
        return [_date(cell) for cell in table.iloc[:, place].tolist()]

    def asked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table to ask with: its dates are ranges, or are not asked for."""
        if self.matches != "nearest":
            return table
        place = keyword_columns(table.columns, [_DATE])[_DATE]
        asked = table.copy()
        asked.isetitem(place, [self._range(date) for date in self.dates(table)])
        return asked

    def made(self, answer: Answer, date: dt.date | str | None) -> Answer:
        """Return the answer with the study that the row means, or with none where that cannot be decided."""
        studies = _by_study(answer.matches)
        if self.matches == "all" or len(studies) < 2:
            return answer
        reference = date if isinstance(date, dt.date) else None
        chosen = _best(studies, _RANKS[self.matches](reference)) if self.matches != "one" else []
        if len(chosen) != 1:
            return _ambiguous(answer, len(studies), len(chosen), self.matches)
        said = f"the {self.matches} of {len(studies)} studies that match"
        return replace(answer, matches=tuple(studies[chosen[0]]), advice=sentences(answer.advice or "", said))

    def _range(self, date: dt.date | str | None) -> str | None:
        if self.within is None or not isinstance(date, dt.date):
            return None
        days = dt.timedelta(days=self.within)
        return f"{date - days:%Y%m%d}-{date + days:%Y%m%d}"


Rank = Callable[[Moment], float]
_MINUTES: Final = 24 * 60
_RANKS: Final[Mapping[str, Callable[[dt.date | None], Rank]]] = {
    "newest": lambda _: lambda found: -_minutes(found),
    "oldest": lambda _: _minutes,
    "nearest": lambda date: lambda found: abs(found[0] - (date.toordinal() if date else 0)),
}


def _minutes(found: Moment) -> float:
    day, minute = found
    return day * _MINUTES + (minute or 0)


def _best(studies: Mapping[str, Sequence[Mapping[str, str]]], rank: Rank) -> list[str]:
    """Return the studies with the best rank: several, where these are equal; none, where a study has no date."""
    ranks: dict[str, float] = {}
    for uid, matches in studies.items():
        found = moment(matches[0].get(_DATE, ""), matches[0].get("StudyTime", ""))
        if found is None:
            return []
        ranks[uid] = rank(found)
    best = min(ranks.values())
    return [uid for uid, value in ranks.items() if value == best]


def _ambiguous(answer: Answer, studies: int, alike: int, matches: str) -> Answer:
    why = {0: "one of them has no date", 1: ""}.get(alike, f"{alike} of them are equally {matches}")
    said = f"{studies} studies match" + (f", and {why}" if matches != "one" else "")
    return replace(
        answer,
        outcome="ambiguous",
        error="ambiguous",
        matches=(),
        ambiguous=len(answer.matches),
        advice=sentences(said, ADVICE["ambiguous"]),
    )


def _by_study(matches: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    studies: dict[str, list[dict[str, str]]] = {}
    for match in matches:
        studies.setdefault(match.get(_UNIQUE) or match.get("PatientID", ""), []).append(match)
    return studies


def _date(cell: object) -> dt.date | str:
    if is_blank(cell):
        return 'StudyDate is blank, and matches="nearest" needs it'
    try:
        found = moment(text(cell, _DATE), "")
    except IdentifierError as error:
        return str(error)
    return dt.date.fromordinal(found[0]) if found else 'StudyDate is not one date, and matches="nearest" needs one'
