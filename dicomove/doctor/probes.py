"""Functions that test the network and the PACS. They return a failure as an answer, and do not raise it."""

from __future__ import annotations

import re
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product
from typing import Final

import pandas as pd
from pydicom.uid import UID, generate_uid

from dicomove.cohort import UNIQUE_KEYS, unsafe
from dicomove.dimse import FindScu, MoveScu
from dicomove.dimse.find import Match, with_announced
from dicomove.dimse.opening import speaks_tls
from dicomove.dimse.presentation_contexts import GET, SERVICES
from dicomove.dimse.reusable_association import ReusableAssociation
from dicomove.doctor.evidence import KEYS_IGNORED, Answer, Arrival, Language, Port, Search
from dicomove.errors import AssociationError, DicomoveWarning, StatusError
from dicomove.move import move
from dicomove.pacs import Pacs
from dicomove.receiver import Receiver
from dicomove.receiver.pacs_entry import route

#: A PACS that gives more answers than this has no limit that matters.
ENOUGH: Final = 1000
_LONGEST_SEARCH_S: Final = 60.0
_LONGEST_MOVE_S: Final = 120.0
_LONGEST_GUESS_S: Final = 3.0
_HTTP: Final = b"HEAD / HTTP/1.0\r\n\r\n"
_UIDS: Final = UNIQUE_KEYS["StudyRoot"]["IMAGE"]
#: An AE title that no PACS knows.
_NOWHERE: Final = "DICOMOVE-NOWHERE"


def addresses(pacs: Pacs) -> tuple[str, ...]:
    """Return the addresses of the host of a PACS."""
    try:
        found = socket.getaddrinfo(pacs.host, pacs.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def port(pacs: Pacs) -> tuple[Port, str | None]:
    """Return the state of the port, and the address from which this machine connects to it."""
    try:
        with socket.create_connection((pacs.host, pacs.port), pacs.connect_timeout) as sock:
            return "open", str(sock.getsockname()[0])
    except ConnectionRefusedError:
        return "refused", own_address(pacs)
    except TimeoutError:
        return "timeout", own_address(pacs)
    except OSError:
        return "unreachable", own_address(pacs)


def own_address(pacs: Pacs) -> str | None:
    """Return the address from which this machine would connect to a PACS, without sending anything."""
    found = route(pacs.host)
    return found.own_address if found else None


def language(pacs: Pacs) -> Language:
    """Return the protocol of a port that does not answer A-ASSOCIATE-RQ."""
    with suppress(OSError), _connected(pacs) as sock:
        sock.sendall(_HTTP)
        if sock.recv(5) == b"HTTP/":
            return "HTTP"
    return "TLS" if speaks_tls(pacs) else "unknown"


def offered(pacs: Pacs) -> tuple[Answer, frozenset[str]]:
    """Return the answer to A-ASSOCIATE-RQ, and the services that the PACS accepts."""
    services = {**SERVICES, **{uid: f"{model} GET" for model, uid in GET.items()}}
    with closing(ReusableAssociation(pacs, services)) as association:
        try:
            return Answer(), association.offered()
        except AssociationError as error:
            return _problem(error), frozenset()


def titles_in_other_case(pacs: Pacs) -> tuple[str, str] | None:
    """Return the two AE titles in upper or lower case, if the PACS accepts an association with them."""
    had = (pacs.called_ae_title, pacs.calling_ae_title)
    for called, calling in product(*(dict.fromkeys((title, title.upper(), title.lower())) for title in had)):
        where = pacs.address.rpartition("@")[2]
        other = replace(pacs, address=f"{called}@{where}", called_ae_title=called, calling_ae_title=calling)
        if (called, calling) != had and offered(other)[0].error is None:
            return called, calling
    return None


def echo(pacs: Pacs) -> Answer:
    """Return the answer to C-ECHO."""
    with FindScu(pacs) as scu:
        try:
            answer = scu.echo()
        except (AssociationError, StatusError) as error:
            return _problem(error)
    return Answer(status=answer.status, duration_s=answer.duration_s)


def search_without_match(pacs: Pacs) -> tuple[Answer, int]:
    """Return the answer to a search for a study that cannot exist, and the number of its matches."""
    with FindScu(pacs) as scu:
        answer, matches, _, _ = _found(scu, {"StudyInstanceUID": generate_uid()})
    return answer, len(matches)


def search(pacs: Pacs) -> tuple[Search, tuple[Match, ...]]:
    """Return the results of C-FIND, and the studies of its answers."""
    with FindScu(pacs) as scu:
        control, nothing, _, _ = _found(scu, {"StudyInstanceUID": generate_uid()})
        if control.error:
            return Search(control), ()
        sample, studies, stopped, character_sets = _studies(scu, "19000101-")
        halves = None if stopped or sample.error else _in_halves(scu, studies)
    seen = Search(
        control=control,
        control_matches=len(nothing),
        sample=sample,
        studies=len(studies),
        stopped=stopped,
        halves=halves,
        counts=any(_count(study) is not None for study in studies),
        character_sets=character_sets,
    )
    return seen, studies


def an_instance(pacs: Pacs, studies: Sequence[Match]) -> Match | None:
    """Return the unique keys of an instance in the smallest series of the smallest study."""
    chosen = _smallest(studies, _UIDS[:1])
    with FindScu(pacs) as scu:
        for level, names in (("SERIES", _UIDS[:2]), ("IMAGE", _UIDS)):
            if chosen is None:
                return None
            keys = {name: chosen[name] for name in names[:-1]}
            wanted = {"NumberOfSeriesRelatedInstances": ""} if level == "SERIES" else {}
            _, found, _, _ = _found(scu, {**keys, **wanted, "QueryRetrieveLevel": level, names[-1]: ""})
            # An answer about another study or series does not count.
            own = [match for match in found if all(match.get(name) in (None, "", uid) for name, uid in keys.items())]
            chosen = _smallest([{**match, **keys} for match in own], names)
    return {name: chosen[name] for name in _UIDS} if chosen else None


def known(pacs: Pacs, destination: str) -> tuple[Answer, Answer, str | None]:
    """Send moves that match nothing: to the destination, and to an AE title that cannot exist.

    Returns
    -------
    tuple
        Both answers, and the destination in upper or lower case if the PACS knows it only so.
    """
    with MoveScu(pacs) as scu:
        answers = {title: _moved(scu, title) for title in (destination, _NOWHERE)}
        answer, nowhere = answers.values()
        others = {destination.upper(), destination.lower()} - {destination}
        if answer.error != "destination_unknown":
            return answer, nowhere, None
        accepted = [title for title in sorted(others) if _moved(scu, title).error in (None, "no_match")]
    return answer, nowhere, accepted[0] if accepted else None


def moved(pacs: Pacs, instance: Match, destination: str | Receiver) -> Answer:
    """Move one instance, and return the answer."""
    table = pd.DataFrame([instance], dtype=str)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DicomoveWarning)  # the row's advice has the same text
        results = move(
            table, pacs, destination, level="IMAGE", journal=False, progress=False, total_timeout=_LONGEST_MOVE_S
        )
    row = results.iloc[0]
    status, advice = (None if pd.isna(value) else str(value) for value in (row["status"], row["advice"]))
    if row["outcome"] == "complete":
        return Answer(None, "", status, float(row["duration_s"]))
    error = str(row["outcome"] if pd.isna(row["error"]) else row["error"])
    return Answer(error, advice or "", status, float(row["duration_s"]))


