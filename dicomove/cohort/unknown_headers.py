"""Headers that look like keys but are not understood, in about twenty languages.

dicomove never guesses the meaning of such a header: the user states it (``read_cohort(path, columns=...)``). The error
lists the headers, each with the keyword that it resembles.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicomove.cohort.keywords import keyword, label_text
from dicomove.cohort.likeness import without_accents, without_invisible
from dicomove.cohort.values import is_blank, is_uid

#: Words for numbers and identifiers that follow a noun, as in "patient number".
_NUMBER: Final = r"(id|ident\w*|no(?!r|t|d)|nr|num|nums|number|nummer|numero|kennung|kennziffer|code|codigo)"
#: The same before a noun, in French, Spanish, Italian and Portuguese, as in "numero de patient".
_NUMBER_OF: Final = r"(id|(?<!telefo)no|nr|n|num|numero|ident\w*)(de?|do|da)?(l|la)?"
_STUDY: Final = r"(stud|etude|estudio|exam|untersuchung)"
_ORDER: Final = (
    r"(auftrag|anforderung|unters(uchung)?|leistung|vorgang|order(proc)?|request|requisition|exam\w*|procedure|befund"
    r"|pacs)"
)
_ORDER_OF: Final = r"(examen?|demande|etude|estudio|peticion|solicitud|orden|esame|richiesta)"
_PATIENT: Final = (
    r"(patient(en|s|e)?|pat|^pt|paciente?|aufnahme|registration"
    r"|paziente|subject|person|case|fall|hospital|hosp|klinik|nhs|cpr)"
)
#: Without accents, blanks and punctuation; first English, German, French, Spanish, Italian and Portuguese.
_WORDS: Final[tuple[tuple[str, str], ...]] = (
    ("SeriesInstanceUID", r"seri\w*(uid|oid)"),
    ("StudyInstanceUID", rf"{_STUDY}\w*(uid|oid)|(uid|oid)(de)?(l|la)?{_STUDY}|dicom(uid|oid|id)"),
    ("SOPInstanceUID", r"(sop|image|bild|imagen|instance|instanz)\w*(uid|oid)"),
    ("AccessionNumber", r"ac+es+ion|akzession|accesion|ac+es+o\b|numerod?e?acces|acces+nummer|accettazione|zugriffsn"),
    ("AccessionNumber", rf"{_ORDER}s?{_NUMBER}|{_NUMBER_OF}{_ORDER_OF}"),
    ("AccessionNumber", r"auftrag|anforderungsn|peticion|requisition|risid|risn(r|o|um)"),
    ("PatientID", rf"{_PATIENT}{_NUMBER}|{_NUMBER_OF}(pat(?!h)|paciente|paziente|dossier|sujet|historia)"),
    ("PatientID", r"medicalrecord|krankenblatt|krankenakte|historiaclinica|numerohistoria|dossier|mrn"),
    ("PatientName", r"patient\w*name|(nach|vor|familien)name|(sur|last|first|family|given)name"),
    ("PatientName", r"prenom|apellidos?|cognome"),
    ("StudyID", rf"(study|studien|studie|etude|estudio){_NUMBER}"),
    # Dutch, the Nordic languages, Polish, Czech, Turkish.
    (
        "AccessionNumber",
        r"accessie|begleitn|zugangsn|(onderzoeks?|verrichting|aanvraag|remiss|lahete|pyynto)(nummer|numero|nr|id)",
    ),
    ("AccessionNumber", r"(rekvisi[ts]i?j?on|henvisning|under(sog|sok)(else|nings?))s?(nummer|nr|id)|tutkimusnumero"),
    ("AccessionNumber", r"(numer|nr|cislo)(zlecenia|badania|skierowania|zadanky|vysetreni)"),
    ("AccessionNumber", r"(erisim|istem|tetkik)(no|numarasi)"),
    ("PatientID", r"(pasient|potilas|henkilo|person|fodsels|journal)(nummer|numero|tunnus|nr|id)|rodnecislo|pesel"),
    (
        "PatientID",
        r"(numer|id|cislo)(pacjenta|pacienta)|(hasta|dosya|kimlik|protokol)(no|numarasi|id)|codicefiscale|uhid",
    ),
    ("PatientID", r"^(mr|chart|unit|ur|medrec|chi|hc|reg|ip|op|ic|sap)(no|nr|num|nbr|number)$|prontuario"),
    ("PatientID", r"^(ptid|empi|urn|hn|nipp|iep|bsn|cpr|cpf|dni|rut|hetu|αμκα)$"),
    # Japanese, Chinese, Korean, Russian, Greek, Hebrew, Arabic, Persian.
    ("AccessionNumber", r"(受付|オーダー?|依頼|検査|アクセッション)(番号|no|id)|(접수|검사|오더|처방)번호"),
    ("AccessionNumber", r"(登录|登記|登记|检查|檢查|影像|申请单?|申請單?)[编編]?[号號]"),
    ("AccessionNumber", r"номер(исследования|направления|заказа|заявки)|αριθμοσ(εξετασησ|παραγγελιασ)"),
    ("AccessionNumber", r"מספר(בדיקה|הזמנה|הפניה)|رقم(الوصول|الدخول|الطلب|الفحص)|شماره(پذیرش|درخواست)|کدپذیرش"),
    ("PatientID", r"(患者|カルテ|診察券)(番号|no|id)|(病历|病歷|病案|患者|病人|住院|门诊|門診)([编編]?[号號]|id)"),
    ("PatientID", r"(환자|병록|차트|등록)(번호|id)|(номер|код|id|no)(пациента|карты|историиболезни)"),
    ("PatientID", r"(αριθμοσ|κωδικοσ|id)ασθεν|αρμητρωου|מספר(מטופל|זהות)|תעודתזהות|رقم(المريض|الملف)"),
    ("PatientID", r"شماره(پرونده|بیمار)|کد(ملی|بیمار)"),
    ("PatientName", r"氏名|患者名|姓名|환자명|성명|^фио$|фамилия|اسمالمريض|نامبیمار|שםמטופל"),
)
_PATTERNS: Final = tuple((name, re.compile(pattern)) for name, pattern in _WORDS)
#: Words that end like the abbreviations of UIDs: thyroid, steroid, fluid.
_NO_UID: Final = re.compile(
    rf"(?!\w*(?:seri|sop|image|bild|imagen|instan|dicom|{_STUDY}))\w+oid\w*|\w*(?:fl|liq|sq|dr)uid\w*"
)
#: A PatientID in other languages than English, which is a keyword: "Patienten-ID", "ID du patient".
_PATIENT_ID: Final = re.compile(
    r"(patienten|pasient|potilas|paciente|paziente|pacjent|pacient|hasta|患者|病人|환자|пациент)id"
    r"|id(de?|do|da)?(l|u|la)?(patient|paciente|paziente|pacjenta|pacienta|пациента|ασθενουσ)"
)
#: Numbers that a table with UIDs may have on its own account: of orders, sites, trials, exposures and folders.
_OWN_NUMBER: Final = re.compile(
    rf"{_ORDER}s?{_NUMBER}|{_NUMBER_OF}{_ORDER_OF}|(hospital|hosp|klinik|aufnahme){_NUMBER}|auftrag|trial|^dossier$"
)
#: A hospital's number. One with fewer digits numbers the rows of a table; measured values and hashes are no numbers.
_HOSPITAL_NUMBER: Final = re.compile(r"(?=(?:\D*\d){5})[\w-]{1,20}(?:\.0)?")
#: Short words, which mean something only as the whole header, or beside these.
_BESIDE: Final = re.compile(rf"{_NUMBER}|[0-9]+|old|ris|kis|his")
_ALONE: Final = {
    **dict.fromkeys(("acc", "acn", "acsn", "an"), "AccessionNumber"),
    **dict.fromkeys(("pid", "pat", "patient", "paciente", "paziente", "subject"), "PatientID"),
    **dict.fromkeys(("ipp", "nip", "nhc", "piz"), "PatientID"),
    **dict.fromkeys(("name", "nom", "nombre", "nome"), "PatientName"),
    **dict.fromkeys(("uid", "oid"), "StudyInstanceUID"),
}
#: The days of studies, before and behind a noun. Without a noun, only the whole header counts.
_DAY: Final = r"(date|datum|dato|dag|pvm|fecha|tarihi|日期?|날짜|일자?|дата)"
_ALONE_DAY: Final = r"(date|datum|dato|fecha|日期|날짜|дата)"
_SCAN: Final = (
    r"(study|studi[ei]n?|scan(ner)?|imag(e|ing)|acq(uisition)?|proc(edure)?|performed|radiology|exam\w*"
    r"|mri?|mrt|irm|rm|ct|tc|tac|pet|us|xr|cxr|mammo(graphy|graphie)?|untersuchungs?|unters|aufnahme|bildgebungs?|etude"
    r"|estudio|exploracion|prueba|esame|exame|onderzoeks?|undersoknings?|undersogelses?|tutkimus|badania|vysetreni"
    r"|tetkik|cekim|検査|撮影|检查|檢查|검사|촬영|исследования)"
)
_DATE: Final = re.compile(
    rf"^{_SCAN}(time)?({_DAY}|dt)(time)?[0-9]{{0,2}}$|^{_DAY}(de|do|da|di|del|of)?(l|la|the)?{_SCAN}[0-9]{{0,2}}$"
    rf"|^{_ALONE_DAY}$"
    r"|^data(do|da|di|dell?)?(exame|esame|estudo|studio|badania)$"  # in English, "scan data" are no date
)
#: A pseudonym names a patient in the study, not in the PACS. The date and the kind of an order name no study.
_NO_IDENTIFIER: Final = re.compile(
    r"anon|pseudo|hash|encrypt|^(procedure|exam\w*|order|request)s?codes?$|(date|datum|time|year|status)$"
)
#: Words that number the participants of a study about as often as the patients of a PACS.
_PARTICIPANT: Final = re.compile(r"subject|person|case|fall")
#: Between a keyword and what a program adds to it: "00080050.Value", "Accession Number (RIS)".
_SEPARATORS: Final = re.compile(r"[.:/|()\[\]]|^0?x(?=[0-9a-fA-F]{8}$)")
#: A header that pandas, or a form with repeated fields, has numbered: accession_2, PatientID.1; or a merge: mrn_x.
_NUMBERED: Final = re.compile(r"(.*[A-Za-z])[ ._-]?(?:[0-9]{1,2}|_[xy]|_left|_right)")
#: UIDs of images are longer than versions and addresses of computers.
_SHORTEST_UID: Final = 14
#: A UID has one of three roots. Measured values and dates with points have others, or only one point.
_ROOT: Final = re.compile(r"[012]\.[0-9]+\.")
#: A label that looks like a value: in a file without a header, the first row may name a patient.
_VALUE: Final = re.compile(r"\d{4}|\^|^[\d.\-/ ]+$")


def _resembles(header: object) -> str | None:
    """Return the keyword of the key that a header looks like, or None.

    Parameters
    ----------
    header
        The label of a column that `keyword` does not know.

    Examples
    --------
    >>> _resembles("Auftragsnummer"), _resembles("N° d'examen"), _resembles("Accession Number (RIS)"), _resembles("arm")
    ('AccessionNumber', 'AccessionNumber', 'AccessionNumber', None)
    >>> _resembles(("AccessionNumber", "first")), _resembles("00080050.Value"), _resembles("scan_date")
    ('AccessionNumber', 'AccessionNumber', 'StudyDate')
    """
    parts = [part for part in header if isinstance(part, str)] if isinstance(header, tuple) else [header]
    label = " ".join(map(str, parts)) if isinstance(header, tuple) else label_text(header)
    if label is None or keyword(header) is not None:
        return None
    words = _words(label)
    compact = "".join(word for word in words if not _NO_UID.fullmatch(word))
    if _DATE.search(compact):
        return "StudyDate"
    if _NO_IDENTIFIER.search(compact):
        return None
    inner = (keyword(part) for part in (*parts, *_SEPARATORS.split(label)))
    found = next(filter(None, inner), None) or next((name for name, one in _PATTERNS if one.search(compact)), None)
    return found or _ALONE.get(" ".join(word for word in words if not _BESIDE.fullmatch(word)))


def overlooked_headers(headers: Iterable[object], wanted: Collection[str]) -> list[tuple[object, str]]:
    """Return the headers that look like a wanted attribute but are not understood, each with its keyword."""
    found = ((header, _resembles(header)) for header in headers)
    return [(header, name) for header, name in found if name is not None and name in wanted]


def numbered_key(header: object) -> str | None:
    """Return the keyword of a header that a program has numbered, or that a merge of two tables has renamed.

    Examples
    --------
    >>> numbered_key("accession_2"), numbered_key("PatientID_x"), numbered_key("PatientID"), numbered_key("T1")
    ('AccessionNumber', 'PatientID', None, None)
    """
    match = _NUMBERED.fullmatch((label_text(header) or "").strip())
    return keyword(match[1]) if match and keyword(header) is None else None


def keys_beside_uids(
    columns: Iterable[tuple[object, Sequence[object]]], wanted: Collection[str]
) -> list[tuple[object, str]]:
    """Return the headers of a table with UIDs that are a wanted number in other words, each with its keyword.

    Such a table often has numbers of its own. So a header that only resembles a number counts if its cells do, too.

    Examples
    --------
    >>> columns = {"PatientID_x": ["7"], "Patienten-ID": ["7"], "Patientennummer": ["000123"], "Fallnummer": ["000123"]}
    >>> keys_beside_uids(columns.items(), ["PatientID"])
    [('PatientID_x', 'PatientID'), ('Patienten-ID', 'PatientID'), ('Patientennummer', 'PatientID')]
    """
    found = ((header, _decorated(header) or _in_other_words(header, cells)) for header, cells in columns)
    return [(header, name) for header, name in found if name is not None and name in wanted]


def _decorated(header: object) -> str | None:
    """Return the keyword of a header with something before or behind it, or None: PatientID_x, Accession (RIS)."""
    label = label_text(header) or ""
    parts = () if keyword(header) or _NO_IDENTIFIER.search("".join(_words(label))) else _SEPARATORS.split(label)
    return numbered_key(header) or next(filter(None, map(keyword, parts)), None)


def _in_other_words(header: object, cells: Sequence[object]) -> str | None:
    words = _words(label_text(header) or "")
    compact = "".join(words)
    if _PATIENT_ID.fullmatch(compact):
        return "PatientID"
    if _OWN_NUMBER.search(compact) or may_number_participants(header) or compact in _ALONE or not _are_numbers(cells):
        return None
    return _resembles(header)


def _are_numbers(cells: Iterable[object]) -> bool:
    """Tell whether cells look like a hospital's numbers of patients or studies."""
    filled = [str(cell).strip() for cell in cells if not is_blank(cell)]
    # A site, a protocol or a trial has the same number in all rows.
    is_constant = len(filled) > 2 and len(set(filled)) == 1
    return bool(filled) and not is_constant and all(map(_HOSPITAL_NUMBER.fullmatch, filled))


