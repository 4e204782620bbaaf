"""Faults of matching: refused levels, lists and models; C-FINDs with too many or too few answers."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

from pydicom import Dataset

from dicomove.testing.faults.base import Abort, Fault, FindFault, Refuse, Request, Response

_MISMATCH = 0xA900
_FIRST_REQUESTS = 3


@dataclass(frozen=True)
class RefusesImageLevel(Fault):
    """The PACS refuses C-MOVE at IMAGE level with 0xA900 (Hyland's VNA, RSNA anonymizer's comments)."""

    def on_request(self, request: Request) -> None:
        if request.level == "IMAGE":
            raise Refuse(_MISMATCH, "IMAGE level is not supported")


@dataclass(frozen=True)
class RefusesLists(Fault):
    """The PACS refuses lists of UIDs in a C-MOVE with 0xA900; pynetdicom's qrscp answers 0xA801."""

    def on_request(self, request: Request) -> None:
        if any("\\" in value for name, value in request.keys.items() if name.endswith("UID")):
            raise Refuse(_MISMATCH, "lists of UIDs are not supported")


@dataclass(frozen=True)
class NeedsPatientId(Fault):
    """The PACS refuses C-MOVE without PatientID, so also in Study Root, with 0xA900."""

    def on_request(self, request: Request) -> None:
        if not request.keys.get("PatientID"):
            raise Refuse(_MISMATCH, "PatientID is missing")


