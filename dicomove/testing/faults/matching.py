"""Faults of matching: levels, lists and models that are refused; C-FINDs that answer too much or too little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydicom import Dataset

from dicomove.testing.faults.base import Fault, Refuse, Request

_MISMATCH = 0xA900


@dataclass(frozen=True)
class RefusesImageLevel(Fault):
    """No C-MOVE at IMAGE level: 0xA900 (Hyland's VNA, RSNA anonymizer's comments)."""

    def on_request(self, request: Request) -> None:
        if request.level == "IMAGE":
            raise Refuse(_MISMATCH, "IMAGE level is not supported")


@dataclass(frozen=True)
class RefusesLists(Fault):
    """No lists of UIDs in a C-MOVE: 0xA900; pynetdicom's qrscp answers 0xA801."""

    def on_request(self, request: Request) -> None:
        if any("\\" in value for name, value in request.keys.items() if name.endswith("UID")):
            raise Refuse(_MISMATCH, "lists of UIDs are not supported")


@dataclass(frozen=True)
class NeedsPatientId(Fault):
    """No C-MOVE without PatientID, and so none in Study Root: 0xA900."""

    def on_request(self, request: Request) -> None:
        if not request.keys.get("PatientID"):
            raise Refuse(_MISMATCH, "PatientID is missing")


@dataclass(frozen=True)
class _Find(Fault):
    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)


@dataclass(frozen=True)
class CapsFind(_Find):
    """C-FIND gives so many matches and then Success, without a word about the rest (pynetdicom#467: 500).

    Parameters
    ----------
    most
        Matches.
    """

    most: int = 500

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        return matches[: self.most]


@dataclass(frozen=True)
class MatchesPrefixes(_Find):
    """An accession number or PatientID matches whatever begins like it: PACS that add a wildcard by themselves."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        for keyword in ("AccessionNumber", "PatientID"):
            value = identifier.get(keyword)
            if value and request.level == "STUDY":
                setattr(identifier, keyword, f"{value}*")


@dataclass(frozen=True)
class IgnoresCase(_Find):
    """PatientID and accession number match in any case: Orthanc."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        for keyword in ("AccessionNumber", "PatientID"):
            value = str(identifier.get(keyword) or "")
            if value and request.level == "STUDY":
                setattr(identifier, keyword, "?" * len(value))

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        asked = {name: request.keys.get(name, "").casefold() for name in ("AccessionNumber", "PatientID")}
        return [
            match
            for match in matches
            if all(not text or str(match.get(name, "")).casefold() == text for name, text in asked.items())
        ]


@dataclass(frozen=True)
class IgnoresKeys(_Find):
    """Keys that the PACS does not know are ignored, and everything of the patient or day comes back."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        for keyword in ("ModalitiesInStudy", "StudyDescription", "AccessionNumber"):
            if keyword in identifier:
                setattr(identifier, keyword, "")


@dataclass(frozen=True)
class WrongCharacterSet(_Find):
    """Names are UTF-8, and Specific Character Set says Latin-1."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            for element in match:
                if (element.VR in ("PN", "LO", "SH") and isinstance(element.value, str)) or element.VR == "PN":
                    element.value = str(element.value).encode().decode("latin_1")
            match.SpecificCharacterSet = "ISO_IR 100"
        return matches


@dataclass(frozen=True)
class NoRelatedCounts(_Find):
    """C-FIND does not give the numbers of related series and instances: dcmqrscp, and many more; they are optional."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            for keyword in [element.keyword for element in match if element.keyword.startswith("NumberOf")]:
                del match[keyword]
        return matches
