"""Evidence -> rows of C-FIND. Pure."""

from __future__ import annotations

from typing import Final

from dicomove.doctor.connection import NOT_IN_STUDY_ROOT, NOT_REACHED
from dicomove.doctor.evidence import Evidence, Row, Search

_LOG: Final = "Ask the administrator for the log of the PACS at this time."


def find(seen: Evidence) -> Row:
    """Return whether C-FIND is answered, and answered as it is asked."""
    search = seen.search
    if search is None:
        return Row("C-FIND", "skipped", NOT_REACHED if seen.offered is None else NOT_IN_STUDY_ROOT)
    error = search.control.error
    if error:
        remedy = _LOG
        if error in ("not_authorized", "association_aborted", "connection_lost"):
            # Measured: Orthanc answers C-ECHO of an AE title that it does not know, and aborts at its C-FIND.
            remedy = (
                f"Ask the administrator to allow C-FIND and C-MOVE for our AE title {seen.pacs.calling_ae_title}, "
                f"address {seen.own_address}. Many PACS answer only C-ECHO to AE titles that they do not know."
            )
        return Row("C-FIND", "failed", f"The PACS answered {search.control.status or error}.", remedy)
    if search.control_matches:
        found = f"The PACS gave {search.control_matches} answers to a search for a study that cannot exist."
        remedy = "It ignores keys. dicomove leaves out answers that do not match: look at the column filtered of find."
        return Row("C-FIND", "warning", found, remedy)
    return Row("C-FIND", "ok", f"The PACS answered after {1000 * search.control.duration_s:.0f} ms, as it was asked.")


def counts(seen: Evidence) -> Row:
    """Return whether the PACS tells numbers of instances."""
    check, search = "numbers of instances", seen.search
    if search is None or not search.studies:
        return _without_sample(check, search)
    if search.counts:
        return Row(check, "ok", "C-FIND tells how many instances a study has.")
    remedy = "Nothing to do: dicomove counts the instances by C-FIND at the level IMAGE, which takes longer."
    return Row(check, "warning", "C-FIND does not tell how many instances a study has.", remedy)


def character_set(seen: Evidence) -> Row:
    """Return the character sets of the answers."""
    check, search = "character set", seen.search
    if search is None or not search.studies:
        return _without_sample(check, search)
    named = ", ".join(search.character_sets)
    return Row(
        check, "ok", f"The answers declare {named}." if named else "The answers declare no character set: ASCII."
    )


def limit(seen: Evidence) -> Row:
    """Return whether the PACS leaves out answers of a search that matches many studies."""
    check, search = "limit of answers", seen.search
    if search is None or not search.studies:
        return _without_sample(check, search)
    if search.stopped:
        return Row(check, "ok", f"{search.studies} answers came to one search, and then dicomove stopped it.")
    sample = search.sample
    cut = search.halves is not None and search.halves > search.studies
    if cut or (sample and sample.status != "0x0000"):
        found = (
            f"The PACS gives {search.studies} answers to a search that matches more, and ends with {_status(search)}."
        )
        remedy = "Search for less at a time: by accession numbers, PatientIDs or UIDs, or by short ranges of dates."
        return Row(check, "warning", found, remedy)
    return Row(check, "ok", f"All {search.studies} studies of the PACS came as answers to one search.")


def _status(search: Search) -> str:
    return (search.sample.status if search.sample else None) or "no status"


def _without_sample(check: str, search: Search | None) -> Row:
    if search is None or search.sample is None:
        return Row(check, "skipped", NOT_REACHED)
    if search.sample.error:
        return Row(check, "skipped", "The PACS does not answer a search by a range of dates alone.")
    return Row(check, "skipped", "The PACS has no study with a date that our AE title may see.")
