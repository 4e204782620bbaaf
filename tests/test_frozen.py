"""Frozen records: copies where something changes, and many of them at a time."""

from __future__ import annotations

import gc

import pandas as pd
import pytest

import dicomove as dm
from dicomove.frozen import changed, in_bulk
from dicomove.outcome import Counts, Evidence
from dicomove.testing import demo_pacs


def test_a_record_that_has_the_fields_already_is_itself() -> None:
    evidence = Evidence(counts=Counts(completed=2), expected=2)
    assert changed(evidence, expected=2, counts=Counts(completed=2)) is evidence
    other = changed(evidence, expected=2, received=1)
    assert (other.expected, other.received, evidence.received) == (2, 1, None)


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_search_for_cycles_is_as_it_was_before(was_enabled: bool) -> None:
    table = pd.DataFrame({"StudyInstanceUID": ["1.2.3.4"]})
    if not was_enabled:
        gc.disable()
    try:
        with demo_pacs() as pacs:
            dm.move(table, pacs, pacs.destination, progress=False)
            with pytest.raises(dm.CohortError):
                dm.move(table[[]], pacs, pacs.destination, progress=False)
        with pytest.raises(ZeroDivisionError), in_bulk():
            assert 1 / 0
        assert gc.isenabled() is was_enabled
    finally:
        gc.enable()
