"""Headers that look like identifiers but are not understood, in about twenty languages.

dicomove never guesses the meaning of such a header: the user states it (``read_cohort(path, columns=...)``). The error
lists the headers, each with the keyword that it resembles.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from dicomove.cohort.keywords import keyword, label_text
from dicomove.cohort.likeness import without_accents, without_invisible

#: Words for numbers and identifiers that follow a noun, as in "patient number".
_NUMBER: Final = r"(id|ident\w*|no|nr|num|nums|number|nummer|numero|kennung|kennziffer|code|codigo)"
#: The same before a noun, in French, Spanish, Italian and Portuguese, as in "numero de patient".
_NUMBER_OF: Final = r"(id|no|nr|n|num|numero|ident\w*)(de?)?(l|la)?"
_STUDY: Final = r"(stud|etude|estudio|exam|untersuchung)"
_ORDER: Final = r"(auftrag|anforderung|untersuchung|leistung|order|request|requisition|exam\w*|procedure|befund)"
_ORDER_OF: Final = r"(examen|demande|etude|estudio|peticion|solicitud|orden|esame|richiesta)"
_PATIENT: Final = r"(patient(en|s|e)?|pat|paciente?|paziente|subject|person|case|fall|hospital|hosp|klinik|nhs|cpr)"
#: Without accents, blanks and punctuation; first English, German, French, Spanish, Italian and Portuguese.
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
    # Dutch, the Nordic languages, Polish, Czech, Turkish.
    ("AccessionNumber", r"accessie|begleitn|zugangsn|(onderzoeks|aanvraag|remiss|lahete|pyynto)(nummer|numero|nr|id)"),
    ("AccessionNumber", r"(rekvisi[ts]i?j?on|henvisning|under(sog|sok)(else|nings?))s?(nummer|nr|id)|tutkimusnumero"),
    ("AccessionNumber", r"(numer|nr|cislo)(zlecenia|badania|skierowania|zadanky|vysetreni)"),
    ("AccessionNumber", r"(erisim|istem|tetkik)(no|numarasi)"),
    ("PatientID", r"(pasient|potilas|henkilo|person|fodsels|journal)(nummer|numero|tunnus|nr|id)|rodnecislo|pesel"),
    ("PatientID", r"(numer|id|cislo)(pacjenta|pacienta)|(hasta|dosya)(no|numarasi|id)|codicefiscale|uhid"),
    ("PatientID", r"^(mr|chart|unit|ur|medrec)(no|nr|num|number)$"),
    # Japanese, Chinese, Korean, Russian, Greek, Hebrew, Arabic, Persian.
    ("AccessionNumber", r"(受付|オーダー?|依頼|検査|アクセッション)(番号|no|id)|(접수|검사|오더|처방)번호"),
    ("AccessionNumber", r"(登录|登記|登记|检查|檢查|影像|申请单?|申請單?)[编編]?[号號]"),
    ("AccessionNumber", r"номер(исследования|направления|заказа|заявки)|αριθμοσ(εξετασησ|παραγγελιασ)"),
    ("AccessionNumber", r"מספר(בדיקה|הזמנה|הפניה)|رقم(الوصول|الدخول|الطلب|الفحص)|شماره(پذیرش|درخواست)|کدپذیرش"),
    ("PatientID", r"(患者|カルテ|診察券)(番号|no|id)|(病历|病歷|病案|患者|病人|住院|门诊|門診)([编編]?[号號]|id)"),
    ("PatientID", r"(환자|병록|차트)(번호|id)|(номер|код|id)(пациента|карты|историиболезни)"),
    ("PatientID", r"(αριθμοσ|κωδικοσ|id)ασθεν|מספר(מטופל|זהות)|תעודתזהות|رقم(المريض|الملف)"),
    ("PatientID", r"شماره(پرونده|بیمار)|کد(ملی|بیمار)"),
    ("PatientName", r"氏名|患者名|姓名|환자명|성명|^фио$|фамилия|اسمالمريض|نامبیمار|שםמטופל"),
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
#: Words that number the participants of a study about as often as the patients of a PACS.
_PARTICIPANT: Final = re.compile(r"subject|person|case|fall")
#: A label that looks like a value: in a file without a header, the first row may name a patient.
_VALUE: Final = re.compile(r"\d{4}|\^|^[\d.\-/ ]+$")


def _resembles(header: object) -> str | None:
    """Return the keyword of the identifier that a header looks like, or None.

    Parameters
    ----------
    header
        The label of a column that `keyword` does not know.

    Examples
    --------
    >>> _resembles("Auftragsnummer"), _resembles("N° d'examen"), _resembles("Accession Number (RIS)"), _resembles("arm")
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


def overlooked_headers(headers: Iterable[object], wanted: Collection[str]) -> list[tuple[object, str]]:
    """Return the headers that look like a wanted attribute but are not understood, each with its keyword."""
    found = ((header, _resembles(header)) for header in headers)
    return [(header, name) for header, name in found if name is not None and name in wanted]


def may_number_participants(header: object) -> bool:
    """Tell whether a column may number the participants of a study, and not the patients of a PACS.

    Examples
    --------
    >>> may_number_participants("subject"), may_number_participants("Patienten-ID")
    (True, False)
    """
    return _PARTICIPANT.match("".join(_words(label_text(header) or ""))) is not None


def listed_headers(headers: Iterable[object]) -> str:
    """Return headers as text for a message; hide one that looks like a value, because it may belong to a patient."""
    return ", ".join(map(shown_header, headers)) or "none"


def shown_header(header: object) -> str:
    """Return a header as text for a message."""
    label = header if isinstance(header, str) else str(header)
    return "'...' (looks like a value)" if _VALUE.search(label) else repr(label)


def header_hint(found: Sequence[tuple[object, str]]) -> str:
    """Return a sentence about overlooked headers, with the remedy; empty if there are none."""
    if not found:
        return ""
    named = ", ".join(f"{shown_header(header)} ({name}?)" for header, name in found)
    header, name = found[0]
    return (
        f" These headers look like identifiers, but were not understood: {named}. Rename them, or say what they are: "
        f"read_cohort(path, columns={{{shown_header(header)}: '{name}'}})."
    )


def _words(label: str) -> list[str]:
    plain = without_accents(unicodedata.normalize("NFKC", without_invisible(label)))
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold())
