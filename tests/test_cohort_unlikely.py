from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomove import find, read_cohort
from dicomove.cohort import unlikely_values
from dicomove.cohort.unlikely import unlikely
from dicomove.errors import CohortWarning
from dicomove.testing import demo_pacs


@pytest.mark.parametrize(
    ("value", "column", "named"),
    [
        ("NULL", "PatientID", "empty cell"),
        ("NULL", "IssuerOfPatientID", "empty cell"),
        ("n/a", "StudyDescription", "empty cell"),
        ("UNKNOWN", "BodyPartExamined", "empty cell"),
        ("000123^^^HOSP^PI", "PatientID", "HL7"),
        ("00000", "AccessionNumber", "only zeros"),
        ("A%", "AccessionNumber", "wildcards of C-FIND"),
        ("MRN: 000123", "PatientID", "a word before the number"),
        ("#000123", "PatientID", "a word before the number"),
        ("000123 (old: 77)", "PatientID", "brackets"),
        ("Doe, Jane", "PatientName", r"no ^"),
        ("山田太郎", "PatientName", r"no ^"),
        ("MÃ¼ller^Ã„nne", "PatientName", "UTF-8"),
        ("ct", "Modality", "capital"),
        ("Computed Tomography", "ModalitiesInStudy", "capital"),
        ("CT/MR", "ModalitiesInStudy", "single code"),
        ("CT, MR", "Modality", "single code"),
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
        ("A-12/2024", "AccessionNumber"),
        ("NO-12", "AccessionNumber"),
        ("Doe^Jane", "PatientName"),
        ("doe*", "PatientName"),
        ("Yamada^Tarou=山田^太郎", "PatientName"),
        ("Müller^Änne", "PatientName"),
        ("Ångström^Å", "PatientName"),
        ("C*", "Modality"),
        ("OPT", "ModalitiesInStudy"),
        ("CHEST", "BodyPartExamined"),
        ("HOSP", "IssuerOfPatientID"),
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
    with demo_pacs() as pacs:
        found = find(cohort, pacs, progress=False)
    assert "blank the cell" in found["advice"][0]
    assert found["advice"][0].count("empty cell") == 1
