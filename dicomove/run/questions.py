"""The C-FINDs about an identifier: numbers, values of keys, series, instances."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from dicomove.cohort import Identifier, Level, has_control_characters, is_single
from dicomove.columns import whole_number

#: SOP Instance UIDs, each with its Series Instance UID.
Listed = Mapping[str, str]
Ask = Callable[[Identifier, Level, dict[str, str]], list[dict[str, str]]]
#: The keys with the number of instances, by level (PS3.4 C.3.4).
COUNT_KEYS: Final[dict[Level, str]] = {
    "PATIENT": "NumberOfPatientRelatedInstances",
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
}


def related_instances(ask: Ask, identifier: Identifier) -> int | None:
    """Return the count of the PACS: 0 if nothing matches, ``None`` if it gives no number."""
    if identifier.level == "IMAGE":
        return None
    keyword = COUNT_KEYS[identifier.level]
    found = ask(identifier, identifier.level, dict(identifier.keys) | {keyword: ""})
    if not found:
        return 0
    numbers = [whole_number(match.get(keyword)) for match in found]
    return None if None in numbers else sum(number or 0 for number in numbers)


def values_of_study(ask: Ask, identifier: Identifier, names: Collection[str]) -> Mapping[str, Collection[str]]:
    """Return the PACS's values of these keys of a study, without blank ones."""
    study = dict(identifier.study_keys)
    found = ask(identifier, "STUDY", dict.fromkeys(names, "") | study) if "StudyInstanceUID" in study else []
    return {name: {match[name] for match in found if match.get(name)} for name in names}


def is_elsewhere(ask: Ask, identifier: Identifier) -> bool:
    """Tell whether a series or an instance is absent from its study at the PACS, or the study itself is."""
    return not ask(identifier, identifier.level, dict(identifier.keys))


def listed_series(ask: Ask, identifier: Identifier) -> Mapping[str, int | None]:
    """Return the series of a study, each with the count of the PACS."""
    keyword = COUNT_KEYS["SERIES"]
    found = ask(identifier, "SERIES", dict(identifier.keys) | {"SeriesInstanceUID": "", keyword: ""})
    return {match["SeriesInstanceUID"]: whole_number(match.get(keyword)) for match in found}


def listed_instances(ask: Ask, identifier: Identifier) -> Listed | None:
    """Return the instances that IMAGE-level C-FINDs list, series by series (PS3.4 C.4.1.2.1, no relational keys)."""
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
    """Return the instances that IMAGE-level C-FINDs list for all studies of a patient."""
    studies = ask(identifier, "STUDY", dict(identifier.keys) | {"StudyInstanceUID": ""})
    above = identifier.keys if identifier.query_model == "PatientRoot" else ()
    listed: dict[str, str] = {}
    for uid in filter(None, (match.get("StudyInstanceUID") for match in studies)):
        study = Identifier("STUDY", identifier.query_model, (*above, ("StudyInstanceUID", uid)))
        listed |= listed_instances(ask, study) or {}
    return listed


def names_one(value: str) -> bool:
    """Tell whether the value of a unique key is one value: no wildcard, no list, not blank."""
    return bool(value.strip()) and is_single(value) and not has_control_characters(value)
