"""Tables of typed UIDs, with what names their patients and requests beside them: right, mixed up or damaged."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from tests.model.words import FIRST_KEY, KEYS, LEVELS
from tests.other_patients.archive import STUDIES, Study
from tests.other_patients.cohorts import CERTAIN
from tests.other_patients.damage import OF_OBJECTS
from tests.other_patients.meaning import BLANK, UNKNOWN, Cell, plain

#: What a cell of a row is, seen from the study that its UID names.
How = Literal["own", "respelled", "blank", "other", "damaged"]
#: What may stand beside the UIDs.
BESIDE: Final = ("PatientID", "AccessionNumber", "PatientName", "PatientBirthDate")
_HEADERS: Final = {name: CERTAIN.get(name, (name,)) for name in (*KEYS, *BESIDE)} | {
    "PatientBirthDate": ("PatientBirthDate", "DOB", "date of birth")
}
#: What a cell says that cannot be read: it is nobody's.
UNREADABLE: Final = "\0"
_SUFFIX: Final = re.compile(r"[\^@&/_ -].*", re.DOTALL)


@dataclass(frozen=True)
class Typed(Cell):
    """A cell, and what it is."""

    how: How = "own"


Row = Mapping[str, Typed]


@dataclass(frozen=True)
class Table:
    """A typed table: one row of cells by key, and how its rows are to be read."""

    rows: tuple[Row, ...]
    headers: Mapping[str, str]
    level: str | None
    query_model: str

    def frame(self) -> pd.DataFrame:
        """Return it as a user has it, on an index of the user's own."""
        cells = {header: [row[name].raw for row in self.rows] for name, header in self.headers.items()}
        index = [f"line {number}" for number in range(len(self.rows))]
        return pd.DataFrame({name: pd.Series(values, index, dtype=object) for name, values in cells.items()}, index)

    def shuffled(self, name: str) -> Table:
        """Return it with one of its columns turned by one row: sorted apart from the others."""
        turned = [self.rows[number - 1][name] for number in range(len(self.rows))]
        turned = [cell if cell.how in ("blank", "damaged") else replace(cell, how="other") for cell in turned]
        rows = [{**row, name: cell} for row, cell in zip(self.rows, turned, strict=True)]
        return replace(self, rows=tuple(rows))

    def asked(self, row: Row) -> tuple[tuple[str, str], ...] | None:
        """Return the keys that a row may be moved by, as a person reads them; ``None`` where one of them is missing."""
        level = self.level or next(
            (LEVELS[at] for at in (3, 2, 1) if KEYS[at] in row and row[KEYS[at]].meaning is not BLANK), None
        )
        if level is None:
            return None
        names = KEYS[FIRST_KEY[self.query_model] : LEVELS.index(level) + 1]
        values = {name: row[name].meaning for name in names if name in row}
        found = tuple((name, plain(value)) for name, value in values.items() if isinstance(value, str))
        return found if len(found) == len(names) else None

    def groups(self) -> dict[tuple[tuple[str, str], ...], list[int]]:
        """Return the rows that ask for the same."""
        groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for number, row in enumerate(self.rows):
            if asked := self.asked(row):
                groups.setdefault(asked, []).append(number)
        return groups


def study_of(asked: Sequence[tuple[str, str]]) -> Study | None:
    """Return the study that some keys name, where they name one."""
    return next((study for study in STUDIES if study.uid == dict(asked).get("StudyInstanceUID")), None)


def instances_of(asked: Sequence[tuple[str, str]]) -> set[str]:
    """Return the SOP Instance UIDs that the archive has of some keys."""
    return {
        study.instance_uid(series)
        for study in STUDIES
        for series in range(1, study.series + 1)
        if all(study.values(series)[name] == value for name, value in asked)
    }


def claim(cell: Typed | None) -> str | None:
    """Return what a cell says; ``None`` where it says nothing that could be compared."""
    if cell is None or cell.meaning is BLANK:
        return None
    if isinstance(cell.raw, float | bool | np.bool_) and cell.meaning is UNKNOWN:  # a column of the user's own
        return None
    return plain(cell.meaning) if isinstance(cell.meaning, str) else UNREADABLE


def is_altogether_another(first: str, second: str) -> bool:
    """Tell whether two identifiers are of two patients, and no two spellings of one; a blank is no other."""
    one, other = (re.sub(r"\s", "", value.casefold()).lstrip("0") for value in (first, second))
    heads = [_SUFFIX.sub("", value.strip().casefold()).lstrip("0") for value in (first, second)]
    return bool(one and other) and one != other and heads[0] != other and heads[1] != one