@dataclass(frozen=True)
class CapsFind(FindFault):
    """C-FIND gives a limited number of matches and then Success, without a hint at the rest (pynetdicom#467: 500).

    Parameters
    ----------
    most
        The limit.
    status
        The final status if there are more matches: Success, or for example 0xA700, 0xC001 or 0xFE00.
    of
        The unit of the limit. ``"request"``: all matches of a request. ``"patient"``: the matches of each patient.
        ``"series"``: the series of all matches. ``"bytes"``: the text of all matches, in units of 100 bytes.
        ``"association"``: all matches over one association.
    order
        Which matches come first: ``"stored"``, ``"oldest"``, ``"newest"``, or ``"random"``, which is another order for
        each request.
    least
        The limit varies between this number and `most`.
    later
        The limit after the first three requests.
    is_bare
        If there are more matches than the limit, the PACS gives none at all.
    aborts
        If there are more matches than the limit, the PACS aborts the association after the last match.
    pending
        The status of each match: 0xFF01 if the PACS does not support all keys.
    """

    most: int = 500
    status: int = 0x0000
    of: Literal["request", "patient", "series", "bytes", "association"] = "request"
    order: Literal["stored", "oldest", "newest", "random"] = "stored"
    least: int | None = None
    later: int | None = None
    is_bare: bool = False
    aborts: bool = False
    pending: int = 0xFF00
    _state: Counter[str] = field(default_factory=Counter, init=False, compare=False, repr=False)

    def most_matches(self, request: Request) -> int | None:
        is_plain = (self.of, self.order, self.least, self.later) == ("request", "stored", None, None)
        return self.most + 1 if is_plain else None

    def on_request(self, request: Request) -> None:
        self._state["requests"] += 1
        self._state["cut"] = 0
        if request.earlier == 0:
            self._state["given"] = 0

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        kept = self._kept(self._ordered(matches))
        self._state["cut"] = int(len(kept) < len(matches))
        kept = [] if self.is_bare and len(kept) < len(matches) else kept
        self._state["given"] += len(kept)
        return kept

    def on_response(self, request: Request, response: Response) -> Iterable[Response]:
        if not response.final:
            return [replace(response, status=self.pending)]
        if self.aborts and self._state["cut"]:
            raise Abort
        return [replace(response, status=self.status)] if self._state["cut"] else [response]

    def _ordered(self, matches: list[Dataset]) -> list[Dataset]:
        if self.order == "random":
            return random.Random(self._state["requests"]).sample(matches, len(matches))
        if self.order == "stored":
            return matches
        when = sorted(matches, key=lambda match: (str(match.get("StudyDate")), str(match.get("StudyTime"))))
        return when[::-1] if self.order == "newest" else when

    def _kept(self, matches: list[Dataset]) -> list[Dataset]:
        most = self._most()
        counts: Counter[str] = Counter()
        kept = []
        for match in matches:
            group, weight = self._weighed(match)
            counts[group] += weight
            if counts[group] <= most:
                kept.append(match)
        return kept

    def _most(self) -> int:
        if self.later is not None and self._state["requests"] > _FIRST_REQUESTS:
            return self.later
        if self.of == "association":
            return max(self.most - self._state["given"], 0)
        if self.least is not None:
            return random.Random(self._state["requests"]).randint(self.least, self.most)
        return self.most

    def _weighed(self, match: Dataset) -> tuple[str, int]:
        """Return the group that a match counts for, and its number of units."""
        match self.of:
            case "patient":
                return str(match.get("PatientID")), 1
            case "series":
                return "", int(match.get("NumberOfStudyRelatedSeries") or 1)
            case "bytes":
                return "", max(sum(len(str(element.value)) for element in match) // 100, 1)
        return "", 1


@dataclass(frozen=True)
class MatchesPrefixes(FindFault):
    """An accession number or PatientID also matches longer values that begin with it: the PACS adds a wildcard."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        for keyword in ("AccessionNumber", "PatientID"):
            value = identifier.get(keyword)
            if value and request.level == "STUDY":
                setattr(identifier, keyword, f"{value}*")


@dataclass(frozen=True)
class IgnoresCase(FindFault):
    """PatientID and accession number match regardless of upper and lower case, as in Orthanc."""

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
class IgnoresKeys(FindFault):
    """The PACS ignores keys that it does not know, and answers with everything of the patient or day."""

    def on_query(self, request: Request, identifier: Dataset) -> None:
        for keyword in ("ModalitiesInStudy", "StudyDescription", "AccessionNumber"):
            if keyword in identifier:
                setattr(identifier, keyword, "")


@dataclass(frozen=True)
class WrongCharacterSet(FindFault):
    """Names are UTF-8, but Specific Character Set says Latin-1."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            for element in match:
                if (element.VR in ("PN", "LO", "SH") and isinstance(element.value, str)) or element.VR == "PN":
                    element.value = str(element.value).encode().decode("latin_1")
            match.SpecificCharacterSet = "ISO_IR 100"
        return matches


@dataclass(frozen=True)
class NoRelatedCounts(FindFault):
    """C-FIND does not give the optional numbers of related series and instances: dcmqrscp, and many other PACS."""

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            for keyword in [element.keyword for element in match if element.keyword.startswith("NumberOf")]:
                del match[keyword]
        return matches


@dataclass(frozen=True)
class ReportsNearline(Fault):
    """C-FIND says that studies are on a slow medium (Instance Availability), and C-MOVE waits until they are fetched.

    Parameters
    ----------
    availability
        ``NEARLINE``, ``OFFLINE`` or ``UNAVAILABLE``.
    silence_s
        Seconds before the first response of a C-MOVE.
    studies
        The Study Instance UIDs on the slow medium; empty means all studies. The others are ``ONLINE``.
    """

    availability: str = "NEARLINE"
    silence_s: float = 0.0

    commands: ClassVar[tuple[str, ...]] = ("C-FIND", "C-MOVE", "C-GET")

    def concerns(self, request: Request) -> bool:
        return request.command == "C-FIND" or super().concerns(request)

    def on_request(self, request: Request) -> None:
        if request.command != "C-FIND":
            time.sleep(self.silence_s)

    def on_matches(self, request: Request, matches: list[Dataset]) -> list[Dataset]:
        for match in matches:
            if "InstanceAvailability" in match:
                is_slow = not self.studies or match.get("StudyInstanceUID") in self.studies
                match.InstanceAvailability = self.availability if is_slow else "ONLINE"
                match.RetrieveAETitle = "REHEARSAL"
        return matches


@dataclass(frozen=True)
class RefusesAvailability(Fault):
    """The PACS refuses a C-FIND that asks for InstanceAvailability, with 0xC000: it does not know the key."""

    commands: ClassVar[tuple[str, ...]] = ("C-FIND",)

    def on_query(self, request: Request, identifier: Dataset) -> None:
        if "InstanceAvailability" in identifier:
            raise Refuse(0xC000, "InstanceAvailability is not supported")
