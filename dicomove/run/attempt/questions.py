"""The C-FINDs about an identifier: numbers, keys, series, instances, failures; and pauses for a silent PACS. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

from dicomove.cohort import Identifier, Level
from dicomove.columns import whole_number
from dicomove.dimse import FindResult
from dicomove.search import may_be_cut

#: SOP Instance UIDs, each with its Series Instance UID, which is empty if no answer says that it is of this study.
#: A PACS that ignores keys lists the series and instances of other patients. If its answers lack the UIDs above them,
#: nothing tells these from those of the study: dicomove counts them, and never asks for them by their UIDs.
Listed = Mapping[str, str]
Ask = Callable[[Identifier, Level, dict[str, str]], list[dict[str, str]]]
#: The keys with the number of instances, by level (PS3.4 C.3.4).
COUNT_KEYS: Final[dict[Level, str]] = {
    "PATIENT": "NumberOfPatientRelatedInstances",
    "STUDY": "NumberOfStudyRelatedInstances",
    "SERIES": "NumberOfSeriesRelatedInstances",
}
#: A question about a row: the number of its instances, or the list of them.
Question = Literal["counts", "instances"]
ALL: Final = frozenset[Question](get_args(Question))
#: After so many questions in a row without an answer, a pause begins: each of them may cost the whole ``idle_timeout``.
_MOST_IN_A_ROW: Final = 3
#: The longest pause, in multiples of the time that the last lost question took: so a run spends at most a ninth of its
#: time on lost questions.
_MOST_TIMES: Final = 8
_LONGEST_PAUSE_S: Final = 600.0


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
    """Return the PACS's values of these keys of a study, without blank ones; no keys if it does not know the study."""
    study = dict(identifier.study_keys)
    found = ask(identifier, "STUDY", dict.fromkeys(names, "") | study) if "StudyInstanceUID" in study else []
    return {name: {match[name] for match in found if match.get(name)} for name in names} if found else {}


def is_elsewhere(ask: Ask, identifier: Identifier) -> bool:
    """Tell whether a series or an instance is absent from its study at the PACS, or the study itself is."""
    return not ask(identifier, identifier.level, dict(identifier.keys))


def listed_series(ask: Ask, identifier: Identifier) -> Mapping[str, int | None]:
    """Return the series of a study, each with the count of the PACS; none if an answer does not name its study."""
    keyword = COUNT_KEYS["SERIES"]
    found = ask(identifier, "SERIES", dict(identifier.keys) | {"SeriesInstanceUID": "", keyword: ""})
    if not all(_names(match, "StudyInstanceUID", identifier.keys) for match in found):
        return {}
    return {match["SeriesInstanceUID"]: whole_number(match.get(keyword)) for match in found}


def listed_instances(ask: Ask, identifier: Identifier) -> Listed | None:
    """Return the instances that IMAGE-level C-FINDs list, series by series (PS3.4 C.4.1.2.1, no relational keys)."""
    if identifier.level == "PATIENT":
        return None
    keys = dict(identifier.keys)
    own = keys.get("SeriesInstanceUID")
    series = {own: True} if own else {}
    if not own:
        for match in ask(identifier, "SERIES", keys | {"SeriesInstanceUID": ""}):
            series[match.get("SeriesInstanceUID", "")] = _names(match, "StudyInstanceUID", identifier.keys)
    listed: dict[str, str] = {}
    for uid, is_own in series.items():
        query = {"SOPInstanceUID": ""} | keys | {"SeriesInstanceUID": uid}
        for match in ask(identifier, "IMAGE", query) if uid else ():
            is_of_study = _names(match, "StudyInstanceUID", query.items())
            is_of_series = is_own and _names(match, "SeriesInstanceUID", query.items())
            listed[match.get("SOPInstanceUID", "")] = uid if is_of_study or is_of_series else ""
    listed.pop("", None)
    return listed


def _names(match: Mapping[str, str], keyword: str, keys: Iterable[tuple[str, str]]) -> bool:
    """Tell whether an answer has the UID that was sent."""
    return match.get(keyword, "").strip() == dict(keys)[keyword]