def times_received(receiver: Receiver, instance: Match) -> int:
    """Return how often the receiver got the instance."""
    manifest = receiver.manifest()
    return int(manifest.loc[manifest["SOPInstanceUID"] == instance["SOPInstanceUID"], "times_received"].sum())


def arrival(receiver: Receiver, instance: Match, times_before: int) -> Arrival | None:
    """Return the arrival of the instance, if the receiver got it more than `times_before` times."""
    if times_received(receiver, instance) <= times_before:
        return None
    manifest = receiver.manifest()
    found = manifest[manifest["SOPInstanceUID"] == instance["SOPInstanceUID"]]
    if found.empty:
        return None
    last = found.sort_values("received_at").iloc[-1]
    syntax = UID(str(last["TransferSyntaxUID"]))
    return Arrival(str(last["address"]), str(last["calling_ae_title"]), syntax.name, was_there=times_before > 0)


def _connected(pacs: Pacs) -> socket.socket:
    return socket.create_connection((pacs.host, pacs.port), _LONGEST_GUESS_S)


def _problem(error: AssociationError | StatusError) -> Answer:
    return Answer(error.error, str(error), getattr(error, "status", None))


def _moved(scu: MoveScu, destination: str) -> Answer:
    # Nothing matches: if the PACS moves something, it ignores the key, and dicomove cancels the move.
    result = scu.move_study(
        {"StudyInstanceUID": generate_uid()},
        destination,
        total_timeout=_LONGEST_MOVE_S,
        on_sub_operation=lambda event: scu.cancel() if event.total else None,
    )
    error = KEYS_IGNORED if result.completed or result.failed or result.warning else result.error
    return Answer(error, result.advice or "", result.status, result.duration_s)


def _found(
    scu: FindScu, query: dict[str, str], on_match: Callable[[Match], object] | None = None
) -> tuple[Answer, tuple[Match, ...], bool, tuple[str, ...]]:
    started = time.monotonic()
    result = with_announced(scu.find_studies(query, on_match=on_match, total_timeout=_LONGEST_SEARCH_S))
    answer = Answer(result.error, result.advice or "", result.status, time.monotonic() - started)
    return answer, result.matches, result.cancelled, result.character_sets


def _studies(scu: FindScu, dates: str) -> tuple[Answer, tuple[Match, ...], bool, tuple[str, ...]]:
    seen: list[Match] = []

    def enough(match: Match) -> None:
        seen.append(match)
        if len(seen) > ENOUGH:
            scu.cancel()

    query = {"StudyDate": dates, "StudyInstanceUID": "", "NumberOfStudyRelatedInstances": ""}
    return _found(scu, query, enough)


def _in_halves(scu: FindScu, studies: Iterable[Match]) -> int | None:
    """Return the number of studies that the same search finds in two halves, split at the middle of their dates."""
    dates = sorted(date for study in studies if re.fullmatch(r"[0-9]{8}", date := study.get("StudyDate", "")))
    if not dates:
        return None
    middle = dates[(len(dates) - 1) // 2]
    try:
        after = datetime.strptime(middle, "%Y%m%d").date() + timedelta(days=1)  # noqa: DTZ007  # a date has no zone
    except ValueError:
        return None
    return sum(len(_studies(scu, part)[1]) for part in (f"19000101-{middle}", f"{after:%Y%m%d}-"))


def _smallest(matches: Iterable[Match], names: Sequence[str]) -> Match | None:
    """Return the match with the fewest instances among those whose UIDs can be keys."""
    usable = [match for match in matches if not any(unsafe(match.get(name, ""), name) for name in names)]
    return min(usable, key=lambda match: _count(match) or ENOUGH, default=None)


def _count(match: Match) -> int | None:
    for name in ("NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"):
        if match.get(name, "").isdecimal():
            return int(match[name])
    return None
