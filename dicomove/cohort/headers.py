"""Headers that look like identifiers but are not understood: text for errors and warnings. Pure.

dicomove never guesses such a header: the user says what it means (``read_cohort(path, columns=...)``). But an error
that lists the headers and what they look like saves a search.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from dicomove.cohort.keywords import keyword, label_text

#: Words for numbers and identifiers, after the word for what they number.
_NUMBER: Final = r"(id|ident\w*|no|nr|num|nums|number|nummer|numero|kennung|kennziffer|code|codigo)"
#: ... and before it, in French, Spanish, Italian and Portuguese.
_NUMBER_OF: Final = r"(id|no|nr|n|num|numero|ident\w*)(de?)?(l|la)?"
_STUDY: Final = r"(stud|etude|estudio|exam|untersuchung)"
_ORDER: Final = r"(auftrag|anforderung|untersuchung|leistung|order|request|requisition|exam\w*|procedure|befund)"
_ORDER_OF: Final = r"(examen|demande|etude|estudio|peticion|solicitud|orden|esame|richiesta)"
_PATIENT: Final = r"(patient(en|s|e)?|pat|paciente?|paziente|subject|person|case|fall|hospital|hosp|klinik|nhs|cpr)"
#: English, German, French, Spanish, Italian and Portuguese, without accents, blanks and punctuation.
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("SOPInstanceUID", r"(sop|image|bild|imagen|instance|instanz)\w*(uid|oid)"),
    ("SeriesInstanceUID", r"seri\w*(uid|oid)"),
    ("StudyInstanceUID", rf"{_STUDY}\w*(uid|oid)|(uid|oid)(de)?(l|la)?{_STUDY}|dicom(uid|oid|id)"),
    ("AccessionNumber", r"ac+es+ion|akzession|accesion|ac+es+o\b|numerod?e?acces"),
    ("AccessionNumber", rf"{_ORDER}s?{_NUMBER}|{_NUMBER_OF}{_ORDER_OF}"),
    ("AccessionNumber", r"auftrag|anforderungsn|peticion|requisition|risid|risn(r|o|um)"),
    ("PatientID", rf"{_PATIENT}{_NUMBER}|{_NUMBER_OF}(patient|pat|paciente|paziente|dossier|sujet|historia)"),
    ("PatientID", r"medicalrecord|krankenblatt|krankenakte|historiaclinica|numerohistoria|dossier|mrn"),
    ("PatientName", r"patient\w*name|(nach|vor|familien)name|(sur|last|first|family|given)name"),
    ("PatientName", r"prenom|apellidos?|cognome"),
    ("StudyID", rf"(study|studien|studie|etude|estudio){_NUMBER}"),
)
_PATTERNS: Final = tuple((name, re.compile(pattern)) for name, pattern in _WORDS)
#: Short words, which mean something only as the whole header.
_ALONE: Final = {
    **dict.fromkeys(("acc", "acn", "acsn", "an"), "AccessionNumber"),
    **dict.fromkeys(("pid", "pat", "patient", "paciente", "paziente", "subject"), "PatientID"),
    **dict.fromkeys(("ipp", "nip", "nhc", "piz"), "PatientID"),
    **dict.fromkeys(("name", "nom", "nombre", "nome"), "PatientName"),
    **dict.fromkeys(("uid", "oid"), "StudyInstanceUID"),
}
#: A pseudonym names a patient in the study, not in the PACS.
_PSEUDONYM: Final = re.compile(r"anon|pseudo|hash|encrypt")
#: A label that looks like a value: a file without a header has patients there.
_VALUE: Final = re.compile(r"\d{4}|\^|^[\d.\-/ ]+$")


def resembles(header: object) -> str | None:
    """Return the keyword of the identifier that a header looks like, or None.

    Parameters
    ----------
    header
        The label of a column that `keyword` does not know.

    Examples
    --------
    >>> resembles("Auftragsnummer"), resembles("N° d'examen"), resembles("Accession Number (RIS)"), resembles("arm")
    ('AccessionNumber', 'AccessionNumber', 'AccessionNumber', None)
    """
    label = label_text(header)
    if label is None or keyword(header) is not None:
        return None
    words = _words(label)
    compact = "".join(words)
    if _PSEUDONYM.search(compact):
        return None
    found = next((name for name, pattern in _PATTERNS if pattern.search(compact)), None)
    return found or next((_ALONE[word] for word in words if word in _ALONE and len(words) <= 2), None)


def overlooked(headers: Iterable[object], wanted: Collection[str]) -> list[tuple[object, str]]:
    """Return the headers that look like a wanted attribute but are not understood, each with its keyword."""
    found = ((header, resembles(header)) for header in headers)
    return [(header, name) for header, name in found if name is not None and name in wanted]


def listed(headers: Iterable[object]) -> str:
    """Return headers as text for a message; hide one that looks like a value, because it may belong to a patient."""
    return ", ".join(map(shown, headers)) or "none"


def shown(header: object) -> str:
    """Return a header as text for a message."""
    label = header if isinstance(header, str) else str(header)
    return "'...' (looks like a value)" if _VALUE.search(label) else repr(label)


def hint(found: Sequence[tuple[object, str]]) -> str:
    """Return a sentence about overlooked headers, with the remedy; empty if there are none."""
    if not found:
        return ""
    named = ", ".join(f"{shown(header)} ({name}?)" for header, name in found)
    header, name = found[0]
    return (
        f" These headers look like identifiers, but were not understood: {named}. Rename them, or say what they are: "
        f"read_cohort(path, columns={{{shown(header)}: '{name}'}})."
    )


def _words(label: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", label.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).lower())
