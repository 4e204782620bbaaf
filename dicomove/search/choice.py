"""Which studies a row means: all, one, the newest, the nearest; also those with other zeros in their number. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import pandas as pd

from dicomove.cohort import criterion, doubt, is_blank, keyword_columns, text
from dicomove.errors import CohortError, IdentifierError, check_word
from dicomove.outcome import sentences
from dicomove.search.answers import several_patients
from dicomove.search.parts.spans import moment
from dicomove.search.row import Answer
from dicomove.words import ADVICE

#: The policies of ``matches=``.
Matches = Literal["all", "one", "newest", "oldest", "nearest"]

_DATE: Final = "StudyDate"
_TIME: Final = "StudyTime"
_DAY_S: Final = 86_400
_UNIQUE: Final = "StudyInstanceUID"

#: The keys that may match loosely. PatientID may not: with another number of zeros, it is often another patient.
_LOOSE_KEYS: Final = ("AccessionNumber",)


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
        """Return the choice for these keywords of `find`.

        Raises
        ------
        CohortError
            One of them is wrong.
        """
        check_word("matches", matches, get_args(Matches), CohortError)
        if within is None:
            return cls(matches)
        if matches != "nearest":
            msg = f'within={within!r} belongs to matches="nearest", and not to {matches!r}'
            raise CohortError(msg)
        days = _whole_days(within)
        if days is None:
            problem = "has no unit" if isinstance(within, int | float) else "is not a whole number of days"
            msg = f'within={within!r} {problem}: write within="3 days"'
            raise CohortError(msg)
        return cls(matches, days)

    def dates(self, table: pd.DataFrame) -> list[dt.date | str | None]:
        """Return the date of each row, or its error; nothing if the policy needs no dates."""
        if self.matches != "nearest":
            return [None] * len(table)
        place = keyword_columns(table.columns, [_DATE]).get(_DATE)
        if place is None:
            msg = 'matches="nearest" needs the column StudyDate: the date from which the distance is measured'
            raise CohortError(msg)
        dates = [_date(cell) for cell in table.iloc[:, place].tolist()]
        times = keyword_columns(table.columns, [_TIME]).get(_TIME)
        if times is None:
            return list(dates)
        return [_with_time(date, cell) for date, cell in zip(dates, table.iloc[:, times].tolist(), strict=True)]

    def asked(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table to ask with: its dates become ranges, or are left out."""
        if self.matches != "nearest":
            return table
        places = keyword_columns(table.columns, [_DATE, _TIME])
        asked = table.copy()
        asked.isetitem(places[_DATE], [self._range(date) for date in self.dates(table)])
        if _TIME in places:
            asked.isetitem(places[_TIME], [None] * len(table))
        return asked

    def made(self, answer: Answer, date: dt.date | str | None) -> Answer:
        """Return the answer with the study that the row means, or without one if nothing decides.

        A date does not decide between studies of several patients.
        """
        studies = _by_study(answer.matches)
        if self.matches == "all" or len(studies) < 2:
            return answer
        if self.matches != "one" and answer.several_patients:
            return _ambiguous(answer, len(studies), "they are of more than one patient")
        reference = date if isinstance(date, dt.date) else None
        chosen = _best(studies, self.matches, reference) if self.matches != "one" else []
        if len(chosen) != 1:
            may_help = self.matches == "nearest" and bool(chosen) and not isinstance(reference, dt.datetime)
            times = _times(studies, chosen).values()
            equal = f"{len(chosen)} of them are equally {self.matches}" if chosen else "one of them has no date"
            why = "" if self.matches == "one" else equal
            return _ambiguous(answer, len(studies), why, by_time=may_help and None not in times)
        said = f"the {self.matches} of {len(studies)} studies that match"
        return replace(answer, matches=tuple(studies[chosen[0]]), advice=sentences(answer.advice or "", said))

    def _range(self, date: dt.date | str | None) -> str | None:
        if self.within is None or not isinstance(date, dt.date):
            return None
        days = dt.timedelta(days=self.within)
        return f"{date - days:%Y%m%d}-{date + days:%Y%m%d}"


