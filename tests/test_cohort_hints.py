from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, strategies as st

import dicomove as dm
from dicomove import find, read_cohort
from dicomove.cohort import Level, unasked_columns, uncompared_keys, unlikely_values
from dicomove.cohort.doubts import unlikely
from dicomove.errors import CohortWarning, FindWarning
from dicomove.testing import demo_pacs

ROWS = pd.DataFrame({"PatientID": ["7", "7"], "AccessionNumber": ["A1", "A2"], "StudyDate": ["20240105", "20240106"]})


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (ROWS.set_index("AccessionNumber"), "AccessionNumber is the index"),
        (ROWS.groupby("PatientID").first(), "PatientID is the index"),
        (ROWS.set_index(["StudyDate", "PatientID"]), "PatientID, StudyDate is the index"),
        (ROWS.rename(columns={"PatientID": "mrn"}).set_index("mrn"), "PatientID is the index"),
        (ROWS, None),
        (ROWS.set_index(pd.Index([3, 4], name="InstanceNumber")), None),
        (ROWS.set_index(pd.Index(["7", "7"], name="PatientID")), None),  # it is a column, too
    ],
)
def test_a_key_that_is_the_index_is_named(table: pd.DataFrame, named: str | None) -> None:
    said = " ".join(unasked_columns(table, by_uid=False))
    assert (named in said) if named else not said


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        ({"PatientID": "7", "AccessionNumber": ""}, "AccessionNumber is blank"),
        ({"PatientID": "7", "AccessionNumber": None, "StudyDate": pd.NaT}, "AccessionNumber and StudyDate are blank"),
        ({"PatientID": "7", "StudyDate": "\u200e"}, "StudyDate is blank"),
        ({"PatientID": float("nan"), "AccessionNumber": "A1"}, "PatientID is blank"),
        ({"PatientID": "7", "AccessionNumber": "A1", "StudyDate": "", "StudyInstanceUID": ""}, None),
        ({"PatientID": "", "StudyInstanceUID": "1.2.3"}, None),
        ({"PatientID": "7", "PatientSex": "", "StudyDescription": ""}, None),
        ({"PatientID": "7", "StudyDate": "*"}, None),  # any day
        (
            {"PatientID": "7", "AccessionNumber": "????"},
            "AccessionNumber is blank, or only question marks, in every row",
        ),
    ],
)
def test_a_key_that_no_row_fills_is_named(cells: dict[str, object], named: str | None) -> None:
    said = " ".join(unasked_columns(pd.DataFrame({name: [cell] * 2 for name, cell in cells.items()}), by_uid=False))
    assert (named in said) if named else not said


def test_a_key_that_some_rows_fill_is_said_by_the_others() -> None:
    table = pd.DataFrame({"PatientID": ["7", "8"], "AccessionNumber": ["A1", ""]})
    assert unasked_columns(table, by_uid=False) == []


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        (["accession", "accession_2", "accession_3"], "'accession_2', 'accession_3'"),
        (["PatientID", "PatientID.1"], "'PatientID.1'"),
        (["mrn", "mrn 2"], "'mrn 2'"),
        (["PatientID", "AccessionNumber", "AccessionNumber_y"], "'AccessionNumber_y'"),
        (["PatientID", "PatientID_right"], "'PatientID_right'"),
        (["PatientID", "StudyDate", "StudyDate_2"], None),
        (["PatientID", "PatientID_other", "T1", "visit_2"], None),
    ],
)
def test_a_second_column_of_a_key_is_named(columns: list[str], named: str | None) -> None:
    said = " ".join(unasked_columns(pd.DataFrame([["1"] * len(columns)], columns=columns), by_uid=False))
    assert (named in said) if named else not said


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Onderzoeksnummer",
            "Accessienummer",
            "Henvisningsnummer",
            "Undersøgelsesnr.",
            "Undersökningsnummer",
            "Remissnr",
        ),
        *(
            "Tutkimusnumero",
            "Numer zlecenia",
            "Číslo žádanky",
            "Erişim No",
            "Begleitnummer",
            "検査番号",
            "オーダー番号",
        ),
        *(
            "检查号",
            "影像号",
            "檢查編號",
            "접수번호",
            "Номер исследования",
            "Αριθμός εξέτασης",
            "מספר בדיקה",
            "رقم الوصول",
        ),
        *("شماره پذیرش", "Anforderungs-Nr.", "N° d'examen", "Unters.-Nr.", "Vorgangsnummer", "ORDER_PROC_ID"),
        *("Nº do exame", "Numero accettazione", "Accessnummer", "Zugriffsnummer", "PACS ID"),
        *("MainDicomTags.AccessionNumber", "RIS/AccessionNumber [text]", "acc_1", "acc (RIS)", "Exam No"),
    ],
)
def test_an_accession_number_in_another_language_is_named(header: str) -> None:
    said = " ".join(unasked_columns(pd.DataFrame([["7", "1"]], columns=["PatientID", header]), by_uid=False))
    assert f"{header!r} (AccessionNumber?)" in said


