"""Random cohorts with random damage, at a PACS that holds strangers and has any fault: no stranger's image has a name.

In CI the examples are the same each time. To look for more::

    DICOMOVE_STRANGERS_EXAMPLES=5000 pytest tests/strangers
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

import dicomove as dm
from dicomove.testing import faults
from dicomove.testing.faults.base import Fault
from dicomove.testing.faults.instances import Mislabels
from tests.model.world import World
from tests.strangers.arrival import (
    Arrival,
    arrive,
    every_matched_row_tells_by_what_it_was_asked,
    no_request_has_a_hole,
    no_row_of_find_is_of_another_patient,
    no_stranger_is_on_disk,
)
from tests.strangers.cohorts import (
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
from tests.strangers.holdings import archive

_ASKED_FOR: Final = int(os.environ.get("DICOMOVE_STRANGERS_EXAMPLES", "0"))
pytestmark = pytest.mark.timeout(400 + 3 * _ASKED_FOR)

#: Such a PACS says of another patient's study that it is what was asked for: only the images themselves tell.
LIES_ABOUT_THE_PATIENT: Final = {"find-echoes-keys"}


def profile(examples: int) -> settings:
    """The same examples each time, or else as many others as were asked for."""
    return settings(
        max_examples=_ASKED_FOR or examples,
        derandomize=not _ASKED_FOR,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    )


ways = st.sampled_from(
    [(level, "StudyRoot") for level in ("STUDY", "STUDY", "SERIES", "IMAGE")]
    + [(level, "PatientRoot") for level in ("PATIENT", "STUDY", "SERIES", "IMAGE")]
)
_ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"seconds": 0.01},
    "late-cancel": {"seconds": 0.05},
    "pending-forever": {"interval_s": 0.02},
    "dies": {"back_after_s": 0.05},
}


@st.composite
def present(draw: st.DrawFn) -> tuple[Fault, ...]:
    """Half of the time none, else one or two, some of them now and then."""
    names = draw(st.just([]) | st.lists(st.sampled_from(sorted(faults.BY_NAME)), min_size=1, max_size=2, unique=True))
    if {*names} >= {"pending-forever", "no-pendings"}:
        names = ["pending-forever"]
    if sum(issubclass(faults.BY_NAME[name], Mislabels) for name in names) > 1:  # the second cannot read the first's
        names = names[:1]
    return tuple(
        faults.BY_NAME[name](**_ARGUMENTS.get(name, {}), probability=draw(st.sampled_from([1.0, 1.0, 0.5])))
        for name in names
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
        no_stranger_is_on_disk(arrival, named)
        no_row_of_find_is_of_another_patient(arrival, named)
    no_request_has_a_hole(arrival)
    every_matched_row_tells_by_what_it_was_asked(arrival)
    return arrival


@profile(60)
@given(cohort=cohorts(objects=True), way=ways, met=present(), at_once=st.booleans())
def test_a_table(cohort: Cohort, way: tuple[str, str], met: tuple[Fault, ...], *, at_once: bool) -> None:
    check(cohort, lambda: as_frame(cohort), way, met, at_once=at_once)


@profile(60)
@given(cohort=cohorts(objects=False), file=text_files, way=ways, met=present(), at_once=st.booleans())
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
@given(cohort=cohorts(objects=False), book=workbooks, way=ways, met=present(), at_once=st.booleans())
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
