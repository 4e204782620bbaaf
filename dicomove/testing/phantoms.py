"""A small archive of volumes: heads made of ellipsoids, with a correct position of each slice in space.

Three patients, one study each: a whole MR volume; one with a missing and a repeated slice; and a whole CT volume. UIDs
and files are the same every time. A bright ball lies in the left half of each head.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from dicomove.testing.images import write_archive

_SIDE: Final = 64
_PIXEL_MM: Final = 3.0
_AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_SAGITTAL: Final = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
_CORONAL: Final = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
#: Ellipsoids: centre, radii (left, back, up), and their values in MR and CT. A later one covers an earlier one.
_HEAD: Final = (
    ((0, 0, 0), (70, 88, 85), 120, 900),
    ((0, -90, -15), (12, 14, 16), 200, 60),
    ((0, 0, 0), (64, 80, 78), 420, 40),
    ((0, 5, 10), (14, 26, 16), 90, 5),
    ((38, -15, 20), (12, 12, 12), 900, 300),
)
_COMMON: Final = {
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "ReferringPhysicianName": "",
    "Manufacturer": "dicomove",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "AcquisitionNumber": 1,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": _SIDE,
    "Columns": _SIDE,
    "PixelSpacing": [_PIXEL_MM, _PIXEL_MM],
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "PixelRepresentation": 0,
}
_MR: Final = {
    "SOPClassUID": MRImageStorage,
    "Modality": "MR",
    "BodyPartExamined": "HEAD",
    "ScanningSequence": "GR",
    "SequenceVariant": "SP",
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "MagneticFieldStrength": 3,
    "RepetitionTime": 2000,
    "EchoTime": 3,
    "EchoTrainLength": 1,
    "FlipAngle": 9,
}
_CT: Final = {
    "SOPClassUID": CTImageStorage,
    "Modality": "CT",
    "BodyPartExamined": "HEAD",
    "KVP": 120,
    "RescaleIntercept": -1024,
    "RescaleSlope": 1,
    "RescaleType": "HU",
    "ConvolutionKernel": "H30",
}


@dataclass(frozen=True, slots=True)
class _Patient:
    patient_id: str
    name: str
    accession: str
    date: str
    size: float


@dataclass(frozen=True, slots=True)
class _Series:
    """The slices of a series: number, orientation, and distance from the middle along the normal."""

    number: int
    description: str
    slices: Sequence[tuple[int, tuple[float, ...], float]]
    thickness_mm: float


_THREE: Final = _Series(1, "Localizer", [(1, _AXIAL, 0), (2, _SAGITTAL, 0), (3, _CORONAL, 0)], 6)
_T1: Final = _Series(2, "T1 sagittal", [(n, _SAGITTAL, 4 * n - 82) for n in range(1, 41)], 4)
#: The 13th slice is missing, and the 21st was sent once more at the end.
_DAMAGED: Final = _Series(2, "T1 sagittal", [*_T1.slices[:12], *_T1.slices[13:], (41, *_T1.slices[20][1:])], 4)
_HEAD_CT: Final = _Series(1, "Head", [(n, _AXIAL, 6 * n - 102) for n in range(1, 34)], 6)

_STUDIES: Final = (
    (_Patient("000501", "PHANTOM^ONE", "P0001", "20240901", 1.0), "MR Head", (_THREE, _T1)),
    (_Patient("000502", "PHANTOM^TWO", "P0002", "20240902", 0.94), "MR Head", (_THREE, _DAMAGED)),
    (_Patient("000503", "PHANTOM^THREE", "P0003", "20240903", 1.03), "CT Head", (_HEAD_CT,)),
)


def phantoms(folder: str | os.PathLike[str]) -> Path:
    """Write the archive into a folder, as ``{AccessionNumber}/{SeriesNumber}/{InstanceNumber}.dcm``.

    Parameters
    ----------
    folder
        The folder; it is created if necessary.

    Returns
    -------
    Path
        The folder, for `demo_pacs` or `RehearsalPacs`.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import dicomove as dm
    >>> table = dm.index(phantoms(mkdtemp()), progress=False)
    >>> table[["Modality", "instances", "gaps", "duplicates", "instance_numbers_missing", "is_volume"]]
      Modality  instances  gaps  duplicates  instance_numbers_missing  is_volume
    0       MR          3     0           0                         0      False
    1       MR         40     0           0                         0       True
    2       MR          3     0           0                         0      False
    3       MR         40     1           1                         1      False
    4       CT         33     0           0                         0       True
    """
    return write_archive(Path(folder), _images())


def _images() -> Iterator[Dataset]:
    for patient, description, several in _STUDIES:
        for series in several:
            for number, orientation, place in series.slices:
                image = _described(patient, description, series)
                _number(image, number)
                _place(image, orientation, place, patient.size)
                yield image


def _described(patient: _Patient, description: str, series: _Series) -> Dataset:
    image = Dataset()
    for keyword, value in {**_COMMON, **(_CT if description.startswith("CT") else _MR)}.items():
        setattr(image, keyword, value)
    image.PatientID, image.PatientName = patient.patient_id, patient.name
    image.AccessionNumber = image.StudyID = patient.accession
    image.StudyDate = image.SeriesDate = image.AcquisitionDate = patient.date
    image.StudyTime = image.SeriesTime = image.AcquisitionTime = "080000"
    image.StudyDescription, image.SeriesDescription = description, series.description
    image.ProtocolName = series.description
    image.SeriesNumber, image.SliceThickness = series.number, series.thickness_mm
    image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER" if len(series.slices) == len(_THREE.slices) else "M"]
    image.StudyInstanceUID = _uid(patient.accession)
    image.SeriesInstanceUID = _uid(patient.accession, series.number)
    image.FrameOfReferenceUID = _uid(patient.accession, "frame")
    return image


def _number(image: Dataset, number: int) -> None:
    image.InstanceNumber = number
    image.SOPInstanceUID = _uid(image.AccessionNumber, image.SeriesNumber, number)
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _place(image: Dataset, orientation: Sequence[float], place: float, size: float) -> None:
    """Write the position of a slice, and its pixels."""
    along, down = np.array(orientation[:3]), np.array(orientation[3:])
    corner = np.cross(along, down) * place - (along + down) * _PIXEL_MM * (_SIDE - 1) / 2
    image.ImageOrientationPatient = list(orientation)
    image.ImagePositionPatient = [round(float(value), 3) for value in corner]
    steps = np.arange(_SIDE) * _PIXEL_MM
    places = corner + steps[:, None, None] * down + steps[None, :, None] * along
    image.PixelData = _shown(places / size, is_ct=image.Modality == "CT").astype("<u2").tobytes()


def _shown(places: npt.NDArray[np.float64], *, is_ct: bool) -> npt.NDArray[np.int64]:
    """Return the stored value at each place, in mm from the middle of the head: left, back, up."""
    found = np.full(places.shape[:-1], 24 if is_ct else 0)
    for centre, radii, mr, ct in _HEAD:
        found[(((places - centre) / radii) ** 2).sum(axis=-1) <= 1] = ct + 1024 if is_ct else mr
    return found


def _uid(*parts: object) -> str:
    return generate_uid(entropy_srcs=["dicomove phantom", *map(str, parts)])