def _whole_days(within: object) -> int | None:
    """Return a number of days; ``None`` for other text, and for hours: dates of studies are compared by days.

    Examples
    --------
    >>> _whole_days("3 days"), _whole_days("48 hours"), _whole_days("12 hours"), _whole_days("-1 day")
    (3, 2, None, None)
    """
    try:
        found = pd.Timedelta(within) if isinstance(within, str | dt.timedelta) else None
    except ValueError:
        return None
    return found.days if found is not None and found.days >= 0 and found == pd.Timedelta(days=found.days) else None


def _best(studies: Mapping[str, Sequence[Mapping[str, str]]], matches: Matches, row: dt.date | None) -> list[str]:
    """Return the best studies: several if they are equal, none if a study has no date.

    First the days decide; among studies of the same day, the times, if all of them have one. For the nearest, the row
    needs a time, too.
    """
    days: dict[str, int] = {}
    for uid, found in studies.items():
        known = moment(found[0].get(_DATE, ""), "")
        if known is None:
            return []
        days[uid] = known[0]
    best = _closest(days, matches, row.toordinal() if row else 0)
    times = _times(studies, best)
    if len(best) < 2 or None in times.values() or (matches == "nearest" and not isinstance(row, dt.datetime)):
        return best
    at = row.toordinal() * _DAY_S + _of_day(row.time()) if isinstance(row, dt.datetime) else 0.0
    return _closest({uid: days[uid] * _DAY_S + (times[uid] or 0.0) for uid in best}, matches, at)


def _times(studies: Mapping[str, Sequence[Mapping[str, str]]], uids: Iterable[str]) -> dict[str, float | None]:
    return {uid: _seconds(studies[uid][0].get(_TIME, "")) for uid in uids}


def _closest(moments: Mapping[str, float], matches: Matches, at: float) -> list[str]:
    """Return the studies with the newest or oldest moment, or the one nearest to another moment."""
    wanted = {"newest": max(moments.values()), "oldest": min(moments.values()), "nearest": at}[matches]
    distances = {uid: abs(when - wanted) for uid, when in moments.items()}
    return [uid for uid, distance in distances.items() if distance == min(distances.values())]


def _seconds(time: str) -> float | None:
    """Return the seconds of a day, or ``None`` for an invalid time.

    Examples
    --------
    >>> _seconds("093015.5"), _seconds("09:30"), _seconds("")
    (34215.5, 34200.0, None)
    """
    clock = time.replace(":", "").strip()
    digits, _, fraction = clock.partition(".")
    if len(digits) not in (2, 4, 6) or not digits.isdigit() or (fraction and not fraction.isdigit()):
        return None
    hours, minutes, seconds = (int(digits[place : place + 2] or "0") for place in (0, 2, 4))
    return hours * 3600.0 + minutes * 60 + seconds + float(f"0.{fraction or 0}")


def _of_day(time: dt.time) -> float:
    return time.hour * 3600.0 + time.minute * 60 + time.second + time.microsecond / 1e6


def _with_time(date: dt.date | str, cell: object) -> dt.date | str:
    """Return the date together with the time of the row, if it has one."""
    if isinstance(date, str) or is_blank(cell):
        return date
    try:
        begin = criterion(cell, _TIME).partition("-")[0]
    except IdentifierError as error:
        return str(error)
    seconds = _seconds(begin) if "-" not in text(cell, _TIME) else None
    if seconds is None:
        return 'StudyTime is not one time, and matches="nearest" needs one, or none'
    return dt.datetime.combine(date, dt.time()) + dt.timedelta(seconds=seconds)


