"""The matching keys and return keys of C-FIND (PS3.4 C.6)."""

from __future__ import annotations

from typing import Final

from dicomove.cohort.levels import LEVELS, UNIQUE_KEYS, Level, QueryModel

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

#: Whether the images are at hand, and which archive has them. An archive that knows neither may refuse the search.
AVAILABILITY_KEYS: Final = ("InstanceAvailability", "RetrieveAETitle")

#: What a search does without, where an archive refuses it.
OPTIONAL_KEYS: Final = (*AVAILABILITY_KEYS, "NumberOfPatientRelatedStudies")

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
