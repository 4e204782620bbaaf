"""What is asked of a PACS about what it holds: its number, the patients, the series, the instances, as C-FINDs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from dicomove.cohort import Identifier, Level, has_control_characters, is_single
from dicomove.columns import whole_number

#: SOP Instance UIDs, with the series of each.
Listed = Mapping[str, str]
Ask = Callable[[Identifier, Level, dict[str, str]], list[dict[str, str]]]
#: Where C-FIND says how many instances a level holds (PS3.4 C.3.4).
COUNT_KEYS: Final[dict[Level, str]] = {
    "PATIENT": "NumberOfPatientRelatedInstances",
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
}


def related_instances(ask: Ask, identifier: Identifier) -> int | None:
    """Return what the PACS counts; 0 where it knows nothing, ``None`` where it gives no number."""
    if identifier.level == "IMAGE":
        return None
    keyword = COUNT_KEYS[identifier.level]
    found = ask(identifier, identifier.level, dict(identifier.keys) | {keyword: ""})
    if not found:
        return 0
    numbers = [whole_number(match.get(keyword)) for match in found]
    return None if None in numbers else sum(number or 0 for number in numbers)


def values_of_study(ask: Ask, identifier: Identifier, names: Collection[str]) -> Mapping[str, Collection[str]]:
    """Return the values that the PACS tells of keys of a study; none where it leaves them blank."""
    study = dict(identifier.study_keys)
    found = ask(identifier, "STUDY", dict.fromkeys(names, "") | study) if "StudyInstanceUID" in study else []
    return {name: {match[name] for match in found if match.get(name)} for name in names}


def is_elsewhere(ask: Ask, identifier: Identifier) -> bool:
    """Tell whether the PACS has a series, or an instance, not in its study, also where it does not know the study."""
    return not ask(identifier, identifier.level, dict(identifier.keys))


def listed_series(ask: Ask, identifier: Identifier) -> Mapping[str, int | None]:
    """Return the series of a study, each with what the PACS counts."""
    keyword = COUNT_KEYS["SERIES"]
    found = ask(identifier, "SERIES", dict(identifier.keys) | {"SeriesInstanceUID": "", keyword: ""})
    return {match["SeriesInstanceUID"]: whole_number(match.get(keyword)) for match in found}


def listed_instances(ask: Ask, identifier: Identifier) -> Listed | None:
    """Return what an IMAGE-level C-FIND lists, series by series (PS3.4 C.4.1.2.1, no relational keys)."""
    if identifier.level == "PATIENT":
        return None
    keys = dict(identifier.keys)
    series = [keys.get("SeriesInstanceUID")]
    if series == [None]:
        found = ask(identifier, "SERIES", keys | {"SeriesInstanceUID": ""})
        series = [match.get("SeriesInstanceUID") for match in found]
    listed: dict[str, str] = {}
    for uid in filter(None, series):
        query = {"SOPInstanceUID": ""} | keys | {"SeriesInstanceUID": uid}
        listed |= {match.get("SOPInstanceUID", ""): uid for match in ask(identifier, "IMAGE", query)}
    listed.pop("", None)
    return listed


def listed_of_patient(ask: Ask, identifier: Identifier) -> Listed | None:
    """Return what IMAGE-level C-FINDs list of all studies of a patient."""
    studies = ask(identifier, "STUDY", dict(identifier.keys) | {"StudyInstanceUID": ""})
    above = identifier.keys if identifier.query_model == "PatientRoot" else ()
    listed: dict[str, str] = {}
    for uid in filter(None, (match.get("StudyInstanceUID") for match in studies)):
        study = Identifier("STUDY", identifier.query_model, (*above, ("StudyInstanceUID", uid)))
        listed |= listed_instances(ask, study) or {}
    return listed


def names_one(value: str) -> bool:
    """Tell whether a unique key names one thing. Neither of a wildcard nor of a list is it known how many there are."""
    return bool(value.strip()) and is_single(value) and not has_control_characters(value)
