"""When C-FIND is asked what there should be, and what an earlier run has done already."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

import dicomove as dm
from dicomove.errors import VerificationWarning
from dicomove.outcome import Counts, Evidence
from dicomove.run.inventory import Inventory
from dicomove.testing import Synthetic, faults
from tests import receiving
from tests.run_events import BUSY, SUCCESS, UNABLE, identifier

SOURCE = Synthetic(studies=2, instances=3, size=512)


class Asked(dm.FindScu):
    """A `FindScu` that must not be needed: each C-FIND would fail at once, and count."""

    def __init__(self) -> None:
        super().__init__(dm.Pacs("127.0.0.1:1", connect_timeout=1))
        self.queries = 0

    def find_studies(self, *arguments: Any, **options: Any) -> Any:
        self.queries += 1
        return super().find_studies(*arguments, **options)


@pytest.mark.parametrize(
    ("evidence", "asks"),
    [
        (Evidence(status=SUCCESS, counts=Counts(completed=2, at_end=True)), True),
        (Evidence(status=UNABLE, counts=Counts(completed=0)), True),
        (Evidence(status=UNABLE), True),
        (Evidence(status=UNABLE, counts=Counts(completed=2)), False),
        (Evidence(status=BUSY), False),
        (Evidence(status=None, problem="connection_lost"), False),
        (Evidence(status=SUCCESS, cancelled=True), False),
    ],
    ids=["success", "nothing moved", "no counts", "some moved", "busy", "no answer", "cancelled"],
)
def test_c_find_is_asked_only_where_the_number_can_change_the_outcome(evidence: Evidence, asks: object) -> None:
    with Asked() as scu:
        inventory = Inventory(scu, "counts", threading.Event())
        inventory.expected(evidence, identifier(1), None)
    assert (scu.queries > 0) is asks


def test_a_row_of_which_a_file_is_gone_from_the_journal_is_moved_again(tmp_path: Path) -> None:
    """Fewer files than were received: what the journal lists is on disk, and it does not list all."""
    table = receiving.studies(SOURCE, 2)
    with receiving.receiver(tmp_path) as receiver, receiving.pacs(receiver, source=SOURCE) as pacs:
        dm.move(table, pacs, receiver, progress=False)
        assert receiving.outcomes(dm.move(table, pacs, receiver, progress=False)) == ["resumed"] * 2
        with sqlite3.connect(tmp_path / ".dicomove" / "journal.sqlite") as journal:
            journal.execute("DELETE FROM instances WHERE path = (SELECT min(path) FROM instances)")
        journal.close()
        assert sorted(receiving.outcomes(dm.move(table, pacs, receiver, progress=False))) == ["complete", "resumed"]


def test_a_c_find_that_knows_nothing_of_what_has_come_is_not_believed(tmp_path: Path) -> None:
    """It has no match. Two instances are on disk, and the PACS says that the third failed."""
    hides, loses = faults.CapsFind(most=0), faults.SomeFail(every=3)
    source = Synthetic(studies=2, instances=3, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, hides, loses, source=source) as pacs,
        pytest.warns(VerificationWarning),
    ):
        result = receiving.move(receiving.studies(source, 1), pacs, receiver)
    assert receiving.row(result, "outcome", "expected", "received") == ("partial", None, 2)


@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_a_cut_list_of_instances_is_not_the_whole(tmp_path: Path, keep: float) -> None:
    """The PACS has 12 instances, and lists 5."""
    source = Synthetic(studies=1, instances=12, size=64)
    with (
        receiving.receiver(tmp_path) as receiver,
        receiving.pacs(receiver, faults.CapsFind(most=5), faults.LosesInstances(keep=keep), source=source) as pacs,
    ):
        result = receiving.move(receiving.studies(source), pacs, receiver, verify="instances")
    outcome, expected, missing = receiving.row(result, "outcome", "expected", "missing")
    if keep < 1:
        assert (outcome, expected, missing) == ("partial", 12, 6)
    else:
        assert (outcome, missing) == ("complete", 0)
