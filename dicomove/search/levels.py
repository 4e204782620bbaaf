"""The attributes that split a search at each level, and those that count its matches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomove.search.limits import KnownLimits
from dicomove.words import ADVICE


@dataclass(frozen=True)
class Axis:
    """How a search at a level is split.

    Attributes
    ----------
    unique, date, time
        Keywords; a level without a date cannot be split by it.
    texts
        The attributes whose characters split it.
    number
        The attribute that numbers the matches.
    counted_by, above, upper
        The attribute that counts the matches at the level above, this level above, and its unique key.
    plural
        The word for the matches.
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
#: The remedy for an incomplete list, by the level; for studies it is in `ADVICE`.
CAPPED: Final = {
    "patients": "There may be patients that the PACS does not tell: ask by PatientID, or for studies by date.",
    "series": "There are series that the PACS does not tell: ask by Modality or SeriesNumber, or move the whole study.",
    "instances": "There are instances that the PACS does not tell: move the whole series.",
    "studies": ADVICE["capped"],
}


def limit(limits: KnownLimits) -> str:
    """Return a clause about the PACS's limit."""
    if limits.hides is not None:
        few = "nothing" if limits.hides == 0 else f"{limits.hides} of the matches"
        return f"the PACS says Success and gives {few} where a search matches too much"
    if limits.is_unsteady:
        return "the PACS gives a limited number of answers, and not always the same"
    if limits.most:
        return f"the PACS gives at most {limits.most} answers"
    if limits.most_of_a_patient:
        return f"the PACS gives at most {limits.most_of_a_patient} answers of one patient"
    return "the PACS does not answer so broad a search"
