"""Asks the PACS whose a study is before it is moved, and compares the answer with the rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from dicomove.cohort import Identifier
from dicomove.outcome import NOT_COMPARED
from dicomove.run.attempt.inventory import Inventory
from dicomove.run.table.patients import contradicted, doubtful_keys, is_of_unknown_patient


@dataclass(frozen=True, slots=True)
class PatientCheck:
    """What the PACS says of the patient of a study.

    Attributes
    ----------
    contrary
        The key for which it has another value than the rows, or no match; ``None`` if it does not contradict them.
    is_of_unknown_patient
        Whether rows name several patients, and nothing says which of them it is of.
    is_patient_unknown
        Whether the rows name a PatientID, and the PACS does not give it.
    doubtful
        As in `doubtful_keys`; `NOT_COMPARED` if the PACS did not answer.
    """

    contrary: str | None = None
    is_of_unknown_patient: bool = False
    is_patient_unknown: bool = False
    doubtful: tuple[str, ...] = ()


def check_patient(
    inventory: Inventory,
    identifier: Identifier,
    named: Mapping[str, Collection[str]],
    *,
    is_there: bool | None,
    at_receiver: bool,
) -> PatientCheck:
    """Ask the PACS for the patient of a typed row.

    Parameters
    ----------
    inventory
        Asks the PACS.
    identifier
        The identifier of the row.
    named
        The values of its keys that are not sent, by keyword.
    is_there
        Whether the PACS has it below the keys above it; ``None`` if the PACS was not asked.
    at_receiver
        Whether a receiver compares the images with the row.
    """
    answer = inventory.values(identifier, named) if named else {}
    there = answer or {}
    contrary = contradicted(there, named)
    doubtful = doubtful_keys(there, named, at_receiver=at_receiver)
    if answer is None and not (at_receiver and "PatientID" in named):  # the images show the PatientID
        doubtful = (NOT_COMPARED,)
    # Some PACS, Orthanc for one, move by the UID of the level alone, and ignore the study and patient above it.
    if contrary is None and len(identifier.keys) > 1:
        is_elsewhere = inventory.is_elsewhere(identifier) if is_there is None else not is_there
        if is_elsewhere:
            contrary, more = _elsewhere(inventory, identifier, at_receiver=at_receiver)
            doubtful = (*doubtful, *more)
        elif is_elsewhere is None and not at_receiver:  # the images show the UIDs above it
            doubtful = (*doubtful, NOT_COMPARED)
    is_undecided = is_of_unknown_patient(identifier, there, named, at_receiver=at_receiver)
    is_blank = "PatientID" in there and not there["PatientID"] and not at_receiver
    if contrary is None and is_blank and not is_undecided:
        is_of_none = _is_of_none(inventory, identifier, named["PatientID"])
        contrary = "PatientID" if is_of_none else None
        doubtful = (*doubtful, NOT_COMPARED) if is_of_none is None else doubtful
    is_unknown = "PatientID" in named and not there.get("PatientID")
    return PatientCheck(contrary, is_undecided, is_unknown, tuple(dict.fromkeys(doubtful)))


def _elsewhere(
    inventory: Inventory, identifier: Identifier, *, at_receiver: bool
) -> tuple[str | None, tuple[str, ...]]:
    """Return the key by which the PACS has it elsewhere, and doubtful keys; for a study, look whose it is."""
    key, patient = identifier.keys[-1][0], identifier.get("PatientID")
    if identifier.level != "STUDY" or patient is None:
        return key, ()
    study = replace(identifier, query_model="StudyRoot", keys=identifier.keys[-1:])
    named = {"PatientID": [patient]}
    there = inventory.values(study, named) or {}
    if not there.get("PatientID"):
        return key, ()
    # In another spelling, it is the same patient. The PACS decides whether it moves the study.
    return contradicted(there, named), doubtful_keys(there, named, at_receiver=at_receiver)


def _is_of_none(inventory: Inventory, identifier: Identifier, patients: Collection[str]) -> bool | None:
    """Return whether the PACS, which leaves the PatientID blank, finds the study with none of these.

    It is ``None`` if the PACS does not answer.
    """
    study = replace(identifier, level="STUDY", keys=identifier.study_keys)
    for patient in patients:
        if not (is_elsewhere := inventory.is_elsewhere(replace(study, keys=(("PatientID", patient), *study.keys)))):
            return is_elsewhere
    return True
