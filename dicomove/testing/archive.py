"""The archive of a PACS: instances, and the rules by which C-FIND and C-MOVE select among them.

The rules are PS3.4 C.2.2.2 (matching), C.4.1 (C-FIND) and C.4.2 (C-MOVE), for the hierarchical baseline: every level
above the query level has its unique key, with one value. Any other request raises `IdentifierMismatch`; some real PACS
would send the whole archive.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from threading import RLock
from typing import Any

from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from dicomove.dimse.data_sets import data_set_offset
from dicomove.testing.matching import WILDCARDS, DateIndex, bounds, criterion, exact, texts, universal

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")
_ROOTS = {"PatientRoot": LEVELS, "StudyRoot": LEVELS[1:]}
_UNIQUE = dict(zip(LEVELS, ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), strict=True))
_FIELDS = ("patient_id", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
_UID_OF: dict[str, Callable[[Instance], str]] = dict(zip(LEVELS, map(attrgetter, _FIELDS), strict=True))
# The attributes of each level. A query may use those of its level and of the levels above.
_ATTRIBUTES = {
    "PATIENT": "PatientID PatientName IssuerOfPatientID PatientBirthDate PatientSex OtherPatientIDs PatientComments",
    "STUDY": "StudyInstanceUID StudyDate StudyTime AccessionNumber StudyID StudyDescription ReferringPhysicianName "
    "NameOfPhysiciansReadingStudy PatientAge PatientSize PatientWeight",
    "SERIES": "SeriesInstanceUID Modality SeriesNumber SeriesDescription SeriesDate SeriesTime BodyPartExamined "
    "ProtocolName Laterality PatientPosition OperatorsName Manufacturer ManufacturerModelName InstitutionName "
    "StationName",
    "IMAGE": "SOPInstanceUID SOPClassUID InstanceNumber ImageType ContentDate ContentTime AcquisitionNumber "
    "AcquisitionDate AcquisitionTime NumberOfFrames Rows Columns BitsAllocated SliceThickness",
}
# Counting attributes: the level of the entity, and the level of what they count in it.
_COUNTED = {
    "NumberOfPatientRelatedStudies": ("PATIENT", "STUDY"),
    "NumberOfPatientRelatedSeries": ("PATIENT", "SERIES"),
    "NumberOfPatientRelatedInstances": ("PATIENT", "IMAGE"),
    "NumberOfStudyRelatedSeries": ("STUDY", "SERIES"),
    "NumberOfStudyRelatedInstances": ("STUDY", "IMAGE"),
    "NumberOfSeriesRelatedInstances": ("SERIES", "IMAGE"),
}
_LEVEL_OF = (
    {keyword: level for level, keywords in _ATTRIBUTES.items() for keyword in keywords.split()}
    | {keyword: level for keyword, (level, _) in _COUNTED.items()}
    | {"ModalitiesInStudy": "STUDY", "SOPClassesInStudy": "STUDY"}
)
_HEADER = ["SpecificCharacterSet", *(keyword for keywords in _ATTRIBUTES.values() for keyword in keywords.split())]
_NO_KEYS = {"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"}
# Exceptions of pydicom for a file that is not DICOM, is cut short, or has wrong bytes.
_CUT_SHORT = (InvalidDicomError, EOFError, OSError, BytesLengthException, struct.error, zlib.error)
_DAMAGED = (*_CUT_SHORT, NotImplementedError, ValueError)
# For each level, the allowed values of its unique key.
_Scope = dict[str, list[str]]


# pydicom warns about wildcards, and about many values in old files. Its settings are common to all threads.
_SETTINGS = RLock()


@contextmanager
def tolerant() -> Iterator[None]:
    """Let pydicom write and read values that the standard forbids."""
    with _SETTINGS, disable_value_validation():
        yield


class IdentifierMismatch(ValueError):  # noqa: N818 (the condition is the name)
    """The identifier does not fit the level or the model: Status 0xA900."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP Instance of an archive.

    Parameters
    ----------
    describe
        Returns the `header`.
    source
        Returns the bytes for `read`.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    describe: Callable[[], Dataset] = field(repr=False, compare=False)
    source: Callable[[], bytes] = field(repr=False, compare=False)

    @classmethod
    @tolerant()
    def from_file(cls, path: Path) -> Instance:
        """Return the instance of a file, unchanged."""
        header = dcmread(path, stop_before_pixels=True, specific_tags=_HEADER)
        list(header)  # decode all values now, not while an answer is sent
        offset = data_set_offset(path)
        return cls(
            sop_class_uid=_required(header, "SOPClassUID"),
            sop_instance_uid=_required(header, "SOPInstanceUID"),
            transfer_syntax=_required(header.file_meta, "TransferSyntaxUID"),
            study_instance_uid=_required(header, "StudyInstanceUID"),
            series_instance_uid=_required(header, "SeriesInstanceUID"),
            patient_id=str(header.get("PatientID") or ""),
            describe=lambda: header,
            source=lambda: path.read_bytes()[offset:],
        )

    @property
    def header(self) -> Dataset:
        """The attributes that C-FIND knows. It is shared: copy it before you change it."""
        return self.describe()

    def read(self) -> bytes:
        """Return the encoded data set, without file meta, exactly as C-STORE sends it."""
        return self.source()