def listed_of_patient(ask: Ask, identifier: Identifier) -> Listed | None:
    """Return the instances that IMAGE-level C-FINDs list for all studies of a patient."""
    studies = ask(identifier, "STUDY", dict(identifier.keys) | {"StudyInstanceUID": ""})
    above = identifier.keys if identifier.query_model == "PatientRoot" else ()
    listed: dict[str, str] = {}
    for uid in filter(None, (match.get("StudyInstanceUID") for match in studies)):
        study = Identifier("STUDY", identifier.query_model, (*above, ("StudyInstanceUID", uid)))
        listed |= listed_instances(ask, study) or {}
    return listed


def list_may_be_cut(listed: Listed) -> bool:
    """Tell whether the PACS may have stopped at this number of series or instances; also if it lists none at all."""
    by_series = Counter(listed.values())
    return any(map(may_be_cut, (len(listed), len(by_series), *by_series.values())))


def is_whole(listed: Listed, counts: Mapping[str, int | None] | None) -> bool:
    """Tell whether the PACS lists as many instances of each series as it counts for this series.

    Examples
    --------
    >>> is_whole({"1": "1.2", "2": "1.2"}, {"1.2": 2}), is_whole({"1": "1.2"}, {"1.2": 2}), is_whole({}, None)
    (True, False, False)
    """
    return bool(counts) and not may_be_cut(len(counts or ())) and counts == Counter(listed.values())


def why_not(found: FindResult, peer: str) -> str:
    """Return why a C-FIND failed, as a clause for a sentence."""
    if names_nothing(found):
        return "an answer of C-FIND has no UID, or not a single one"
    if found.error == "capped":
        return f"{peer} ended C-FIND with a warning ({found.status}) and may have more"
    if found.status is not None and not found.cancelled:
        return f"{peer} refused C-FIND with {found.status}"
    if found.error == "not_supported":
        return f"{peer} does not offer C-FIND"
    if was_stopped(found):
        return "C-FIND was cancelled"
    return f"C-FIND was not answered ({found.error})"


def was_stopped(found: FindResult) -> bool:
    """Whether we cancelled this C-FIND, or did not send it, because the run was stopped."""
    return found.cancelled or found.error == "cancelled"


def names_nothing(found: FindResult) -> bool:
    """Whether the PACS answered, but without usable UIDs."""
    return found.status is not None and found.error == "invalid_response"


@dataclass(frozen=True, slots=True)
class Asked:
    """One question that was sent to the PACS.

    Attributes
    ----------
    question
        The kind of question.
    lost_s
        Seconds that the run waited in vain; ``None`` if the PACS answered. A refusal is an answer.
    """

    question: Question
    lost_s: float | None = None


class Asking:
    """Decides which questions may be sent now. An answer, also a refusal, ends the pause.

    `now` is the time in seconds of the monotonic clock.

    Examples
    --------
    >>> asking = Asking()
    >>> asking.learn([Asked("counts", 60.0)] * 3, now=0.0)
    >>> sorted(asking.allowed(now=59.0)), sorted(asking.allowed(now=60.0))
    (['instances'], ['counts', 'instances'])
    """

    def __init__(self) -> None:
        self._in_a_row: dict[Question, int] = {}
        self._until: dict[Question, float] = {}

    def allowed(self, now: float) -> frozenset[Question]:
        """Return the questions that may be sent."""
        return ALL - {one for one, until in self._until.items() if now < until} if self._until else ALL

    def learn(self, asked: Iterable[Asked], now: float) -> None:
        """Take note of questions, and of whether the PACS answered them."""
        for one in asked:
            if one.lost_s is None:
                self._in_a_row[one.question] = 0
                self._until.pop(one.question, None)
                continue
            in_a_row = self._in_a_row.get(one.question, 0) + 1
            self._in_a_row[one.question] = in_a_row
            if in_a_row >= _MOST_IN_A_ROW:
                times = min(2 ** (in_a_row - _MOST_IN_A_ROW), _MOST_TIMES)
                self._until[one.question] = now + min(one.lost_s * times, _LONGEST_PAUSE_S)
