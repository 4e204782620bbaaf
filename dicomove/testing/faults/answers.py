"""Faults of answers and moves: answers without their unique key, and answers about other patients."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydicom import Dataset

from dicomove.testing.archive import Instance, tolerant
from dicomove.testing.faults.base import Fault, FindFault, Request

_KEYS: Final = {
    "PATIENT": ("PatientID", "patient_id"),
    "STUDY": ("StudyInstanceUID", "study_instance_uid"),
    "SERIES": ("SeriesInstanceUID", "series_instance_uid"),
    "IMAGE": ("SOPInstanceUID", "sop_instance_uid"),
}
_LEVELS: Final = tuple(_KEYS)


@dataclass(frozen=True)
class _ChangesAnswers(FindFault):
    """Changes each answer."""

    @tolerant()
    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            self._change(request, match)
        return matches

    def _change(self, request: Request, match: Dataset) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class FindWithoutUid(_ChangesAnswers):
    """The answers of C-FIND lack the unique key of their level, though it is required (PS3.4 C.4.1.1.3.2)."""

    def _change(self, request: Request, match: Dataset) -> None:
        del match[_KEYS[request.level][0]]


@dataclass(frozen=True)
class FindWithEmptyUid(_ChangesAnswers):
    """The answers of C-FIND have the unique key of their level without a value."""

    def _change(self, request: Request, match: Dataset) -> None:
        setattr(match, _KEYS[request.level][0], "")


@dataclass(frozen=True)
class FindWithoutUpperUids(_ChangesAnswers):
    """The answers of C-FIND lack the unique keys of the levels above: many archives do not repeat a request's keys."""

    def _change(self, request: Request, match: Dataset) -> None:
        for keyword in _keys_above(request):
            if keyword in match:
                del match[keyword]


@dataclass(frozen=True)
class FindWithEmptyUpperUids(_ChangesAnswers):
    """The answers of C-FIND have the unique keys of the levels above without a value."""

    def _change(self, request: Request, match: Dataset) -> None:
        for keyword in _keys_above(request):
            setattr(match, keyword, "")


@dataclass(frozen=True)
class FindWithWildcardUids(_ChangesAnswers):
    """The unique key in the answers of C-FIND is a wildcard. A C-MOVE with it would move the whole archive."""

    def _change(self, request: Request, match: Dataset) -> None:
        setattr(match, _KEYS[request.level][0], "*")


@dataclass(frozen=True)
class FindListsUids(_ChangesAnswers):
    """The unique key in the answers of C-FIND is a list, with another patient's UID as its second value."""

    def _change(self, request: Request, match: Dataset) -> None:
        keyword, field = _KEYS[request.level]
        other = next((one for one in _values(request, field) if one != match.get(keyword)), None)
        if other is not None and request.level != "PATIENT":
            setattr(match, keyword, [str(match.get(keyword)), other])


@dataclass(frozen=True)
class FindWithoutPatientId(_ChangesAnswers):
    """The answers of C-FIND have an empty PatientID, because a pseudonymising gateway removes it."""

    def _change(self, request: Request, match: Dataset) -> None:
        match.PatientID = ""


@dataclass(frozen=True)
class FindPadsPatientId(_ChangesAnswers):
    """The PatientID in the answers of C-FIND has blanks and a NUL around it, from a database column of fixed width."""

    def _change(self, request: Request, match: Dataset) -> None:
        if match.get("PatientID"):
            match.PatientID = f"  {match.PatientID}  \0"


@dataclass(frozen=True)
class FindFoldsPatientId(_ChangesAnswers):
    """The PatientID in the answers of C-FIND is in lower case."""

    def _change(self, request: Request, match: Dataset) -> None:
        if match.get("PatientID"):
            match.PatientID = str(match.PatientID).lower()


@dataclass(frozen=True)
class FindRepeatsAnswers(FindFault):
    """C-FIND gives each answer twice, for example because the archive joins two databases."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return [copy.deepcopy(match) for match in matches for _ in range(2)]


@dataclass(frozen=True)
class FindIgnoresAllKeys(FindFault):
    """C-FIND ignores all keys and answers with everything at its level."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        _make_acceptable(request, identifier)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return list(_everything(request))


@dataclass(frozen=True)
class FindEchoesKeys(FindFault):
    """C-FIND answers with everything at its level, and each answer falsely repeats the keys of the request."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        _make_acceptable(request, identifier)

    @tolerant()
    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        unique = _KEYS[request.level][0]
        answers = list(_everything(request))
        for answer in answers:
            for keyword, value in request.keys.items():
                if keyword != unique and keyword in answer:
                    setattr(answer, keyword, value.split("\\"))
        return answers


@dataclass(frozen=True)
class MoveIgnoresKeys(Fault):
    """C-MOVE ignores its keys and sends the whole archive: dcmqrscp and qrscp do so for an empty unique key."""

    commands: ClassVar[tuple[str, ...]] = ("C-MOVE",)

    def on_selection(self, request: Request, instances: list[Instance]) -> list[Instance]:
        wanted = {one.sop_instance_uid for one in instances}
        return [*instances, *(one for one in request.archive.instances if one.sop_instance_uid not in wanted)]


def _keys_above(request: Request) -> list[str]:
    """Return the unique keys above the level of a request in its information model."""
    first = 0 if request.query_model == "PatientRoot" else 1
    above = _LEVELS[first : max(first, _LEVELS.index(request.level))]
    return [_KEYS[level][0] for level in above]


def _values(request: Request, field: str) -> list[str]:
    return list(dict.fromkeys(getattr(one, field) for one in request.archive.instances))


@tolerant()
def _make_acceptable(request: Request, identifier: Dataset) -> None:
    """Correct an identifier that the archive would refuse, such as a level without the unique keys above it."""
    for keyword, value in _parents(request, request.archive.instances[0]):
        setattr(identifier, keyword, value)


def _parents(request: Request, instance: Instance) -> list[tuple[str, str]]:
    """Return the unique keys above the level of a request with the values of an instance."""
    fields = dict(_KEYS.values())
    return [(keyword, getattr(instance, fields[keyword])) for keyword in _keys_above(request)]


def _everything(request: Request) -> Iterator[Dataset]:
    """Yield an answer for each entity of the level of a request."""
    for parents in dict.fromkeys(tuple(_parents(request, one)) for one in request.archive.instances):
        identifier = Dataset()
        for keyword, value in _asked_for(request.keywords, parents):
            setattr(identifier, keyword, value)
        identifier.QueryRetrieveLevel = request.level
        yield from request.archive.find(identifier, request.query_model)


def _asked_for(keywords: Sequence[str], parents: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield from ((keyword, "") for keyword in keywords)
    yield from parents
