"""DICOM keywords: the headers of a table that stand for them, and the keys of each level (PS3.4 C.6).

A header is a keyword in upper or lower case (``patientid``), a tag (``(0010,0020)``), or one of the usual spellings in
`ALIASES`. Words that mean something else in a research table are keys in their exact spelling only: see `EXACT`.
dicomove knows only the attributes that matter for Query/Retrieve; every other column is the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any, Final, Literal, TypeAlias

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


Level: TypeAlias = Literal["PATIENT", "STUDY", "SERIES", "IMAGE"]
QueryModel: TypeAlias = Literal["StudyRoot", "PatientRoot"]

LEVELS: tuple[Level, ...] = ("PATIENT", "STUDY", "SERIES", "IMAGE")
"""The levels, from the top."""

QUERY_MODELS: tuple[QueryModel, ...] = ("StudyRoot", "PatientRoot")
"""The information models."""

_STUDY_ROOT: dict[Level, tuple[str, ...]] = {
    "STUDY": ("StudyInstanceUID",),
    "SERIES": ("StudyInstanceUID", "SeriesInstanceUID"),
    "IMAGE": ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
}
_PATIENT_ROOT: dict[Level, tuple[str, ...]] = {
    "PATIENT": ("PatientID",),
    **{level: ("PatientID", *keys) for level, keys in _STUDY_ROOT.items()},
}

UNIQUE_KEYS: dict[QueryModel, dict[Level, tuple[str, ...]]] = {
    "StudyRoot": _STUDY_ROOT,
    "PatientRoot": _PATIENT_ROOT,
}
"""The unique keys of each level and of the levels above it: the keys of a C-MOVE at that level."""

IDENTIFYING_KEYS: Final = (
    *("PatientID", "AccessionNumber", "PatientName", "StudyID"),
    *("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
)
"""The attributes that name patients, studies, or their series and images. All other keys only narrow a search."""

MATCHING_KEYS: dict[Level, tuple[str, ...]] = {
    "PATIENT": ("PatientID", "PatientName", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    "STUDY": (
        *("StudyInstanceUID", "AccessionNumber", "StudyDate", "StudyTime", "StudyID"),
        *("ReferringPhysicianName", "StudyDescription", "ModalitiesInStudy"),
    ),
    "SERIES": (
        *("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate"),
        *("BodyPartExamined", "ProtocolName", "StationName"),
    ),
    "IMAGE": ("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
"""The matching keys by level. In StudyRoot, the keys of the patient belong to the level STUDY."""

#: These keys tell whether images are online, and where. An archive that does not know them may refuse the search.
AVAILABILITY_KEYS: Final = ("InstanceAvailability", "RetrieveAETitle")

#: Keys that distinguish patients with the same PatientID.
PATIENT_KEYS: Final = ("IssuerOfPatientID", "PatientBirthDate")

#: Keys that a search leaves out if an archive refuses it with them.
OPTIONAL_KEYS: Final = (*AVAILABILITY_KEYS, "NumberOfPatientRelatedStudies", *PATIENT_KEYS)

_STUDY_RETURN_KEYS = (
    *("PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber", "ModalitiesInStudy", "StudyDescription"),
    *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"),
    *AVAILABILITY_KEYS,
)
_SERIES_RETURN_KEYS = (
    *(*_STUDY_RETURN_KEYS, "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription"),
    *("SeriesDate", "BodyPartExamined", "ProtocolName", "ImageType", "NumberOfSeriesRelatedInstances"),
)

RETURN_KEYS: dict[Level, tuple[str, ...]] = {
    "PATIENT": (
        *("PatientID", "NumberOfPatientRelatedStudies"),
        *("NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances"),
    ),
    "STUDY": _STUDY_RETURN_KEYS,
    "SERIES": _SERIES_RETURN_KEYS,
    "IMAGE": (*_SERIES_RETURN_KEYS, "SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
}
"""The return keys by level, with those of the levels above, because many archives give them, too. `find` asks for names
and dates of birth only if the user lists them."""


#: Only a table of `find` has all of these columns. `move` replaces only the outcome.
_COLUMNS_OF_FIND: Final = frozenset({"cohort_row", "outcome", "matches", "filtered"})


class _Vrs(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return dictionary_VR(name)


VRS: dict[str, str] = _Vrs({keyword: dictionary_VR(keyword) for keyword in KEYWORDS})
"""The Value Representation of each of `KEYWORDS`; with ``[]``, but not with ``get``, also of every other attribute."""

_BLANK_PART = re.compile(r"\s*|Unnamed: [0-9]+_level_[0-9]+")
#: Letters of other scripts count: "母のMRN" is the number of the mother.
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
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


def matching_keys(level: Level, model: QueryModel) -> tuple[str, ...]:
    """Return the matching keys of a search at a level, including the levels above."""
    keys = [name for above in levels_down_to(level, model) for name in keys_at(above, model)]
    return (*keys, "Modality") if level == "STUDY" else tuple(keys)


def levels_down_to(level: Level, model: QueryModel) -> list[Level]:
    """Return the levels of a model from its top down to one."""
    return [above for above in LEVELS[: LEVELS.index(level) + 1] if above in UNIQUE_KEYS[model]]


def keys_at(level: Level, model: QueryModel) -> tuple[str, ...]:
    """Return the matching keys of one level."""
    patient = MATCHING_KEYS["PATIENT"] if (level, model) == ("STUDY", "StudyRoot") else ()
    return (*patient, *MATCHING_KEYS[level])


def plain_label(label: object) -> object:
    """Return the label of a column, without the empty labels that pandas adds to it beside labels of several levels.

    Examples
    --------
    >>> plain_label(("outcome", "")), plain_label("outcome"), plain_label(("outcome", "first"))
    ('outcome', 'outcome', ('outcome', 'first'))
    """
    return label[0] if isinstance(label, tuple) and label and not any(label[1:]) else label


def is_found(columns: Iterable[object]) -> bool:
    """Tell by its columns whether a table comes from `find`, or from a `move` of such a table.

    Examples
    --------
    >>> is_found(["cohort_row", "mrn", "outcome", "matches", "filtered"]), is_found(["mrn", "outcome"])
    (True, False)
    """
    return {plain_label(label) for label in columns} >= _COLUMNS_OF_FIND


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
    """Return the positions of the keyword itself; in a table of `find`, of the column that `find` has added."""
    added = [position for position in positions if plain_label(labels[position]) == name] if is_found(labels) else []
    texts = [(position, (label_text(labels[position]) or "").strip().lower()) for position in positions]
    return added or [position for position, text in texts if text == name.lower()]


def _one(name: str, positions: list[int], labels: list[object]) -> int:
    if len(positions) > 1:
        names = " and ".join(repr(labels[position]) for position in positions)
        msg = f"several columns stand for {name}: {names}. Keep one of them"
        raise CohortError(msg)
    return positions[0]
