"""From headers of a table to DICOM keywords.

A header is a keyword in upper or lower case (``patientid``), a tag (``(0010,0020)``), or one of the usual spellings in
`ALIASES`. Words that mean something else in a research table are keys in their exact spelling only: see `EXACT`.
dicomove knows only the attributes that matter for Query/Retrieve; every other column is the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd
from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomove.errors import CohortError

KEYWORDS: tuple[str, ...] = (
    "QueryRetrieveLevel",
    "PatientID",
    "PatientName",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "StudyID",
    "ReferringPhysicianName",
    "StudyDescription",
    "ModalitiesInStudy",
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "SeriesDate",
    "BodyPartExamined",
    "ProtocolName",
    "StationName",
    "SOPInstanceUID",
    "SOPClassUID",
    "InstanceNumber",
    "ImageType",
    "NumberOfPatientRelatedStudies",
    "NumberOfPatientRelatedSeries",
    "NumberOfPatientRelatedInstances",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
    "NumberOfSeriesRelatedInstances",
    "InstanceAvailability",
    "RetrieveAETitle",
)
"""The attributes that dicomove recognises."""

ALIASES: dict[str, tuple[str, ...]] = {
    "QueryRetrieveLevel": ("querylevel", "retrievelevel", "qrlevel"),
    "PatientID": ("patid", "mrn", "medicalrecordnumber"),
    "PatientName": ("patname", "patientsname"),
    "PatientBirthDate": ("patientsbirthdate", "patientdob", "dob", "birthdate", "dateofbirth"),
    "PatientSex": ("patientssex",),
    "StudyInstanceUID": ("studyuid", "studyinstanceid"),
    "StudyDate": ("examdate", "dateofstudy", "dateofexam"),
    "AccessionNumber": (
        *("accession", "accessionno", "accessionnr", "accessionnum", "accessionid"),
        *("accno", "accnr", "accnum", "accnumber"),
    ),
    "ReferringPhysicianName": ("referringphysician", "referringphysiciansname"),
    "ModalitiesInStudy": ("studymodalities",),
    "SeriesInstanceUID": ("seriesuid", "seriesinstanceid"),
    "SeriesNumber": ("seriesno", "seriesnr"),
    "BodyPartExamined": ("bodypart",),
    "SOPInstanceUID": ("sopuid", "sopinstanceid", "instanceuid"),
    "InstanceNumber": ("instanceno", "instancenr"),
}
"""Usual spellings, in lower case and without anything but letters and digits. A word that often means something else in
a research table (``level``, ``date``, ``id``, ``protocol``, ``acc`` for accuracy, ``patient no`` for a running number)
is not among them."""

EXACT: frozenset[str] = frozenset({"StudyID"})
"""Keywords that need their exact spelling, or a tag, because ``study_id`` often numbers the participants of a study."""


class _Vrs(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return dictionary_VR(name)


VRS: dict[str, str] = _Vrs({keyword: dictionary_VR(keyword) for keyword in KEYWORDS})
"""The Value Representation of each of `KEYWORDS`; with ``[]``, but not with ``get``, also of every other attribute."""

_BLANK_PART = re.compile(r"\s*|Unnamed: [0-9]+_level_[0-9]+")
_NOT_ALPHANUMERIC = re.compile(r"[^0-9a-z]+")
_ANY_CASE = {keyword.lower(): keyword for keyword in KEYWORDS if keyword not in EXACT}
_SPELLINGS = (
    _ANY_CASE
    | {f"{tag_for_keyword(keyword):08x}": keyword for keyword in KEYWORDS}
    | {alias: keyword for keyword, aliases in ALIASES.items() for alias in aliases}
)


def keyword(header: object) -> str | None:
    """Return the DICOM keyword that a header stands for, or None.

    Parameters
    ----------
    header
        The label of a column. Only text can be a keyword, or a tuple with a single part that is not blank: pandas makes
        such tuples from plain columns in a table with labels of two levels.

    Examples
    --------
    >>> keyword("accession#"), keyword("Study UID"), keyword("(0010,0020)")
    ('AccessionNumber', 'StudyInstanceUID', 'PatientID')
    >>> keyword("cohort arm") is None
    True
    """
    label = label_text(header)
    if label is None:
        return None
    spelling = "".join(filter(str.isprintable, label)).strip()
    return spelling if spelling in EXACT else _SPELLINGS.get(_NOT_ALPHANUMERIC.sub("", spelling.lower()))


def keyword_columns(columns: Iterable[object], wanted: Collection[str] = KEYWORDS) -> dict[str, int]:
    """Return the position of the column of each keyword.

    The keyword itself, in upper or lower case, has priority over a tag or another spelling.

    Parameters
    ----------
    columns
        The labels of a table. They may be repeated, and of any type.
    wanted
        The keywords to look for.

    Raises
    ------
    CohortError
        Two columns are the same attribute.

    Examples
    --------
    >>> keyword_columns(["mrn", "PatientID", "arm", "study uid"])
    {'PatientID': 1, 'StudyInstanceUID': 3}
    """
    labels = list(columns)
    return {name: _one(name, positions, labels) for name, positions in candidates(labels, wanted).items()}


def candidates(columns: Iterable[object], wanted: Collection[str]) -> dict[str, list[int]]:
    """Return the positions of the columns of each keyword: several, if several headers may mean it.

    Examples
    --------
    >>> candidates(["mrn", "PatientID", "accession", "acc no"], ["PatientID", "AccessionNumber"])
    {'PatientID': [1], 'AccessionNumber': [2, 3]}
    """
    labels = list(columns)
    found: dict[str, list[int]] = {}
    for position, label in enumerate(labels):
        name = keyword(label)
        if name is not None and name in wanted:
            found.setdefault(name, []).append(position)
    return {name: _exact(name, positions, labels) or positions for name, positions in found.items()}


def label_text(header: object) -> str | None:
    """Return the text of a column's label, or None if it is not text."""
    if isinstance(header, tuple):
        parts = [part for part in header if not _is_blank(part)]
        header = parts[0] if len(parts) == 1 else None
    return header if isinstance(header, str) else None


def _is_blank(part: object) -> bool:
    """Tell whether a part of a label is blank, or is the text of pandas for a blank cell of a header."""
    if isinstance(part, str):
        return _BLANK_PART.fullmatch(part) is not None
    value: Any = part
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _exact(name: str, positions: list[int], labels: list[object]) -> list[int]:
    return [position for position in positions if (label_text(labels[position]) or "").strip().lower() == name.lower()]


def _one(name: str, positions: list[int], labels: list[object]) -> int:
    if len(positions) > 1:
        names = " and ".join(repr(labels[position]) for position in positions)
        msg = f"several columns stand for {name}: {names}. Keep one of them"
        raise CohortError(msg)
    return positions[0]
