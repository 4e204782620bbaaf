"""A warning names the line that called dicomove, however deep within it the reason was found."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pandas as pd
import pytest

import dicomove as dm
from dicomove.errors import DicomoveWarning
from dicomove.testing import RunningPacs, demo_pacs

#: The second row has no accession number, and may match more than the first.
COHORT = pd.DataFrame({"PatientID": ["PAT-0010", "PAT-0011"], "AccessionNumber": ["A0010", ""], "outcome": "alive"})
STUDIES = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4"], "outcome": "alive", "action": "none"})


@pytest.fixture(scope="module")
def pacs() -> Iterator[RunningPacs]:
    with demo_pacs() as pacs:
        yield pacs


def _find(pacs: RunningPacs) -> object:
    return dm.find(COHORT, pacs, progress=False)


def _retrieve(pacs: RunningPacs) -> object:
    return dm.retrieve(COHORT, pacs, pacs.destination, progress=False)


def _plan(pacs: RunningPacs) -> object:
    return dm.plan(STUDIES, pacs, progress=False)


def _move(pacs: RunningPacs) -> object:
    return dm.move(STUDIES, pacs, pacs.destination, progress=False)


def _start_move(pacs: RunningPacs) -> object:
    return dm.start_move(STUDIES, pacs, pacs.destination, progress=False).wait()


@pytest.mark.parametrize("verb", [_find, _retrieve, _plan, _move, _start_move])
def test_each_verb_names_the_line_that_called_it(verb: Callable[[RunningPacs], object], pacs: RunningPacs) -> None:
    with pytest.warns(DicomoveWarning) as caught:
        verb(pacs)
    assert {one.filename for one in caught} == {__file__}
    assert {one.lineno for one in caught} == {verb.__code__.co_firstlineno + 1}


def test_each_cell_of_a_notebook_shows_it(pacs: RunningPacs) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        dm.find(COHORT, pacs, progress=False)
        dm.find(COHORT, pacs, progress=False)
    lines = [one.lineno for one in caught if issubclass(one.category, dm.errors.FindWarning)]
    assert len(lines) == len(set(lines)) == 2
