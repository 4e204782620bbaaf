"""Which SOP classes there are of an identifier, as C-FIND tells it: a C-GET has to propose them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dicomove.cohort import Identifier
from dicomove.dimse.find import FindScu, Match


def sop_classes(scu: FindScu, identifier: Identifier) -> tuple[str, ...]:
    """Return the SOP classes of an identifier; none where the PACS does not tell.

    SOP Classes in Study (0008,0062) is asked for first. Where a PACS does not have it, the instances are listed.

    Parameters
    ----------
    scu
        Asks.
    identifier
        What will be retrieved.
    """
    keys: dict[str, str] = dict(identifier.keys)
    above = {name: value for name, value in keys.items() if name in ("PatientID", "StudyInstanceUID")}
    found = _find(scu, identifier, "STUDY", {"StudyInstanceUID": "", **above, "SOPClassesInStudy": ""})
    told = [uid for match in found for uid in match.get("SOPClassesInStudy", "").split("\\") if uid]
    if not told and "StudyInstanceUID" in keys:
        told = [match.get("SOPClassUID", "") for match in _instances(scu, identifier, above)]
    return tuple(dict.fromkeys(filter(None, told)))


def _instances(scu: FindScu, identifier: Identifier, above: Mapping[str, str]) -> Iterator[Match]:
    series = dict(identifier.keys).get("SeriesInstanceUID")
    found = [series] if series else [one.get("SeriesInstanceUID") for one in _series(scu, identifier, above)]
    for uid in filter(None, found):
        keys = {**above, "SeriesInstanceUID": uid, "SOPInstanceUID": "", "SOPClassUID": ""}
        yield from _find(scu, identifier, "IMAGE", keys)


def _series(scu: FindScu, identifier: Identifier, above: Mapping[str, str]) -> list[Match]:
    return _find(scu, identifier, "SERIES", {**above, "SeriesInstanceUID": ""})


def _find(scu: FindScu, identifier: Identifier, level: str, keys: Mapping[str, str]) -> list[Match]:
    """Return the matches; a C-FIND that fails tells nothing."""
    asked = {"QueryRetrieveLevel": level, **keys}
    return list(scu.find_studies(asked, query_model=identifier.query_model, total_timeout=scu.pacs.idle_timeout))
