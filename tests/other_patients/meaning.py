"""What a person reads in a cell, and which patients a row of such cells names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final

from tests.other_patients.archive import STUDIES, Study

LEVELS: Final = ("PATIENT", "STUDY", "SERIES", "IMAGE")
#: The level of each key that names something; dates and modalities only narrow a search.
IDENTIFYING: Final = {
    "PatientID": "PATIENT",
    "PatientName": "PATIENT",
    "AccessionNumber": "STUDY",
    "StudyID": "STUDY",
    "StudyInstanceUID": "STUDY",
    "SeriesInstanceUID": "SERIES",
    "SOPInstanceUID": "IMAGE",
}


class Nothing(Enum):
    """What a cell holds that names nothing."""

    BLANK = "blank"
    UNKNOWN = "unknown"


Meaning = str | Nothing
BLANK, UNKNOWN = Nothing.BLANK, Nothing.UNKNOWN


@dataclass(frozen=True)
class Cell:
    """What stands in a table, and what a person who sees it takes it for.

    ``certain`` is False where the header is one that the product may or may not know: such a cell can name a patient,
    and nothing may be expected of it.
    """

    raw: object
    meaning: Meaning
    certain: bool = True


Row = Mapping[str, Cell]


def named(row: Row, level: str) -> set[str]:
    """Return the UIDs of the studies that a row names: all its certain keys are theirs, and at least one names them."""
    keys = {name: cell for name, cell in row.items() if name in IDENTIFYING and _reaches(name, level)}
    if any(cell.certain and cell.meaning is UNKNOWN for cell in keys.values()):
        return set()
    certain = _named_by(keys, certain=True)
    if certain:
        return set.intersection(*certain)
    return set().union(*_named_by(keys, certain=False))


def _named_by(keys: Row, *, certain: bool) -> list[set[str]]:
    """Return what each key names by itself."""
    known = [(name, cell.meaning) for name, cell in keys.items() if cell.certain is certain]
    return [
        {study.uid for study in STUDIES if _is(study, name, value)} for name, value in known if isinstance(value, str)
    ]


def patients(uids: Sequence[str] | set[str]) -> set[str]:
    """Return the patients of studies."""
    return {study.patient for study in STUDIES if study.uid in uids}


def _reaches(name: str, level: str) -> bool:
    """A key of a lower level than is asked for says nothing there; in Study Root, the patient is the study's."""
    return LEVELS.index(IDENTIFYING[name]) <= max(LEVELS.index(level), 0)


def _is(study: Study, name: str, value: str) -> bool:
    asked = plain(value)
    there = [study.values(series)[name] for series in range(1, study.series + 1)]
    if name == "PatientName":
        return any(fnmatchcase(_name(one), _pattern(_name(asked))) for one in there)
    if name.endswith("UID"):
        return any(one in [part.strip() for part in asked.split("\\")] for one in there)
    return any(fnmatchcase(one, _pattern(asked)) for one in there)


def plain(text: str) -> str:
    """Return a text as a person sees it: without what is invisible, without blanks around it, look-alikes alike."""
    folded = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKE)
    visible = "".join(one for one in folded if unicodedata.category(one) not in ("Cf", "Cc"))
    return visible.strip()


def _name(name: str) -> str:
    return re.sub(r"[\s^]+$", "", re.sub(r"\s*\^\s*", "^", name)).casefold()


def _pattern(value: str) -> str:
    return value.replace("[", "[[]")


#: Cyrillic capitals.
_LOOK_ALIKE: Final = str.maketrans("\u0410\u0412\u0421\u0415\u041d", "ABCEH")
