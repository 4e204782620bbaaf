"""Evidence -> rows of the PACS, from the host name to C-ECHO and C-FIND. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dicomove.dimse.presentation_contexts import FIND, GET, MOVE
from dicomove.doctor.evidence import CheckRow, Evidence, Search
from dicomove.outcome import advice_on
from dicomove.pacs import ANY_CALLED_AE_TITLE
from dicomove.words import ADVICE

NOT_REACHED: Final = "An earlier check failed."
NOT_IN_STUDY_ROOT: Final = "The PACS does not offer it in Study Root, in which doctor asks."
_MODELS: Final = {"StudyRoot": "Study Root", "PatientRoot": "Patient Root"}
#: Parts of the text of a rejection (PS3.8 Table 9-21).
_CALLED, _CALLING, _LIMITS = "Called AE title", "Calling AE title", ("limit exceeded", "congestion")


def host_name(seen: Evidence) -> CheckRow:
    """Return whether the host has an address."""
    if seen.addresses:
        return CheckRow("host name", "ok", f"{seen.pacs.host} is {', '.join(seen.addresses)}.")
    remedy = (
        "Check the spelling of the host, or give its IP address. Some names exist only inside the hospital's network."
    )
    return CheckRow("host name", "failed", f"{seen.pacs.host} has no address here.", remedy)


def port(seen: Evidence) -> CheckRow:
    """Return whether the port accepts connections."""
    where = f"{seen.pacs.host}, port {seen.pacs.port}"
    if seen.port is None:
        return CheckRow("port", "skipped", NOT_REACHED)
    if seen.port == "open":
        return CheckRow("port", "ok", f"{where}, accepts connections from this machine ({seen.own_address}).")
    if seen.port == "refused":
        found = f"{where}, refuses connections: the machine is there, but nothing listens at this port."
        return CheckRow("port", "failed", found, "Ask for the port of the DICOM service, and check that the PACS runs.")
    if seen.port == "timeout":
        limit = seen.pacs.connect_timeout
        found = f"{where}, did not answer{'' if limit is None else f' within {limit:g} s'}."
        remedy = (
            f"A firewall drops the connection, or the machine is off. Ask the network's administrator to open TCP from "
            f"{seen.own_address or 'this machine'} to {where}. Check the host and the port, too."
        )
        return CheckRow("port", "failed", found, remedy)
    remedy = "Check the host, and whether this machine is in the network of the PACS (VPN, cable)."
    return CheckRow("port", "failed", f"There is no route to {where}.", remedy)


def tls(seen: Evidence) -> CheckRow:
    """Return whether both sides agree about TLS."""
    answer = seen.association
    if seen.pacs.tls is None:
        if seen.language == "TLS":
            remedy = "Give Pacs(..., tls=True), or Pacs(..., tls=TLS(ca=...)), or the port without TLS."
            return CheckRow("TLS", "failed", "The port speaks TLS, and this Pacs has no tls=.", remedy)
        return CheckRow("TLS", "skipped", "This Pacs has no tls=.")
    if answer is None:
        return CheckRow("TLS", "skipped", NOT_REACHED)
    if answer.error == "tls_failed":
        return CheckRow("TLS", "failed", _sentence(answer.text), ADVICE["tls_failed"])
    if answer.error in (None, "association_rejected"):
        return CheckRow("TLS", "ok", "The connection is encrypted.")
    return CheckRow("TLS", "skipped", "The answer does not show it.")


def association(seen: Evidence) -> CheckRow:
    """Return whether the PACS accepts us, and otherwise which of the AE titles it rejects."""
    answer, pacs = seen.association, seen.pacs
    if answer is None:
        return CheckRow("association", "skipped", NOT_REACHED)
    if answer.error is None:
        return CheckRow("association", "ok", f"{pacs.called_ae_title} accepts {pacs.calling_ae_title}.")
    if answer.error == "association_rejected":
        return _rejected(seen, answer.text)
    if seen.language == "HTTP":
        remedy = (
            "This is the port of a web page. Give the port of the DICOM service: often 104, 4242 (Orthanc) or 11112 "
            "(dcm4chee)."
        )
        return CheckRow("association", "failed", f"Port {pacs.port} speaks HTTP, and not DICOM.", remedy)
    if seen.language == "TLS" or answer.error == "tls_failed":
        return CheckRow("association", "skipped", "TLS has to work first.")
    remedy = (
        f"Check that port {pacs.port} is that of the DICOM service. Some PACS end the connection of an AE title or an "
        f"address that they do not know: ask the administrator to register {pacs.calling_ae_title}, address "
        f"{seen.own_address}."
    )
    return CheckRow("association", "failed", _sentence(answer.text), remedy)


def _rejected(seen: Evidence, text: str) -> CheckRow:
    pacs = seen.pacs
    if any(limit in text for limit in _LIMITS):
        remedy = "The PACS has too many associations at the moment: try again later, with a smaller concurrency."
        return CheckRow("association", "failed", "The PACS rejected the association: its limit is reached.", remedy)
    named = [title for title in (_CALLED, _CALLING) if title in text]
    which = {_CALLED: f"the called AE title {pacs.called_ae_title}", _CALLING: f"our AE title {pacs.calling_ae_title}"}
    found = f"The PACS rejected {which[named[0]]}." if named else "The PACS rejected the association without a reason."
    if pacs.user:
        found += " It may have rejected the user."
    return CheckRow("association", "failed", found, _titles_remedy(seen, named))


def _titles_remedy(seen: Evidence, named: list[str]) -> str:
    pacs = seen.pacs
    if seen.titles_accepted:
        called, calling = seen.titles_accepted
        changed = [f"{name}={title!r}" for name, title, had in _titles(called, calling, seen) if title != had]
        return f"Upper and lower case count here. The PACS accepts {' and '.join(changed)}: write it so."
    register = (
        f"ask the administrator to register our AE title {pacs.calling_ae_title}, with the address {seen.own_address}, "
        "or give the registered one as calling_ae_title="
    )
    ask = "Ask the administrator for the AE title of the PACS, and write it before the @ of the address"
    if pacs.called_ae_title == ANY_CALLED_AE_TITLE:
        ask = "The address names no AE title. " + ask
    if named == [_CALLING]:
        return f"{register[0].upper()}{register[1:]}."
    # Measured: dcmqrscp gives this reason also for an unknown calling AE title.
    return f"{ask}. If it is right, {register}: some PACS give the same reason then."


def _titles(called: str, calling: str, seen: Evidence) -> tuple[tuple[str, str, str], ...]:
    pacs = seen.pacs
    return (
        ("called_ae_title", called, pacs.called_ae_title),
        ("calling_ae_title", calling, pacs.calling_ae_title),
    )


def find_offered(seen: Evidence) -> CheckRow:
    """Return whether the PACS offers C-FIND."""
    return _offered(seen, "C-FIND offered", FIND, "Without C-FIND, give StudyInstanceUIDs to move.")


def move_offered(seen: Evidence) -> CheckRow:
    """Return whether the PACS offers C-MOVE."""
    remedy = (
        "Ask the administrator to allow C-MOVE (Query/Retrieve) for our AE title, or for another node that offers it."
    )
    return _offered(seen, "C-MOVE offered", MOVE, remedy)


def get_offered(seen: Evidence) -> CheckRow:
    """Return whether the PACS offers C-GET."""
    return _offered(seen, "C-GET offered", GET, "C-MOVE needs a destination that the PACS can reach.", needed=False)


def _offered(seen: Evidence, check: str, classes: Mapping[str, str], remedy: str, *, needed: bool = True) -> CheckRow:
    if seen.offered is None:
        return CheckRow(check, "skipped", NOT_REACHED)
    models = [model for model in _MODELS if classes[model] in seen.offered]
    if not models:
        return CheckRow(check, "failed" if needed else "warning", "The PACS does not offer it.", remedy)
    found = f"In {' and '.join(_MODELS[model] for model in models)}."
    if "StudyRoot" in models:
        return CheckRow(check, "ok", found)
    return CheckRow(check, "warning", found, "Give query_model='PatientRoot', and a PatientID in every row.")


def echo(seen: Evidence) -> CheckRow:
    """Return whether the PACS answers C-ECHO."""
    answer = seen.echo
    if answer is None:
        return CheckRow("C-ECHO", "skipped", NOT_REACHED)
    if answer.error is None:
        return CheckRow("C-ECHO", "ok", f"The PACS answered after {1000 * answer.duration_s:.0f} ms.")
    if answer.error == "not_supported":
        return CheckRow(
            "C-ECHO", "warning", "The PACS does not offer it.", "Nothing here needs it: look at the other checks."
        )
    return CheckRow("C-ECHO", "failed", _sentence(answer.text), advice_on(answer.error, method="find"))


def _sentence(text: str) -> str:
    whole = f"{text[:1].upper()}{text[1:]}"
    return whole if whole.endswith((".", "?")) else f"{whole}."


ASK_FOR_LOG: Final = "Ask the administrator for the log of the PACS at this time."


def find(seen: Evidence) -> CheckRow:
    """Return whether the PACS answers C-FIND, and whether its answers fit the keys."""
    search = seen.search
    if search is None:
        return CheckRow("C-FIND", "skipped", NOT_REACHED if seen.offered is None else NOT_IN_STUDY_ROOT)
    error = search.control.error
    if error:
        remedy = ASK_FOR_LOG
        if error in ("not_authorized", "association_aborted", "connection_lost"):
            # Measured: Orthanc answers C-ECHO from an unknown AE title, but aborts at its C-FIND.
            remedy = (
                f"Ask the administrator to allow C-FIND and C-MOVE for our AE title {seen.pacs.calling_ae_title}, "
                f"address {seen.own_address}. Many PACS answer only C-ECHO to AE titles that they do not know."
            )
        return CheckRow("C-FIND", "failed", f"The PACS answered {search.control.status or error}.", remedy)
    if search.control_matches:
        found = f"The PACS gave {search.control_matches} answers to a search for a study that cannot exist."
        remedy = "It ignores keys. dicomove leaves out answers that do not match: look at the column filtered of find."
        return CheckRow("C-FIND", "warning", found, remedy)
    found = f"The PACS answered after {1000 * search.control.duration_s:.0f} ms, and its answer fits the keys."
    return CheckRow("C-FIND", "ok", found)


def counts(seen: Evidence) -> CheckRow:
    """Return whether the PACS gives numbers of instances."""
    check, search = "numbers of instances", seen.search
    if search is None or not search.studies:
        return _without_sample(check, search)
    if search.counts:
        return CheckRow(check, "ok", "C-FIND gives the number of instances of a study.")
    remedy = "Nothing to do: dicomove counts the instances by C-FIND at the level IMAGE, which takes longer."
    return CheckRow(check, "warning", "C-FIND does not give the number of instances of a study.", remedy)


def character_set(seen: Evidence) -> CheckRow:
    """Return the character sets of the answers."""
    check, search = "character set", seen.search
    if search is None or not search.studies:
        return _without_sample(check, search)
    named = ", ".join(search.character_sets)
    return CheckRow(
        check, "ok", f"The answers declare {named}." if named else "The answers declare no character set: ASCII."
    )


def limit(seen: Evidence) -> CheckRow:
    """Return whether the PACS leaves out answers to a search that matches many studies."""
    check, search = "limit of answers", seen.search
    if search is None or not search.studies:
        return _without_sample(check, search)
    if search.stopped:
        return CheckRow(check, "ok", f"{search.studies} answers came to one search, and then dicomove stopped it.")
    sample = search.sample
    is_cut = search.halves is not None and search.halves > search.studies
    if is_cut or (sample and sample.status != "0x0000"):
        found = (
            f"The PACS gives {search.studies} answers to a search that matches more, and ends with {_status(search)}."
        )
        remedy = "Search for less at a time: by accession numbers, PatientIDs or UIDs, or by short ranges of dates."
        return CheckRow(check, "warning", found, remedy)
    return CheckRow(check, "ok", f"All {search.studies} studies of the PACS came as answers to one search.")


def _status(search: Search) -> str:
    return (search.sample.status if search.sample else None) or "no status"


def _without_sample(check: str, search: Search | None) -> CheckRow:
    if search is None or search.sample is None:
        return CheckRow(check, "skipped", NOT_REACHED)
    if search.sample.error:
        return CheckRow(check, "skipped", "The PACS does not answer a search by a range of dates alone.")
    return CheckRow(check, "skipped", "The PACS has no study with a date that our AE title may see.")
