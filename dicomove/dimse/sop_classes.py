"""Which SOP classes there are of an identifier, as C-FIND tells it: a C-GET has to propose them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from dicomove.cohort import Identifier
from dicomove.dimse.find import FindScu, Match

_Find = Callable[[str, Mapping[str, str]], list[Match]]


def sop_classes(scu: FindScu, identifier: Identifier, stop: threading.Event | None = None) -> tuple[str, ...]:
    """Return the SOP classes of an identifier; none where the PACS does not tell.

    SOP Classes in Study (0008,0062) is asked for first. Where a PACS does not have it, the instances are listed.

    Parameters
    ----------
    scu
        Asks.
    identifier
        What will be retrieved.
    stop
        Cancels once it is set.
    """
    find = partial(_find, scu, identifier.query_model, stop)
    keys: dict[str, str] = dict(identifier.keys)
    above = {name: value for name, value in keys.items() if name in ("PatientID", "StudyInstanceUID")}
    found = find("STUDY", {"StudyInstanceUID": "", **above, "SOPClassesInStudy": ""})
    told = [uid for match in found for uid in match.get("SOPClassesInStudy", "").split("\\") if uid]
    if not told and "StudyInstanceUID" in keys:
        told = [match.get("SOPClassUID", "") for match in _instances(find, keys, above)]
    return tuple(dict.fromkeys(filter(None, told)))


def _instances(find: _Find, keys: Mapping[str, str], above: Mapping[str, str]) -> Iterator[Match]:
    series = keys.get("SeriesInstanceUID")
    matches = [] if series else find("SERIES", {**above, "SeriesInstanceUID": ""})
    for uid in filter(None, [series, *(one.get("SeriesInstanceUID") for one in matches)]):
        yield from find("IMAGE", {**above, "SeriesInstanceUID": uid, "SOPInstanceUID": "", "SOPClassUID": ""})


def _find(
    scu: FindScu, query_model: str, stop: threading.Event | None, level: str, keys: Mapping[str, str]
) -> list[Match]:
    """Return the matches; a C-FIND that fails tells nothing."""
    asked = {"QueryRetrieveLevel": level, **keys}
    return list(scu.find_studies(asked, query_model=query_model, total_timeout=scu.pacs.idle_timeout, stop=stop))