class Archive:
    """Instances in memory for C-FIND and C-MOVE. It keeps only the first instance with a SOP Instance UID.

    Attributes
    ----------
    skipped
        The files that `from_folder` left out, because they are not instances.
    """

    def __init__(self, instances: Iterable[Instance], *, skipped: Sequence[Path] = ()) -> None:
        self.skipped = tuple(skipped)
        self._instances: dict[str, Instance] = {}
        self._studies: dict[str, list[Instance]] = {}
        self._patients: dict[str, list[Instance]] = {}
        for instance in instances:
            if self._instances.setdefault(instance.sop_instance_uid, instance) is instance:
                self._studies.setdefault(instance.study_instance_uid, []).append(instance)
                self._patients.setdefault(instance.patient_id, []).append(instance)

    @classmethod
    def from_folder(cls, path: Path) -> Archive:
        """Return an archive of every DICOM file below a folder, in the order of the paths."""
        instances, skipped = [], []
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            try:
                instances.append(Instance.from_file(file))
            except _DAMAGED:
                skipped.append(file)
        return cls(instances, skipped=skipped)

    @property
    def instances(self) -> Sequence[Instance]:
        """Every instance, in its original order."""
        return list(self._instances.values())

    def __len__(self) -> int:
        return len(self._instances)

    def __repr__(self) -> str:
        return f"<Archive: {len(self._patients)} patients, {len(self._studies)} studies, {len(self)} instances>"

    @tolerant()
    def find(self, identifier: Dataset, query_model: str) -> Iterator[Dataset]:
        """Answer a C-FIND: one identifier per match, with the requested and the unique keys.

        Parameters
        ----------
        identifier
            The identifier of the request: QueryRetrieveLevel and keys. A key that is unknown at this level stays empty.
        query_model
            ``"StudyRoot"`` or ``"PatientRoot"``.

        Raises
        ------
        IdentifierMismatch
            At the call, not at the first match.
        """
        *above, level = _path(identifier, query_model)
        scope = {upper: [_single(identifier, _UNIQUE[upper])] for upper in above}
        keys = [element for element in identifier if element.keyword not in _NO_KEYS]
        tests = [(key.keyword, criterion(key)) for key in keys if _known(key.keyword, level) and not universal(key)]
        entities = (_Entity(self._within, instances[0]) for instances in self._candidates(level, scope, identifier))
        matches = (entity for entity in entities if all(fits(entity.value(keyword)) for keyword, fits in tests))
        return (_answer(entity, keys, [*above, level]) for entity in matches)

    @tolerant()
    def select(self, identifier: Dataset, query_model: str) -> list[Instance]:
        """Select the instances for a C-MOVE. Only level and unique keys count; other keys are ignored.

        Parameters
        ----------
        identifier
            The identifier of the request: one value or a list of UIDs at its level, and one value at each level above.
        query_model
            ``"StudyRoot"`` or ``"PatientRoot"``.

        Raises
        ------
        IdentifierMismatch
            Level or unique keys are missing or ambiguous. The archive never guesses which patients' data to send.
        """
        *above, level = _path(identifier, query_model)
        scope = {upper: [_single(identifier, _UNIQUE[upper])] for upper in above}
        uids = texts(identifier.get(_UNIQUE[level]))
        if level == "PATIENT" or len(uids) < 2 or WILDCARDS & set("".join(uids)):
            uids = [_single(identifier, _UNIQUE[level])]
        return self._within(scope | {level: list(dict.fromkeys(uids))})

    def _within(self, scope: _Scope) -> list[Instance]:
        """Return the instances of a scope of studies or patients."""
        top, index = ("STUDY", self._studies) if "STUDY" in scope else ("PATIENT", self._patients)
        pool = [instance for uid in scope[top] for instance in index.get(uid, [])]
        rest = [(_UID_OF[level], set(uids)) for level, uids in scope.items() if level != top]
        return [instance for instance in pool if all(uid_of(instance) in uids for uid_of, uids in rest)]

    def _candidates(self, level: str, scope: _Scope, identifier: Dataset) -> Iterable[list[Instance]]:
        """Narrow down the possible matches, by the best index."""
        if level in ("SERIES", "IMAGE"):
            return _grouped(self._within(scope), level).values()
        if level == "PATIENT":
            return self._patients.values()
        if studies := texts(identifier.get("StudyInstanceUID")):
            return _pick(self._studies, studies)
        if accession := exact(identifier, "AccessionNumber"):
            return _pick(self._studies, self._accessions.get(accession, []))
        if patient := exact(identifier, "PatientID"):
            return _pick(self._studies, _grouped(self._patients.get(patient, []), "STUDY"))
        if dates := bounds(identifier, "StudyDate"):
            return self._dates.between(dates, bounds(identifier, "StudyTime"))
        return self._studies.values()

    @cached_property
    def _dates(self) -> DateIndex[list[Instance]]:
        studies = list(self._studies.values())
        headers = (one.header for one, *_ in studies)
        days = ((texts(header.get("StudyDate")), texts(header.get("StudyTime"))) for header in headers)
        return DateIndex(studies, ((day, (times or [""])[0]) for day, times in days))

    @cached_property
    def _accessions(self) -> dict[str, list[str]]:
        studies: dict[str, list[str]] = {}
        for uid, instances in self._studies.items():
            for accession in texts(instances[0].header.get("AccessionNumber")):
                studies.setdefault(accession, []).append(uid)
        return studies