@pytest.mark.parametrize(
    "header",
    [
        *("患者ID", "患者番号", "病历号", "住院号", "환자번호", "Номер пациента", "Κωδικός ασθενούς", "מספר מטופל"),
        *(
            "رقم المريض",
            "شماره پرونده",
            "کد ملی",
            "Potilasnumero",
            "Fødselsnummer",
            "Journalnr",
            "PESEL",
            "Rodné číslo",
        ),
        *(
            "Hasta No",
            "Codice fiscale",
            "MR No.",
            "Unit Number",
            "UHID",
            "Pt ID",
            "PTID",
            "BSN",
            "nº prontuário",
            "등록번호",
        ),
        *("Aufnahmenummer", "SAP-Nr", "TC Kimlik No", "№ истории болезни"),
    ],
)
def test_a_patient_in_another_language_is_named(header: str) -> None:
    said = " ".join(unasked_columns(pd.DataFrame([["A1", "1"]], columns=["AccessionNumber", header]), by_uid=False))
    assert f"{header!r} (PatientID?)" in said


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({"exam": ["1.2.840.113619.2.55.3", ""]}, "'exam' holds UIDs"),
        ({"key": ["2.25.329800735698586629295641978511506172918"] * 2}, "'key' holds UIDs"),
        ({"variable": ["age", "AccessionNumber"], "value": ["50", "A1"]}, "The cells of 'variable' name keys (Acc"),
        ({"field_name": ["exam_date", "accession"]}, "name keys (StudyDate, AccessionNumber)"),
        ({"version": ["1.2.840", "10.20.30.40"]}, None),
        ({"entropy": ["4.123456789012345", "0.4567890123456789"]}, None),
        ({"scanned": ["2024.01.05.10.30", "2024.02.17.11.45"]}, None),
        ({"exam": ["1.2.840.113619.2.55.3", "see the letter"]}, None),
        ({"FrameOfReferenceUID": ["1.2.840.113619.2.55.3"] * 2}, None),  # it is known, and another UID
        ({"AccessionNumber": ["A1", "A2"], "exam": ["1.2.840.113619.2.55.3"] * 2}, None),
        ({"StudyInstanceUID": ["1.2.3", "1.2.4"], "frame": ["1.2.840.113619.2.55.3"] * 2}, None),
        ({"tag": ["00080050", "00080020"], "arm": ["case", "control"]}, None),
        ({"measure": [1.5, None], "visits": [[1], [2]]}, None),
    ],
)
def test_a_column_whose_cells_are_keys_is_named(columns: dict[str, list[object]], named: str | None) -> None:
    said = " ".join(unasked_columns(pd.DataFrame({"PatientID": ["7", "8"], **columns}), by_uid=False))
    assert (named in said) if named else not said


