"""Random cohorts with random damage, at a PACS with other patients and any fault: no other patient's image has a name.

In CI the examples are the same each time. To look for more::

    DICOMOVE_OTHER_PATIENTS_EXAMPLES=5000 pytest tests/other_patients
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import event, given, strategies as st

import dicomove as dm
from dicomove.testing.faults.base import Fault
from tests.model.world import World
from tests.other_patients.archive import archive
from tests.other_patients.arrival import (
    Arrival,
    arrive,
    every_matched_row_tells_by_what_it_was_asked,
    no_other_patient_is_on_disk,
    no_request_has_a_hole,
    no_row_of_find_is_of_another_patient,
)
from tests.other_patients.cohorts import (
    Cohort,
    TextFile,
    Workbook,
    as_frame,
    as_text,
    as_workbook,
    cohorts,
    text_files,
    workbooks,
)
from tests.other_patients.examples import TIMEOUT_S, profile, some_faults

pytestmark = pytest.mark.timeout(TIMEOUT_S)

#: Such a PACS says of another patient's study that it is what was asked for: only the images themselves tell.
LIES_ABOUT_THE_PATIENT: Final = {"find-echoes-keys"}


ways = st.sampled_from(
    [(level, "StudyRoot") for level in ("STUDY", "STUDY", "SERIES", "IMAGE")]
    + [(level, "PatientRoot") for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")]
)


def check(cohort: Cohort, read: Any, way: tuple[str, str], met: tuple[Fault, ...], *, at_once: bool) -> Arrival:
    level, query_model = way
    with World(archive()) as world:
        world.meets(met)
        endless = any(fault.name == "pending-forever" for fault in met)
        arrival = arrive(
            world, read, level=level, query_model=query_model, at_once=at_once, total_timeout=1 if endless else None
        )
    for fault in met:
        event(f"fault {fault.name}")
    event(f"files of {len(arrival.patients_on_disk)} patients, refused: {arrival.refused is not None}")
    named = cohort.named(level)
    if not {fault.name for fault in met} & LIES_ABOUT_THE_PATIENT:
        no_other_patient_is_on_disk(arrival, named)
        no_row_of_find_is_of_another_patient(arrival, named)
    no_request_has_a_hole(arrival)
    every_matched_row_tells_by_what_it_was_asked(arrival)
    return arrival


@profile(60)
@given(cohort=cohorts(objects=True), way=ways, met=some_faults(), at_once=st.booleans())
def test_a_table(cohort: Cohort, way: tuple[str, str], met: tuple[Fault, ...], *, at_once: bool) -> None:
    check(cohort, lambda: as_frame(cohort), way, met, at_once=at_once)


@profile(60)
@given(cohort=cohorts(objects=False), file=text_files, way=ways, met=some_faults(), at_once=st.booleans())
def test_a_text_file(
    tmp_path_factory: pytest.TempPathFactory,
    cohort: Cohort,
    file: TextFile,
    way: tuple[str, str],
    met: tuple[Fault, ...],
    *,
    at_once: bool,
) -> None:
    path, read = as_text(cohort, file, _scratch(tmp_path_factory) / "cohort.csv")
    check(read, lambda: dm.read_cohort(path), way, met, at_once=at_once)


@profile(60)
@given(cohort=cohorts(objects=False), book=workbooks, way=ways, met=some_faults(), at_once=st.booleans())
def test_a_workbook(
    tmp_path_factory: pytest.TempPathFactory,
    cohort: Cohort,
    book: Workbook,
    way: tuple[str, str],
    met: tuple[Fault, ...],
    *,
    at_once: bool,
) -> None:
    path, read = as_workbook(cohort, book, _scratch(tmp_path_factory) / "cohort.xlsx")
    check(read, lambda: dm.read_cohort(path), way, met, at_once=at_once)


def _scratch(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp()