def _ambiguous(answer: Answer, studies: int, why: str, *, by_time: bool = False) -> Answer:
    said = f"{studies} studies match" + (f", and {why}" if why else "")
    return replace(
        answer,
        outcome="ambiguous",
        error="ambiguous",
        matches=(),
        ambiguous=len(answer.matches),
        advice=sentences(said, "A StudyTime in the row would decide." if by_time else ADVICE["ambiguous"]),
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
        written = criterion(cell, _DATE)
    except IdentifierError as error:
        return str(error)
    unlikely = doubt(written, _DATE)
    if unlikely:
        return f'StudyDate is {unlikely}, and matches="nearest" measures from it'
    found = moment(written, "") if "-" not in written else None
    return dt.date.fromordinal(found[0]) if found else 'StudyDate is not one date, and matches="nearest" needs one'


def checked_loose(loose: Iterable[str]) -> tuple[str, ...]:
    """Return the keys that may match loosely.

    Raises
    ------
    CohortError
        One of them may not match loosely.
    """
    names = (loose,) if isinstance(loose, str) or not isinstance(loose, Iterable) else tuple(loose)
    wrong = [name for name in names if name not in _LOOSE_KEYS]
    if wrong:
        msg = f"loose={wrong[0]!r}: only {', '.join(_LOOSE_KEYS)} may match with other zeros or blanks"
        raise CohortError(msg)
    return names


def loose_table(table: pd.DataFrame, names: Sequence[str], rows: Sequence[int]) -> pd.DataFrame:
    """Return rows of a table whose keys are wildcards for other zeros and blanks.

    Examples
    --------
    >>> loose_table(pd.DataFrame({"accession": ["A1", "00 123"]}), ["AccessionNumber"], [1])
      accession
    1     *123*
    """
    made = table.iloc[list(rows)].copy()
    for place in keyword_columns(table.columns, names).values():
        made.isetitem(place, [_wildcard(cell) for cell in made.iloc[:, place].tolist()])
    return made


def ask_loosely(
    table: pd.DataFrame,
    answers: Sequence[Answer],
    names: Sequence[str],
    ask: Callable[[pd.DataFrame], Sequence[Answer]],
) -> list[Answer]:
    """Return the answers; for rows without a match, those of loose searches.

    Parameters
    ----------
    table
        The cohort.
    answers
        The answers to its rows.
    names
        The keys that may match loosely.
    ask
        Asks for the rows of a table.
    """
    places = keyword_columns(table.columns, names)
    cells = {name: table.iloc[:, place].tolist() for name, place in places.items()}
    rows = [
        row
        for row, answer in enumerate(answers)
        if answer.outcome == "empty" and any(not is_blank(found[row]) for found in cells.values())
    ]
    made = list(answers)
    for row, answer in zip(rows, ask(loose_table(table, names, rows)) if rows else (), strict=True):
        found = _alike(answer, {name: column[row] for name, column in cells.items()})
        if found.matches:
            made[row] = found
    return made


def _alike(answer: Answer, asked: Mapping[str, object]) -> Answer:
    """Return the answer to a loose search with only the matches that differ in zeros and blanks alone.

    Examples
    --------
    >>> found = ({"AccessionNumber": "123"}, {"AccessionNumber": "1230"})
    >>> _alike(Answer("matched", found), {"AccessionNumber": "00123"}).matches
    ({'AccessionNumber': '123'},)
    """
    kept = tuple(
        match
        for match in answer.matches
        if all(_plain(match.get(name)) == _plain(cell) for name, cell in asked.items() if not is_blank(cell))
    )
    if not kept:
        return replace(answer, matches=())
    different = [name for name, cell in asked.items() if any(match.get(name) != str(cell).strip() for match in kept)]
    said = f"{' and '.join(different)} differs in zeros or blanks" if different else ""
    several = several_patients(kept)
    return replace(
        answer,
        matches=kept,
        advice=sentences(said, several or "", answer.advice or "") or None,
        loose=", ".join(different) or None,
        several_patients=several is not None,
    )


def _wildcard(cell: object) -> object:
    if is_blank(cell):
        return cell
    parts = [part.strip().lstrip("0") for part in re.findall(r"[0-9]+|[^0-9]+", str(cell))]
    return f"*{'*'.join(filter(None, parts)) or '0'}*"


def _plain(value: object) -> str:
    """Return a value without blanks, and without zeros before its numbers."""
    text = "".join(str(value or "").split()).casefold()
    return re.sub(r"[0-9]+", lambda found: found[0].lstrip("0") or "0", text)
