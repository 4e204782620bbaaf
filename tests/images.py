"""Files of images for a test: pydicom's own, and series that are written for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import config, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage, generate_uid


def real(name: str) -> Path:
    return Path(str(get_testdata_file(name)))


def slices(folder: Path, places: list[float], **elements: object) -> Dataset:
    """Write a series, one file for each place."""
    folder.mkdir(parents=True, exist_ok=True)
    found = dcmread(real("CT_small.dcm"))
    found.StudyInstanceUID, found.SeriesInstanceUID = generate_uid(), generate_uid()
    for name, value in elements.items():
        setattr(found, name, value)
    for number, place in enumerate(places):
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        found.InstanceNumber, found.ImagePositionPatient = number + 1, [0, 0, place]
        found.save_as(folder / f"{number}.dcm")
    return found


def enhanced(path: Path, places: list[float]) -> None:
    """Write one file with a frame for each place."""

    def within(keyword: str, **elements: object) -> Dataset:
        item, outer = Dataset(), Dataset()
        for name, value in elements.items():
            setattr(item, name, value)
        setattr(outer, keyword, [item])
        return outer

    found = dcmread(real("CT_small.dcm"))
    del found.ImagePositionPatient, found.ImageOrientationPatient, found.PixelSpacing
    found.NumberOfFrames, found.PixelData = len(places), found.PixelData * len(places)
    shared = within("PixelMeasuresSequence", PixelSpacing=[0.5, 0.5], SliceThickness="2.50")
    shared.update(within("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0]))
    found.SharedFunctionalGroupsSequence = [shared]
    found.PerFrameFunctionalGroupsSequence = [
        within("PlanePositionSequence", ImagePositionPatient=[0, 0, place]) for place in places
    ]
    found.save_as(path)


def mosaic(folder: Path, times: int, **elements: object) -> str:
    """Write files of Siemens with ten slices beside each other, one for each point in time; return their UID."""
    written = slices(folder, [0.0] * times, Manufacturer="SIEMENS", **elements)
    pixels = np.zeros((64, 64), np.int16)
    for path in folder.iterdir():
        found = dcmread(path)
        found.remove_private_tags()
        found.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 10)
        found.SOPClassUID = found.file_meta.MediaStorageSOPClassUID = MRImageStorage
        found.Modality, found.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
        found.SliceThickness, found.SpacingBetweenSlices, found.PixelSpacing = "3", "3.6", [2, 2]
        found.ImageOrientationPatient, found.Rows, found.Columns = [1, 0, 0, 0, 1, 0], 64, 64
        pixels[:, :] = np.random.default_rng(int(found.InstanceNumber)).integers(1, 900, (64, 64))
        pixels[48:], pixels[32:48, 32:] = 0, 0
        found.PixelData, found.RescaleIntercept = pixels.tobytes(), 0
        found.save_as(path)
    return str(written.SeriesInstanceUID)


def pixels(path: Path) -> bytes:
    with config.disable_value_validation():
        return bytes(dcmread(path).get("PixelData", b""))
