"""A small archive of real images with an invented story: six patients, nine studies, twelve transfer syntaxes.

The images are the test files that come with pydicom. Their pixel data, waveforms and reports stay unchanged, in their
transfer syntax; patients and dates are invented. The story gives the same UIDs and the same files every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient of the story."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    charset: str


@dataclass(frozen=True, slots=True)
class Study:
    """One study of the story."""

    accession: str
    patient_id: str
    date: str
    description: str


# "000123" and "123" are two patients: without its zeros, a row brings the images of the other patient.
DEMO_PATIENTS = (
    Patient("000123", "DEMO^ADA", "19610412", "F", "ISO_IR 100"),
    Patient("000124", "DEMO^JÖRG", "19550930", "M", "ISO_IR 100"),
    Patient("000200", "DEMO^ŁUCJA", "19800101", "F", "ISO_IR 192"),
    Patient("000305", "DEMO^HANAKO=見本^花子=みほん^はなこ", "19720505", "F", r"\ISO 2022 IR 87"),
    Patient("007000", "DEMO^RAY", "19480229", "M", "ISO_IR 192"),
    Patient("123", "DEMO^BOB", "19990909", "M", "ISO_IR 100"),
)
# "A0010" begins with "A001": a careless wildcard finds both.
DEMO_STUDIES = (
    Study("A0001", "000123", "20240110", "CT Thorax with report"),
    Study("A0002", "000123", "20240617", "MR Head"),
    Study("A001", "000124", "20240201", "US Abdomen with report"),
    Study("A0010", "000305", "20240229", "CR Chest"),
    Study("A0100", "007000", "20240315", "RT Planning"),
    Study("A0101", "007000", "20240402", "CT Liver with segmentation"),
    Study("A0200", "000200", "20240520", "ECG at rest"),
    Study("A0201", "000200", "20240521", "Scanned documents"),
    Study("A0300", "123", "20241231", "NM Bone with CT"),
)
# Each file of pydicom, with its study and the number of its series.
DEMO_FILES = {
    "dicomdirtests/77654033/CT2/17106": ("A0001", 1),
    "dicomdirtests/77654033/CT2/17136": ("A0001", 1),
    "dicomdirtests/77654033/CT2/17166": ("A0001", 1),
    "dicomdirtests/77654033/CT2/17196": ("A0001", 1),
    "reportsi.dcm": ("A0001", 2),
    "MR_small.dcm": ("A0002", 1),
    "MR_small_implicit.dcm": ("A0002", 1),
    "MR_small_bigendian.dcm": ("A0002", 1),
    "MR_small_RLE.dcm": ("A0002", 2),
    "MR_small_jpeg_ls_lossless.dcm": ("A0002", 2),
    "MR_small_jp2klossless.dcm": ("A0002", 2),
    "ExplVR_BigEnd.dcm": ("A001", 1),
    "examples_jpeg2k.dcm": ("A001", 1),
    "examples_ybr_color.dcm": ("A001", 2),
    "test-SR.dcm": ("A001", 3),
    "dicomdirtests/77654033/CR1/6154": ("A0010", 1),
    "dicomdirtests/77654033/CR2/6247": ("A0010", 2),
    "dicomdirtests/77654033/CR3/6278": ("A0010", 3),
    "CT_small.dcm": ("A0100", 1),
    "rtstruct.dcm": ("A0100", 2),
    "rtplan.dcm": ("A0100", 3),
    "rtdose.dcm": ("A0100", 4),
    "rtdose_rle.dcm": ("A0100", 4),
    "693_J2KI.dcm": ("A0101", 1),
    "liver_1frame.dcm": ("A0101", 2),
    "waveform_ecg.dcm": ("A0200", 1),
    "SC_rgb_small_odd.dcm": ("A0201", 1),
    "SC_rgb_rle_2frame.dcm": ("A0201", 1),
    "SC_rgb_jpeg_dcmtk.dcm": ("A0201", 1),
    "SC_rgb_jpeg_gdcm.dcm": ("A0201", 1),
    "image_dfl.dcm": ("A0201", 2),
    "JPEGLSNearLossless_08.dcm": ("A0201", 2),
    "JPGExtended.dcm": ("A0300", 1),
    "dicomdirtests/98892001/CT2N/6293": ("A0300", 2),
    "dicomdirtests/98892001/CT2N/6924": ("A0300", 2),
}
_IDENTIFYING = (
    "IssuerOfPatientID",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientAddress",
    "PatientAge",
    "PatientComments",
    "EthnicGroup",
    "InstitutionName",
    "InstitutionAddress",
    "RequestingService",
)
_DATES = ("SeriesDate", "ContentDate", "AcquisitionDate", "InstanceCreationDate")


def study_uid(accession: str) -> str:
    """Return the StudyInstanceUID of a study of the story."""
    return generate_uid(entropy_srcs=["dicomove demo study", accession])


def series_uid(accession: str, number: int) -> str:
    """Return the SeriesInstanceUID of a series of the story."""
    return generate_uid(entropy_srcs=["dicomove demo series", accession, str(number)])


def instance_uid(file: str) -> str:
    """Return the SOPInstanceUID of a file of the story."""
    return generate_uid(entropy_srcs=["dicomove demo instance", file])


def real_images(folder: Path) -> Path:
    """Write the archive into a folder, which is created if necessary, and return the folder."""
    return write_archive(folder, (_rewritten(file, number) for file, number in _numbered()))


def write_archive(folder: Path, images: Iterable[Dataset]) -> Path:
    """Write images into a folder, as ``{AccessionNumber}/{SeriesNumber}/{InstanceNumber}.dcm``, and return it."""
    for image in images:
        path = folder / image.AccessionNumber / str(image.SeriesNumber) / f"{image.InstanceNumber}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        dcmwrite(path, image, enforce_file_format=True)
    return folder


def _numbered() -> Iterator[tuple[str, int]]:
    """Yield each file with its number within its series."""
    last: dict[tuple[str, int], int] = {}
    for file, series in DEMO_FILES.items():
        last[series] = last.get(series, 0) + 1
        yield file, last[series]


def _rewritten(file: str, number: int) -> FileDataset:
    dataset = _original(file)
    accession, series = DEMO_FILES[file]
    study = next(study for study in DEMO_STUDIES if study.accession == accession)
    patient = next(patient for patient in DEMO_PATIENTS if patient.patient_id == study.patient_id)
    # In this order: the first line decodes all text with the old character set, the second sets the new one.
    _forget(dataset, study.date)
    _identify(dataset, patient, study)
    dataset.SeriesInstanceUID = series_uid(accession, series)
    dataset.SeriesNumber = series
    dataset.SOPInstanceUID = instance_uid(file)
    dataset.InstanceNumber = number
    return dataset


def _original(file: str) -> FileDataset:
    path = get_testdata_file(file, download=False)
    if path is None:
        message = f"this pydicom comes without {file}"
        raise FileNotFoundError(message)
    dataset = dcmread(path, force=True)  # rtstruct.dcm has no file meta
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID", ImplicitVRLittleEndian)
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    if plans := dataset.get("ReferencedRTPlanSequence"):
        # The old value is not a UID. Setting it in place would fail, because pydicom would decode it first.
        plans[0].add_new("ReferencedSOPInstanceUID", "UI", instance_uid("rtplan.dcm"))
    return dataset


def _forget(dataset: Dataset, day: str) -> None:
    """Remove the original patient, place and time of the examination."""
    for keyword in _IDENTIFYING:
        if keyword in dataset:
            delattr(dataset, keyword)
    for keyword in _DATES:
        if keyword in dataset:
            setattr(dataset, keyword, day)
    for element in dataset.iterall():
        if element.VR == "PN" and element.value:
            element.value = "DEMO^STAFF"


def _identify(dataset: Dataset, patient: Patient, study: Study) -> None:
    dataset.SpecificCharacterSet = patient.charset
    dataset.PatientName = patient.name
    dataset.PatientID = patient.patient_id
    dataset.PatientBirthDate = patient.birth_date
    dataset.PatientSex = patient.sex
    dataset.StudyInstanceUID = study_uid(study.accession)
    dataset.StudyID = study.accession
    dataset.AccessionNumber = study.accession
    dataset.StudyDate = study.date
    dataset.StudyTime = "080000"
    dataset.StudyDescription = study.description
    dataset.ReferringPhysicianName = ""
    dataset.Modality = dataset.get("Modality") or "OT"
