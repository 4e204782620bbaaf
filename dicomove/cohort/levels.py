"""Query/Retrieve levels, information models, and their keys (PS3.4 C.6): unique keys, matching keys, return keys."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from dicomove.cohort.values import EDGES
from dicomove.errors import IdentifierError

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


def parse_query_model(value: object) -> QueryModel:
    """Return the named query model.

    Raises
    ------
    IdentifierError
        There is no such model.
    """
    for model in QUERY_MODELS:
        if value == model:
            return model
    msg = f"query_model is one of {', '.join(QUERY_MODELS)}"
    raise IdentifierError(msg)


def parse_level(value: object, query_model: QueryModel) -> Level:
    """Return the named level, in upper or lower case, even with blanks around it.

    Raises
    ------
    IdentifierError
        There is no such level, or the model does not have it.

    Examples
    --------
    >>> parse_level(" study", "StudyRoot")
    'STUDY'
    """
    word = value.strip(EDGES).upper() if isinstance(value, str) else None
    level = next((level for level in LEVELS if level == word), None)
    if level is None:
        hint = " (an instance is retrieved at the level IMAGE)" if word == "INSTANCE" else ""
        msg = f"the query level is one of {', '.join(LEVELS)}{hint}"
        raise IdentifierError(msg, column="QueryRetrieveLevel")
    if level not in UNIQUE_KEYS[query_model]:
        msg = f'{query_model} has no level {level}: use query_model="PatientRoot"'
        raise IdentifierError(msg, column="QueryRetrieveLevel")
    return level


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
