"""Query/Retrieve levels, information models, and their unique keys (PS3.4 C.6)."""

from __future__ import annotations

from typing import Literal, TypeAlias

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
