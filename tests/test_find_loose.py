"""Accession numbers with other zeros or blanks: found only where that is asked for, and said."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import dicomove as dm
from dicomove.search.loose import loose_table
from dicomove.testing import RunningPacs, Synthetic
from tests.servers import Server

#: Accession numbers 000001 to 000012.
ARCHIVE = Synthetic(studies=12, instances=1, size=64)


def found(pacs: dm.Pacs, *accessions: str, **options: object) -> pd.DataFrame:
    table = pd.DataFrame({"accession": list(accessions), "arm": "a"})
    return dm.find(table, pacs, progress=False, **options)  # type: ignore[arg-type]  # the options of a test


def test_other_zeros_are_found_only_where_that_is_asked_for(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    pacs = rehearsal_pacs(ARCHIVE)
    assert found(pacs, "1")["outcome"].tolist() == ["empty"]
    assert "loose" not in found(pacs, "1")
    studies = found(pacs, "1", "000002", "99", "0000 12", "", loose=("AccessionNumber",))
    assert studies["outcome"].tolist() == ["matched", "matched", "empty", "matched", "invalid"]
    assert studies["loose"].fillna("").tolist() == ["AccessionNumber", "", "", "AccessionNumber", ""]
    assert studies["AccessionNumber"].tolist()[:2] == ["000001", "000002"]
    assert studies["AccessionNumber"].iloc[3] == "000012"
    assert studies["arm"].tolist() == ["a"] * 5
    assert "differs in zeros or blanks" in studies["advice"].iloc[0]
    assert dm.move(studies.head(1), pacs, pacs.destination, progress=False)["outcome"].tolist() == ["complete"]


def test_a_longer_number_is_another_one(rehearsal_pacs: Callable[..., RunningPacs]) -> None:
    """The wildcard for 1 matches 10, 11 and 12, too."""
    studies = found(rehearsal_pacs(ARCHIVE), "01", loose="AccessionNumber")
    assert studies["AccessionNumber"].tolist() == ["000001"]


def test_a_real_pacs(server: Server) -> None:
    studies = found(server.pacs, "A01", "A 0010", loose=("AccessionNumber",))
    assert studies["outcome"].iloc[-1] == "matched"
    assert studies["AccessionNumber"].iloc[-1] == "A0010"


@pytest.mark.parametrize("loose", ["PatientID", ("AccessionNumber", "StudyDate")])
def test_other_keys_never_match_loosely(rehearsal_pacs: Callable[..., RunningPacs], loose: object) -> None:
    with pytest.raises(dm.CohortError, match="only AccessionNumber may match"):
        found(rehearsal_pacs(ARCHIVE), "1", loose=loose)


def test_the_wildcards() -> None:
    cells = ["00123", "A 012", "A0012", "000", None]
    made = loose_table(pd.DataFrame({"AccessionNumber": cells}), ["AccessionNumber"], range(5))
    assert made["AccessionNumber"].fillna("").tolist() == ["*123*", "*A*12*", "*A*12*", "*0*", ""]
