"""By what a search at each level is cut, and who counts what it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomove.search.caps import Caps
from dicomove.words import ADVICE


@dataclass(frozen=True)
class Axis:
    """By what a search at a level is cut.

    Attributes
    ----------
    unique, date, time
        Keywords; a level without a date cannot be cut by it.
    texts
        The attributes by whose characters it is cut.
    number
        The attribute that numbers the answers.
    counted_by, above, upper
        The number of the answers that belong to one of the level above, this level, and its unique key.
    plural
        What the answers are.
    """

    unique: str
    date: str = ""
    time: str = ""
    texts: tuple[str, ...] = ()
    number: str = ""
    counted_by: str = ""
    above: str = ""
    upper: str = ""
    plural: str = ""


AXES: Final = {
    "PATIENT": Axis("PatientID", "PatientBirthDate", texts=("PatientID",), plural="patients"),
    "STUDY": Axis(
        *("StudyInstanceUID", "StudyDate", "StudyTime"),
        texts=("PatientID", "AccessionNumber", "StudyID"),
        plural="studies",
    ),
    "SERIES": Axis(
        *("SeriesInstanceUID", "SeriesDate", "SeriesTime"),
        number="SeriesNumber",
        counted_by="NumberOfStudyRelatedSeries",
        above="STUDY",
        upper="StudyInstanceUID",
        plural="series",
    ),
    "IMAGE": Axis(
        "SOPInstanceUID",
        number="InstanceNumber",
        counted_by="NumberOfSeriesRelatedInstances",
        above="SERIES",
        upper="SeriesInstanceUID",
        plural="instances",
    ),
}
#: What to do about a list that cannot be completed, by the level; of studies, `ADVICE` has it.
CAPPED: Final = {
    "patients": "There may be patients that the PACS does not tell: ask by PatientID, or for studies by date.",
    "series": "There are series that the PACS does not tell: ask by Modality or SeriesNumber, or move the whole study.",
    "instances": "There are instances that the PACS does not tell: move the whole series.",
    "studies": ADVICE["capped"],
}


def limit(caps: Caps) -> str:
    """Say what is known of the PACS's limit."""
    if caps.hides is not None:
        few = "nothing" if caps.hides == 0 else f"{caps.hides} of the matches"
        return f"the PACS says Success and gives {few} where a search matches too much"
    if caps.is_unsteady:
        return "the PACS gives a limited number of answers, and not always the same"
    if caps.most:
        return f"the PACS gives at most {caps.most} answers"
    if caps.most_of_a_patient:
        return f"the PACS gives at most {caps.most_of_a_patient} answers of one patient"
    return "the PACS does not answer so broad a search"