@pytest.mark.parametrize(
    "header",
    [
        *("remission", "MR", "unit", "chart", "journal", "person_years", "性別", "年齢", "备注"),
        *(
            "procedure code",
            "accession_date",
            "order_status",
            "birth_date_mother",
            "consent_date",
            "date_of_inclusion",
            "data",
        ),
        *(
            "scan_data",
            "imaging data",
            "study_data",
            "data_acquisition",
            "participant",
            "USUBJID",
            "patient_age",
            "pat_age",
        ),
        *("PatientWeight", "exam_normal", "exam_abnormal", "case_notes", "order_node", "val_acc", "subject_age"),
        *("DATSCAN", "DT-MRI", "ct_data", "ct_dose", "us_status", "death_dt", "visit_date", "acquisition_nr"),
        *("Telefono paziente", "no_pathology"),
        *("exam_thyroid", "study_fluid_ml", "estudio_tiroides"),  # they end like "UID" and "OID"
        *("возраст", "tetkik sonucu", "Änderung", "Straße", "Código", "hetu_score", "badanie", "زمان"),
    ],
)
def test_other_words_are_left_alone(header: str) -> None:
    assert unasked_columns(pd.DataFrame([["A1", "1"]], columns=["AccessionNumber", header]), by_uid=False) == []
    assert unasked_columns(pd.DataFrame([["7", "1"]], columns=["PatientID", header]), by_uid=False) == []


@pytest.mark.parametrize(
    "header",
    [
        *("scan_date", "Untersuchungsdatum", "Study Date/Time", "StudyDateTime", "Datum", "date", "fecha de estudio"),
        *("MRI_date", "ct_datum", "Datum CT", "study_dt", "exam_dt", "scan_date_2", "performed_date", "AcqDate"),
        *(
            "date de l'examen",
            "Data esame",
            "data do exame",
            "data badania",
            "Onderzoeksdatum",
            "検査日",
            "检查日期",
            "дата исследования",
        ),
    ],
)
def test_a_date_that_is_not_understood_is_named_if_rows_bring_all_studies_of_a_patient(header: str) -> None:
    row = {"PatientID": "7", header: "05.01.2024"}
    assert f"{header!r} (StudyDate?)" in " ".join(unasked_columns(pd.DataFrame([row]), by_uid=False))
    for narrower in ({"AccessionNumber": "A1"}, {"StudyDate": "20240105"}):
        assert unasked_columns(pd.DataFrame([row | narrower]), by_uid=False) == []


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ("StudyInstanceUID.Value", "StudyInstanceUID"),
        ("Study Instance UID (0020,000D)", "StudyInstanceUID"),
        ("tags SeriesInstanceUID", "SeriesInstanceUID"),
        (("AccessionNumber", "first"), "AccessionNumber"),
        ("00080050.Value", "AccessionNumber"),
        ("0x00080050", "AccessionNumber"),
        ("(0008,0050) Accession Number", "AccessionNumber"),
    ],
)
def test_what_a_program_adds_to_a_keyword_does_not_hide_it(header: str | tuple[str, str], named: str) -> None:
    columns = (
        pd.Index(["PatientID", header])
        if isinstance(header, str)
        else pd.MultiIndex.from_tuples([("PatientID", ""), header])
    )
    said = " ".join(unasked_columns(pd.DataFrame([["7", "1"]], columns=columns), by_uid=False))
    assert f"({named}?)" in said