# ---------------------------------------------------------------------------------------------------------- strategies

#: Mostly the number of the patient, or what tells of a person where no number does.
_COLUMNS: Final = (
    *(["PatientID"], ["PatientID"], ["PatientID", "AccessionNumber"], ["PatientID", "PatientName"], list(BESIDE)),
    *(["AccessionNumber"], ["PatientName", "PatientBirthDate"], ["PatientBirthDate"], ["PatientName"]),
)
_RESPELLED: Final = {
    "PatientID": ("{} ", " {}", "0{}", "{}^^^HOSP"),
    "AccessionNumber": ("{} ", "\t{}"),
    "PatientName": ("{} ", "{}^^"),
    "PatientBirthDate": ("{} ",),
}


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """A table of one to five rows at any level, in which rows may name the same study."""
    query_model = draw(st.sampled_from(["StudyRoot", "StudyRoot", "StudyRoot", "PatientRoot"]))
    deepest = draw(st.sampled_from(["STUDY", "STUDY", "SERIES", "IMAGE"]))
    beside = draw(st.sampled_from(_COLUMNS))
    level = draw(st.sampled_from([None, None, deepest]))
    if query_model == "PatientRoot":
        beside = list(dict.fromkeys(["PatientID", *beside]))
        level = draw(st.sampled_from([level, level, "PATIENT"]))
    uids = KEYS[1 : LEVELS.index(deepest) + 1]
    some = draw(st.permutations(STUDIES))[:4]
    count = draw(st.sampled_from([3, 2, 4, 5, 1]))
    rows = draw(st.lists(_rows(some, uids, beside), min_size=count, max_size=count))
    headers = {name: draw(st.sampled_from(_HEADERS[name])) for name in draw(st.permutations([*uids, *beside]))}
    return Table(tuple(rows), headers, level, query_model)


@st.composite
def _rows(draw: st.DrawFn, some: Sequence[Study], uids: Sequence[str], beside: Sequence[str]) -> Row:
    study = draw(st.sampled_from(some))
    series = draw(st.integers(1, study.series))
    row: dict[str, Typed] = {}
    for name in uids:
        how: How = draw(st.sampled_from(["own"] * 17 + ["blank", "other", "damaged"]))
        row[name] = draw(_cells(name, study.values(series)[name], how))
    # Mostly all of it is right, or one column was sorted apart.
    wrong = draw(st.sampled_from([(), (), tuple(beside), beside[:1], beside[-1:]]))
    for name in beside:
        ways = ["other"] * 6 + ["own"] if name in wrong else ["own"] * 6 + ["respelled"] * 2 + ["blank", "damaged"]
        row[name] = draw(_cells(name, study.values(series)[name], draw(st.sampled_from(ways))))
    return row


@st.composite
def _cells(draw: st.DrawFn, name: str, own: str, how: How) -> Typed:
    if how == "blank" or (how != "other" and not own):
        return Typed(draw(st.sampled_from(["", " ", None, float("nan")])), BLANK, how="blank")
    if how == "other":
        other = draw(st.sampled_from(STUDIES)).values()[name]
        return Typed(other, other or BLANK, how="other" if other else "blank")
    if how == "respelled":
        return _respelled(draw, name, own)
    if how == "damaged" and name != "PatientBirthDate":
        cell = OF_OBJECTS[draw(st.sampled_from(sorted(OF_OBJECTS)))](own)
        is_wild = isinstance(cell.raw, str) and bool(set(cell.raw) & set("*?\\"))
        unread = is_wild and (name.endswith("UID") or cell.meaning is not BLANK)
        return Typed(cell.raw, UNKNOWN if unread else cell.meaning, how="damaged")
    return Typed(own, own)


def _respelled(draw: st.DrawFn, name: str, own: str) -> Typed:
    kind = draw(st.integers(0, 4))
    if kind == 0 and name == "PatientBirthDate":
        return Typed(dt.date.fromisoformat(own), own, how="respelled")
    if kind == 1 and name == "PatientBirthDate":
        return Typed(f"{own[:4]}-{own[4:6]}-{own[6:]}", own, how="respelled")
    if kind == 0 and name == "PatientName":
        return Typed(own.replace("^", ", "), own, how="respelled")
    if kind == 1 and name in ("PatientID", "AccessionNumber"):
        return Typed(own.swapcase(), own.swapcase(), how="respelled")
    written = draw(st.sampled_from(_RESPELLED[name])).format(own)
    return Typed(written, written, how="respelled")
