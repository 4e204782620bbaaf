"""`FindScu`: C-FIND (PS3.4 C.4.1), with its answers as plain text."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from dicomove.cohort import (
    NOT_ASCII,
    UNIQUE_KEYS,
    check_query,
    has_other_letters,
    keyword,
    parse_level,
    parse_query_model,
    unsafe,
)
from dicomove.dimse.charset import decode
from dicomove.dimse.data_sets import decode_match, encode_identifier, split_charset
from dicomove.dimse.messages import C_FIND_RQ, Message
from dicomove.dimse.operation import DimseOperation
from dicomove.dimse.presentation_contexts import FIND
from dicomove.dimse.scu import Canceller, Scu, hexadecimal
from dicomove.errors import AssociationError, IdentifierError, InvalidResponse
from dicomove.events import notify
from dicomove.outcome import CANCELLED, advice_on, category, find_error, sentences

#: Archives fill these in, even in an answer that only repeats the query.
_NOT_ASKED_FOR: Final = {"SpecificCharacterSet", "RetrieveAETitle", "InstanceAvailability"}

#: So many answers, and so many for each different one, may repeat earlier ones: some archives join several databases.
_MOST_REPEATED: Final = 50_000
_MOST_COPIES: Final = 10

logger = logging.getLogger("dicomove.dimse")

Match = dict[str, str]


@dataclass(frozen=True, slots=True)
class FindResult:
    """The result of one C-FIND. Iterating over it yields the matches.

    Attributes
    ----------
    matches
        The matches, as dicts of DICOM keyword -> text. A backslash joins several values; an empty value is ``""``.
    status
        The final DIMSE Status; ``None`` if none came.
    error
        One word of the closed set of the result table; ``None`` if there was no problem.
    advice
        One line for a person.
    error_comment
        The PACS's own words.
    cancelled
        Whether C-CANCEL was sent.
    sent
        Whether the C-FIND was sent.
    character_sets
        The different Specific Character Sets that the matches declare, as the PACS spells them.
    without_identifier
        The number of pending responses without an identifier. Each announces a match, and does not tell it.
    """

    matches: tuple[Match, ...] = field(repr=False)
    status: str | None
    error: str | None = None
    advice: str | None = None
    error_comment: str | None = None
    cancelled: bool = False
    sent: bool = True
    character_sets: tuple[str, ...] = ()
    without_identifier: int = 0

    def __iter__(self) -> Iterator[Match]:
        return iter(self.matches)

    def __len__(self) -> int:
        return len(self.matches)


def with_announced(found: FindResult) -> FindResult:
    """Return a result with an empty match for each match that the PACS announced and did not tell."""
    return replace(found, matches=(*found.matches, *({} for _ in range(found.without_identifier))))


class FindScu(Scu):
    """Asks one PACS with C-FIND and C-ECHO.

    Parameters
    ----------
    pacs
        The PACS.
    verbose
        Show what happens on the network in the log.

    Examples
    --------
    >>> from dicomove import FindScu
    >>> from dicomove.testing import demo_pacs
    >>> with demo_pacs() as pacs, FindScu(pacs) as scu:
    ...     found = scu.find_studies({"AccessionNumber": "A0010", "StudyDescription": ""})
    >>> len(found)
    1
    """

    def find_studies(
        self,
        query: Mapping[str, object],
        *,
        query_model: str = "StudyRoot",
        on_match: Callable[[Match], object] | None = None,
        total_timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> FindResult:
        """Send one C-FIND, at the level that the query names, and return its matches.

        The result contains a problem of the network or of the PACS, with the matches that came before it.

        Parameters
        ----------
        query
            Keys by keyword or by tag (``"00100020"``, ``"(0010,0020)"``); ``""`` asks for a value. Other values are
            sent as they are: a date is ``"20240131"``. The unique key of the level is always asked for. Without
            ``QueryRetrieveLevel`` the level is ``STUDY``.
        query_model
            ``"StudyRoot"`` or ``"PatientRoot"``.
        on_match
            Called with each match as it comes.
        total_timeout
            Seconds for the whole exchange; ``None`` is no limit.
        stop
            Cancels the C-FIND once it is set.

        Raises
        ------
        IdentifierError
            The query cannot be sent.
        """
        keys = _find_keys(query, query_model)
        self._cancelled.clear()
        canceller = Canceller(self._cancelled, stop, total_timeout=total_timeout)
        search = _Find(keys, on_match)
        problem: AssociationError | None = None
        try:
            canceller.check()
            self._reusable.perform(
                FIND[query_model],
                lambda operation: search.run(operation, canceller),
                canceller.check,
                lambda _: canceller.may_repeat(),
            )
        except AssociationError as error:
            problem = error
        return search.result(canceller, problem)


class _Find:
    """One C-FIND while it lasts."""

    def __init__(self, keys: Mapping[str, str | list[str]], on_match: Callable[[Match], object] | None) -> None:
        self._keys, self._on_match = keys, on_match
        self._sent = False
        self._matches: list[Match] = []
        self._without_identifier = 0
        #: The number of matches whose identifier cannot be decoded. The others come all the same.
        self._unreadable = 0
        self._character_sets: set[str] = set()
        self._different: set[int] = set()
        self._final: Message | None = None

    def run(self, operation: DimseOperation, canceller: Canceller) -> None:
        canceller.operation, self._sent = operation, True
        # Some archives name the character set of their answers only if the request asks for it.
        data = encode_identifier({"SpecificCharacterSet": "", **self._keys}, operation.context.transfer_syntax)
        logger.info("C-FIND-RQ %d %s by %s", operation.message_id, self._keys["QueryRetrieveLevel"], _asked(self._keys))
        operation.send({"CommandField": C_FIND_RQ}, data, canceller.total)
        for response in operation.responses(check=canceller.check):
            self._final = response
            self._read(operation, response)
        if self._unreadable:
            message = f"answers whose identifier cannot be decoded were left out: {self._unreadable} of them"
            raise InvalidResponse(message)
        if any(category(status) == "pending" for status in operation.ignored):
            message = f"answers that name another request were left out: {len(operation.ignored)} of them"
            raise InvalidResponse(message)

    def _read(self, operation: DimseOperation, response: Message) -> None:
        """Keep the match of a response, if it has one."""
        kind, data = category(response.number("Status") or 0), response.data or b""
        if kind not in ("pending", "success", "warning") or not (data or kind == "pending"):
            return
        match: Match | None = None
        with suppress(InvalidResponse):
            match = decode_match(data, operation.context.transfer_syntax)
        if kind != "pending" and not (match and _is_answer(match, self._keys)):
            return
        if match is None:
            self._unreadable += 1
        elif match:
            if self._on_match:
                notify(self._on_match, match)
            self._matches.append(match)
            self._character_sets.add(_declared(data, operation))
        else:
            self._without_identifier += 1
        self._different.add(hash(data))
        came = len(self._matches) + self._without_identifier + self._unreadable
        if came > _MOST_REPEATED + _MOST_COPIES * len(self._different):
            message = f"the PACS repeats its answers without an end: {came} of them came"
            raise InvalidResponse(message)

    def result(self, canceller: Canceller, problem: AssociationError | None) -> FindResult:
        result = self._result(canceller, problem)
        charsets = tuple(sorted(self._character_sets - {""}))
        return replace(result, character_sets=charsets, without_identifier=self._without_identifier)

    def _result(self, canceller: Canceller, problem: AssociationError | None) -> FindResult:
        found = tuple(self._matches)
        was_cancelled = canceller.sent and not canceller.late
        if problem := canceller.late or problem:
            said = sentences(str(problem), advice_on(problem.error, str(problem), method="find"))
            return FindResult(found, None, problem.error, said, None, was_cancelled, self._sent)
        status = (self._final.number("Status") if self._final else 0) or 0
        comment = self._final.text("ErrorComment") if self._final else None
        logger.info("C-FIND-RSP %s, %d matches", hexadecimal(status), len(found))
        word = None if status == CANCELLED and canceller.sent else find_error(status)
        own = next(iter(self._keys))
        if word == "capped" and len(found) == 1 and own.endswith("UID") and not unsafe("".join(self._keys[own]), own):
            word = None  # a UID has one match
        advice = advice_on(word, method="find") if word else None
        return FindResult(found, hexadecimal(status), word, advice, comment, was_cancelled, self._sent)


def _find_keys(query: Mapping[str, object], query_model: str) -> dict[str, str | list[str]]:
    """Return the keys of a C-FIND by keyword, with the unique key of its level.

    Raises
    ------
    IdentifierError
        A key, the level or the query model is unknown, a value is not text or has letters that it cannot have, or the
        unique key of a level above is absent: a PACS would search all that it has (PS3.4 C.4.1.2.1 asks for one value).
    """
    check_query(query)
    keys: dict[str, str | list[str]] = {"QueryRetrieveLevel": "STUDY"}
    for name, value in query.items():
        known = attribute(name)
        keys[known] = _key_text(known, value)
        if has_other_letters("".join(keys[known]), known):
            message = f"{known} {NOT_ASCII}"
            raise IdentifierError(message, column=known)
    model = parse_query_model(query_model)
    level = parse_level(keys["QueryRetrieveLevel"], model)
    *above, own = UNIQUE_KEYS[model][level]
    for name in above:
        value = keys.get(name, "")
        problem = "is a list" if isinstance(value, list) and len(value) != 1 else unsafe("".join(value), name)
        if problem:
            message = f"{name} {problem}: a C-FIND at the level {level} in {model} needs one value of it"
            raise IdentifierError(message, column=name)
    # PS3.4 C.4.1.2.1 asks for the unique key of the level, too: without it, a match could not be moved.
    return {own: ""} | keys | {"QueryRetrieveLevel": level}


@lru_cache(maxsize=1024)
def attribute(name: str) -> str:
    """Return the keyword of a DICOM attribute from its keyword, its tag, or a usual spelling.

    Raises
    ------
    IdentifierError
        There is no such attribute.

    Examples
    --------
    >>> attribute("(0008,1010)"), attribute("MRN")
    ('StationName', 'PatientID')
    """
    digits = re.sub(r"[(), ]", "", name)
    found = keyword_for_tag(int(digits, 16)) if re.fullmatch(r"[0-9a-fA-F]{8}", digits) else ""
    known = keyword(name) or found or (name if tag_for_keyword(name) is not None else "")
    if not known:
        message = f"{name!r} is not a DICOM attribute: write its keyword or its tag"
        raise IdentifierError(message)
    return known


def _declared(data: bytes, operation: DimseOperation) -> str:
    charset, _ = split_charset(data, operation.context.transfer_syntax)
    return decode(charset).strip(" \0")


def _is_answer(match: Match, keys: Mapping[str, object]) -> bool:
    """Whether the identifier of a final response is a match.

    A final response should have no identifier. Some archives send the last match in it. Others repeat the query,
    without a value for the requested attributes.
    """
    return any(match.get(name) for name, value in keys.items() if not value and name not in _NOT_ASKED_FOR)


def _key_text(known: str, value: object) -> str | list[str]:
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return [str(item) for item in value]
    if value is None:
        return ""
    if not isinstance(value, str):
        message = f"{known}: a value is text, not {type(value).__name__}"
        raise IdentifierError(message, column=known)
    return str(value)


def _asked(keys: Mapping[str, object]) -> str:
    return ", ".join(name for name, value in keys.items() if value and name != "QueryRetrieveLevel") or "no key"