@pytest.mark.parametrize(
    ("header", "cell", "is_named"),
    [
        *((header, "7", True) for header in ("Patienten-ID", "ID du patient", "id_paciente", "Pasient ID", "患者ID")),
        *((header, "000123", True) for header in ("Patientennummer", "MR No.", "Potilasnumero", "Zugangsnummer")),
        *((header, "17", False) for header in ("Patientennummer", "patient_no", "Akzession")),
        *(
            (header, "100123", False)
            for header in ("subject_id", "Fallnummer", "hospital_id", "order_no", "Aufnahmenr")
        ),
        *(
            (header, "100123", False)
            for header in ("hospital_id_2", "lab_order_no", "Auftraggeber", "trial_registration_no")
        ),
        *((header, "3331234567", False) for header in ("Telefono paziente", "no_pathology")),
        *(("Patientencode", cell, False) for cell in ("0.93456", "9f86d081884c7d659a2feaa0c55ad015", "sub-000123.nii")),
        *((header, "out/100123", False) for header in ("dossier", "dossier patient")),
        *((header, "0.93456", False) for header in ("acc", "an", "pid", "patient")),
        ("pat_id_hash", "123456", False),
    ],
)
def test_a_number_in_other_words_beside_uids_is_named(header: str, cell: str, is_named: bool) -> None:
    said = uncompared_keys(pd.DataFrame({"StudyInstanceUID": ["1.2.3"], header: [cell]}))
    assert (said is not None and f"{header!r} (" in said) is is_named


def test_a_number_that_is_the_same_in_all_rows_names_no_patient() -> None:
    numbers = pd.DataFrame({"StudyInstanceUID": [f"1.2.{n}" for n in range(3)], "protokol no": "20150012"})
    assert uncompared_keys(numbers) is None
    assert uncompared_keys(numbers.assign(**{"protokol no": pd.Series([20150012.0, 20150013, None])})) is not None


def test_an_empty_table_and_a_table_of_find_have_no_blank_keys() -> None:
    assert unasked_columns(ROWS[:0], by_uid=False) == []
    found = pd.DataFrame({"cohort_row": [0], "PatientID": [""], "outcome": "matched", "matches": 1, "filtered": 0})
    assert unasked_columns(found, by_uid=False) == []


def test_find_warns_of_them_before_it_asks() -> None:
    cohort = pd.DataFrame({"StudyDate": ["20240110"]}, index=pd.Index(["P001"], name="PatientName"))
    with (
        demo_pacs() as pacs,
        pytest.warns(CohortWarning, match=r"without a column that may be meant. PatientName is the index"),
    ):
        dm.find(cohort.assign(AccessionNumber="A0001"), pacs, progress=False)


@pytest.mark.parametrize(
    ("value", "column", "named"),
    [
        ("NULL", "IssuerOfPatientID", "empty cell"),
        ("n/a", "StudyDescription", "empty cell"),
        ("UNKNOWN", "BodyPartExamined", "empty cell"),
        ("000123^^^HOSP^PI", "PatientID", "HL7"),
        ("A%", "AccessionNumber", "wildcards of C-FIND"),
        ("MRN: 000123", "PatientID", "a word before the number"),
        ("#000123", "PatientID", "a word before the number"),
        ("000123 (old: 77)", "PatientID", "brackets"),
        ("Hospital number", "PatientID", "no digit"),  # a second header, for people
        ("AccessionNumber", "PatientID", "header"),  # a table with its rows as columns
        ("Doe, Jane", "PatientName", r"no ^"),
        ("山田太郎", "PatientName", r"no ^"),
        ("Brak", "PatientName", r"no ^"),  # a surname
        ("unknown", "PatientName", "empty cell"),
        ("MÃ¼ller^Ã„nne", "PatientName", "UTF-8"),
        ("Ã\x81lvarez^Ana", "PatientName", "UTF-8"),  # read as Latin-1
        ("ct", "Modality", "capital"),
        ("Computed Tomography", "ModalitiesInStudy", "capital"),
        ("CT/MR", "ModalitiesInStudy", "single code"),
        ("CT, MR", "Modality", "single code"),
        ("MRI", "Modality", "is MR"),
        ("W", "PatientSex", "M, F and O"),
        ("female", "PatientSex", "capital"),
        ("2567-01-05", "StudyDate", "calendar"),
    ],
)
def test_cells_that_may_explain_an_empty_answer_are_named(value: str, column: str, named: str) -> None:
    said = unlikely(value, column)
    assert said is not None
    assert named in said
    assert value not in said


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("000123", "PatientID"),
        ("NULL", "PatientID"),  # the note of its row explains it
        ("00000", "AccessionNumber"),
        ("0", "StudyID"),
        ("A-12/2024", "AccessionNumber"),
        ("NO-12", "AccessionNumber"),
        ("00100020", "AccessionNumber"),  # also the tag of the PatientID
        ("24CTA2013", "AccessionNumber"),
        ("Doe^Jane", "PatientName"),
        ("doe*", "PatientName"),
        ("doe?", "PatientName"),
        ("Yamada^Tarou=山田^太郎", "PatientName"),
        ("Müller^Änne", "PatientName"),
        ("Ångström^Å", "PatientName"),
        ("C*", "Modality"),
        ("OPT", "ModalitiesInStudy"),
        ("CHEST", "BodyPartExamined"),
        ("HOSP", "IssuerOfPatientID"),
        ("M", "PatientSex"),
        ("F", "PatientSex"),
        ("O", "PatientSex"),
        ("20240105", "StudyDate"),
        ("20240105-", "StudyDate"),
        ("1030-103059.999999", "StudyTime"),
        ("CT HEAD (routine)", "StudyDescription"),
        ("1.2.840.113619", "StudyInstanceUID"),
    ],
)
def test_usual_values_need_no_explanation(value: str, column: str) -> None:
    assert unlikely(value, column) is None


