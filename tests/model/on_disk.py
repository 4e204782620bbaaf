"""What has to be true of a run into a `Receiver`."""

from __future__ import annotations

from typing import Final

import pandas as pd

import dicomove as dm
from tests.model.expected import has_inventory, is_honest, is_misled
from tests.model.run import Run
from tests.model.table import Asked
from tests.model.words import FORGES_COUNTS, LOSES_SILENTLY, SPOILS
from tests.model.world import Arrived, holds_soon, shared


def _there(run: Run, wanted: Asked) -> list[Arrived]:
    """Return what has landed of a row."""
    uids = {one.sop_instance_uid for one in run.world.instances(wanted)}
    return [one for one in run.landed if one.uid in uids]


def knows_what_there_is(run: Run, wanted: Asked) -> bool:
    """Whether somebody tells truly how many instances there are, or the PACS's counts can be taken for it."""
    if wanted.level == "IMAGE" or has_inventory(run, wanted):
        return True
    met = {fault.name for fault in run.may_meet(wanted)}
    return is_honest(run, wanted) and not met & (LOSES_SILENTLY | FORGES_COUNTS) and not is_misled(run, wanted)


def complete_is_on_disk(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        if verdict["outcome"] == "complete":
            assert _there(run, wanted), f"{wanted} is complete, and nothing of it is on disk"
            missing = len(run.world.instances(wanted)) - len(_there(run, wanted))
            assert not missing or not knows_what_there_is(run, wanted), f"{wanted} is complete without {missing}"


def what_is_on_disk_is_complete_whatever_the_pacs_said(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        whole = len(run.world.instances(wanted))
        if verdict["attempts"] and not run.interrupted and verdict["expected"] is not pd.NA:
            all_there = 0 < whole == len(_there(run, wanted)) == verdict["expected"]
            assert not all_there or verdict["outcome"] == "complete", f"{wanted} is on disk: {verdict}"


def what_is_on_disk_is_what_the_pacs_holds(run: Run) -> None:
    if any(fault.name in SPOILS for fault in run.world.faults):
        return
    held = {one.sop_instance_uid: one for one in run.world.archive.instances}
    for one in run.landed:
        assert one.data_set == held[one.uid].read(), one


def received_and_bytes_are_what_is_on_disk(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        there = _there(run, wanted)
        if pd.isna(verdict["received"]):
            assert pd.isna(verdict["bytes"])
            assert pd.isna(verdict["missing"])
            assert not verdict["attempts"] or run.interrupted, f"{wanted}: {verdict}"
            continue
        assert verdict["received"] <= len(there), f"{wanted}: {verdict}"
        if not run.interrupted:
            assert verdict["received"] == len(there), f"{wanted}: {verdict}, and {len(there)} are on disk"
            assert verdict["bytes"] == sum(one.size for one in there)


def missing_is_what_is_expected_and_not_on_disk(run: Run) -> None:
    for wanted, verdict in run.verdicts():
        whole, received, missing = (verdict[name] for name in ("expected", "received", "missing"))
        if pd.isna(missing):
            assert pd.isna(received) or pd.isna(whole), f"{wanted}: {verdict}"
        elif pd.notna(whole):
            assert missing == max(0, whole - received), f"{wanted}: {verdict}"


def nothing_unrequested_is_outside_of_quarantine(run: Run) -> None:
    asked_for = {one.sop_instance_uid for wanted in run.asked if wanted for one in run.world.instances(wanted)}
    assert run.arrived <= asked_for


def the_record_is_that_of_the_files(run: Run) -> None:
    manifest = shared().receiver.manifest()
    there = manifest[manifest["path"].map(lambda path: (shared().receiver.folder / path).is_file()).astype(bool)]
    assert set(dm.verify(there)["verified"]) <= {"ok"}
    kept = there[there["quarantine"].isna()]
    assert sorted(kept["SOPInstanceUID"]) == sorted(one.uid for one in run.landed)


def nothing_is_left_of_what_went_wrong_at_the_receiver(run: Run) -> None:
    ground = shared()
    assert ground.receiver.pid == ground.pid, "it died"
    assert holds_soon(lambda: not ground.half_written(), 5), ground.half_written()
    back = holds_soon(ground.is_as_it_was, 10)
    assert back, f"threads and file descriptors: {ground.opened()}, and {ground.open} when it was new"
    if run.returned is not None:
        assert not set(run.result["error"].dropna()) & {"storage_failed", "receiver_failed"}


#: Of every run into a receiver, and of one that returns a table.
OF_A_RECEIVER: Final = (
    what_is_on_disk_is_what_the_pacs_holds,
    nothing_unrequested_is_outside_of_quarantine,
    the_record_is_that_of_the_files,
    nothing_is_left_of_what_went_wrong_at_the_receiver,
)
OF_A_RECEIVERS_TABLE: Final = (
    complete_is_on_disk,
    what_is_on_disk_is_complete_whatever_the_pacs_said,
    received_and_bytes_are_what_is_on_disk,
    missing_is_what_is_expected_and_not_on_disk,
)