def keys_in_cells(columns: Iterable[tuple[object, Sequence[object]]], wanted: Collection[str]) -> str:
    """Return a sentence for each column whose cells are keys, although its header is not.

    Examples
    --------
    >>> keys_in_cells([("exam", ["1.2.840.113619.2"])], ["StudyInstanceUID"])[:64]
    " 'exam' holds UIDs, but its header was not understood: read_coho"
    >>> keys_in_cells([("variable", ["accession", "age"])], ["AccessionNumber"])[:63]
    " The cells of 'variable' name keys (AccessionNumber): give each"
    """
    found = []
    for header, cells in columns:
        shown = shown_header(header)
        named = dict.fromkeys(keyword(cell) for cell in cells if _is_word(cell))
        keys = [name for name in named if name is not None and name in wanted]
        if keys:
            how = "give each key a column of its own (pandas.DataFrame.pivot)"
            found.append(f" The cells of {shown} name keys ({', '.join(keys)}): {how}.")
        elif "StudyInstanceUID" in wanted and not tag_for_keyword(str(header)) and _are_uids(cells):
            how = f"read_cohort(path, columns={{{shown}: 'StudyInstanceUID'}}), if they are of studies"
            found.append(f" {shown} holds UIDs, but its header was not understood: {how}.")
    return "".join(found)