@given(st.text(max_size=20), st.sampled_from(["PatientID", "PatientName", "Modality", "StudyDate", "StudyTime"]))
def test_any_value_has_an_answer(value: str, column: str) -> None:
    assert all(column in sentence for sentence in unlikely_values([(column, value)]))


def test_a_date_that_keeps_an_accession_number_from_matching_is_named() -> None:
    cohort = pd.DataFrame({"AccessionNumber": ["A0001", "A0001"], "exam date": ["20240110", "20240301"]})
    with demo_pacs() as pacs:
        found = find(cohort, pacs, progress=False)
    assert found["outcome"].tolist() == ["matched", "empty"]
    assert "may have this AccessionNumber with another StudyDate" in found["advice"][1]


def test_a_row_without_a_match_says_it_and_a_row_with_one_does_not() -> None:
    cohort = pd.DataFrame({"AccessionNumber": ["A0001", "A0001;A0002", "A9999"]})
    with demo_pacs() as pacs:
        found = find(cohort, pacs, progress=False)
    assert found["outcome"].tolist() == ["matched", "empty", "empty"]
    assert "several values in one cell" in found["advice"][1]
    assert found["advice"][[0, 2]].isna().all()


def test_a_word_for_an_empty_cell_is_said_whatever_it_matches(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    path.write_text("mrn,accession\nNULL,A0001\n")
    with pytest.warns(CohortWarning, match="PatientID: a word that often stands for an empty cell"):
        cohort = read_cohort(path)
    with (
        demo_pacs() as pacs,
        pytest.warns(FindWarning, match="1 of 1 rows are asked by a value of PatientID that often"),
    ):
        found = find(cohort, pacs, progress=False)
    assert "blank the cell" in found["advice"][0]
    assert found["advice"][0].count("empty cell") == 1


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (
            "PATIENT",
            "AccessionNumber and SeriesDescription are not asked for at the level PATIENT, but at the level SERIES",
        ),
        ("STUDY", "SeriesDescription is not asked for at the level STUDY, but at the level SERIES: level='SERIES'."),
        ("SERIES", ""),
    ],
)
def test_keys_of_a_lower_level_are_named(level: Level, said: str) -> None:
    cells = {"PatientID": "7", "accession": "A1", "Modality": "CT", "SeriesDescription": "T1*", "SeriesNumber": ""}
    columns = list(cells)[:2] + list(cells)[3:] if level == "PATIENT" else list(cells)
    table = pd.DataFrame({name: [cells[name]] for name in columns})
    assert " ".join(unasked_columns(table, by_uid=False, level=level)).startswith(said)
    assert bool(said) or not unasked_columns(table, by_uid=False, level=level)