class _Entity:
    """A patient, study, series or instance, described by the first of its instances."""

    def __init__(self, within: Callable[[_Scope], list[Instance]], first: Instance) -> None:
        self._within = within
        self._first = first

    @cached_property
    def header(self) -> Dataset:
        return self._first.header

    def value(self, keyword: str) -> Any:
        if keyword in _COUNTED:
            within, of = _COUNTED[keyword]
            return len(_grouped(self._members(within), of))
        if keyword == "SOPClassesInStudy":
            return sorted({instance.sop_class_uid for instance in self._members("STUDY")})
        if keyword == "ModalitiesInStudy":
            series = _grouped(self._members("STUDY"), "SERIES").values()
            return sorted({text for instances in series for text in texts(instances[0].header.get("Modality"))})
        # The unique keys do not need the header, which is expensive to make.
        level = _LEVEL_OF[keyword]
        return _UID_OF[level](self._first) if keyword == _UNIQUE[level] else self.header.get(keyword)

    def _members(self, level: str) -> list[Instance]:
        # Series count within their study; the studies of a patient do not.
        above = LEVELS[min(LEVELS.index(level), 1) : LEVELS.index(level) + 1]
        return self._within({upper: [_UID_OF[upper](self._first)] for upper in above})


def _required(dataset: Dataset, keyword: str) -> str:
    if value := dataset.get(keyword):
        return str(value)
    message = f"{keyword} is missing"
    raise InvalidDicomError(message)


def _path(identifier: Dataset, query_model: str) -> tuple[str, ...]:
    """Return the levels from the root of the model to that of the identifier."""
    levels = _ROOTS[query_model]
    level = str(identifier.get("QueryRetrieveLevel") or "").strip()
    if level not in levels:
        message = f"QueryRetrieveLevel must be one of {', '.join(levels)}, the levels of {query_model}"
        raise IdentifierMismatch(message)
    return levels[: levels.index(level) + 1]


def _single(identifier: Dataset, keyword: str) -> str:
    value = exact(identifier, keyword)
    if value is None:
        message = f"{keyword} must have exactly one value, without wildcards"
        raise IdentifierMismatch(message)
    return value


def _grouped(instances: Iterable[Instance], level: str) -> dict[str, list[Instance]]:
    groups: dict[str, list[Instance]] = {}
    for instance in instances:
        groups.setdefault(_UID_OF[level](instance), []).append(instance)
    return groups


def _pick(index: dict[str, list[Instance]], uids: Iterable[str]) -> list[list[Instance]]:
    return [index[uid] for uid in dict.fromkeys(uids) if uid in index]


def _known(keyword: str, level: str) -> bool:
    return keyword in _LEVEL_OF and LEVELS.index(_LEVEL_OF[keyword]) <= LEVELS.index(level)


@tolerant()
def _answer(entity: _Entity, keys: Iterable[DataElement], levels: Sequence[str]) -> Dataset:
    answer = Dataset()
    answer.QueryRetrieveLevel = levels[-1]
    for key in keys:
        if _known(key.keyword, levels[-1]):
            setattr(answer, key.keyword, entity.value(key.keyword))
        else:
            answer.add_new(key.tag, key.VR, key.empty_value)
    for keyword in map(_UNIQUE.__getitem__, levels):
        setattr(answer, keyword, entity.value(keyword))
    if not all(str(element.value).isascii() for element in answer):
        answer.SpecificCharacterSet = entity.header.get("SpecificCharacterSet") or "ISO_IR 192"
    return answer