def _is_word(cell: object) -> bool:
    return isinstance(cell, str) and cell[:1].isalpha()  # 00100020 is a tag, and may be a number


def _are_uids(cells: Iterable[object]) -> bool:
    filled = [cell for cell in cells if not is_blank(cell)]
    return bool(filled) and all(
        isinstance(cell, str) and len(cell) >= _SHORTEST_UID and _ROOT.match(cell.strip()) and is_uid(cell.strip())
        for cell in filled
    )


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
    label = str(header)
    return "'...' (looks like a value)" if _VALUE.search(label) else repr(label)


def header_hint(found: Sequence[tuple[object, str]]) -> str:
    """Return a sentence about overlooked headers, with the remedy; empty if there are none."""
    if not found:
        return ""
    named = ", ".join(f"{shown_header(header)} ({name}?)" for header, name in found)
    header, name = found[0]
    return (
        f" These headers look like keys, but were not understood: {named}. Rename them, or say what they are: "
        f"read_cohort(path, columns={{{shown_header(header)}: '{name}'}})."
    )


def overlooked_series(columns: Iterable[object]) -> str | None:
    """Return a sentence about columns that may name series, so that the rows bring more than they name.

    Examples
    --------
    >>> overlooked_series(["StudyInstanceUID", "SeriesUID_ct"])[:72]
    'rows bring whole studies, although a column may name less of them. These'
    >>> overlooked_series(["StudyInstanceUID", "serious_thyroid"]) is None
    True
    """
    labels = list(columns)
    if not {"QueryRetrieveLevel", "SeriesInstanceUID"}.isdisjoint(map(keyword, labels)):
        return None
    hint = header_hint(overlooked_headers(labels, ["SeriesInstanceUID"]))
    return f"rows bring whole studies, although a column may name less of them.{hint}" if hint else None


def _words(label: str) -> list[str]:
    plain = without_accents(unicodedata.normalize("NFKC", without_invisible(label)))
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain).casefold())
