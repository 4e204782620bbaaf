"""Estimates of bytes and seconds: from usual sizes, those of a folder, and the latest run."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pandas as pd
import pytest
from pydicom import uid

from dicomove.run.pacing import Hours
from dicomove.run.table.estimates import USUAL, Estimate, Size, Sizes, estimate, modality_of, rate_of, windows_needed

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
NIGHT = Hours.parse("20:00-06:00 UTC")


@pytest.mark.parametrize(
    ("hours", "seconds", "windows"),
    [
        (NIGHT, 0, 0),
        (NIGHT, 3600, 1),
        (NIGHT, 10 * 3600, 1),
        (NIGHT, 10 * 3600 + 1, 2),
        (Hours.parse("12:05-12:10 UTC"), 600, 2),
        (None, 3600, None),
        (NIGHT, None, None),
    ],
)
def test_windows_are_counted(hours: Hours | None, seconds: float | None, windows: int | None) -> None:
    assert windows_needed(hours, seconds, NOON) == windows


def test_windows_of_a_year_are_counted_at_once() -> None:
    noon = datetime(2026, 6, 15, 12, 0, 30, tzinfo=UTC)
    hours = Hours.parse("Mon-Fri 19:07-06:13, Sat-Sun 00:00-23:59 Europe/Berlin")
    before = time.process_time()
    assert windows_needed(hours, 10**9, noon) == 344
    assert time.process_time() - before < 0.5  # minute by minute, it takes seconds


@pytest.mark.parametrize(
    ("attempts", "completed", "received", "duration_s", "concurrency", "rate"),
    [
        ([0], [None], [None], [None], 1, None),
        ([1], [0], [None], [5.0], 1, None),
        ([1], [60], [None], [0.0], 1, None),
        ([1], [1], [None], [0.5], 1, 2.0),
        ([1, 1, 0], [20, 10, 99], [30, None, None], [2.0, 2.0, 5.0], 1, 10.0),
        ([1, 1], [20, None], [None, None], [2.0, 2.0], 1, 5.0),
        ([2], [20], [None], [4.0], 4, 20.0),
        ([2], [20], [None], [4.0], 0, 5.0),
    ],
)
def test_the_rate_is_that_of_the_rows_that_were_moved(
    attempts: list[int],
    completed: list[int | None],
    received: list[int | None],
    duration_s: list[float | None],
    concurrency: int,
    rate: float | None,
) -> None:
    told = {"attempts": attempts, "completed": completed, "received": received, "duration_s": duration_s}
    assert rate_of(pd.DataFrame(told, dtype="Float64"), concurrency) == rate


def test_an_estimate_has_a_range_and_no_time_without_a_rate() -> None:
    assert estimate(3, "MR", Sizes([]), None) == Estimate(990_000, 495_000, 1_980_000)
    assert estimate(0, "MR", Sizes([]), 5.0) == Estimate(0, 0, 0, 0.0)
    assert estimate(None, "MR", Sizes([]), 5.0) == Estimate()


def test_sizes_are_learnt_from_twenty_instances_of_a_modality() -> None:
    stored = [(uid.CTImageStorage, size) for size in range(1, 21)]
    assert Sizes(stored).of("CT") == Size(10.5, 5.25, 15.75)
    assert Sizes(stored).of("MR") == Sizes(stored[1:]).of("MR") == Size(330_000, 165_000, 660_000)
    assert Sizes(stored[1:]).of("CT") == Sizes([]).of("CT")
    others = Sizes([("1.2.3", 7)] * 20)
    assert [others.of(modality).median for modality in ("", " ", "OT", "SR", "XY")] == [7, 7, 7, 20_000, 1_000_000]


@pytest.mark.parametrize("small", ["SR", "PR", "KO", "SC", "OT"])
def test_images_decide_and_not_what_belongs_to_them(small: str) -> None:
    for modalities in (f"{small}\\US", f"US\\{small}", f"{small} \\ US ", f"US\\{small}\\CT"):
        assert Sizes([]).of(modalities).median == USUAL["US"]
    assert Sizes([]).of(f"{small}\\KO").median == USUAL[small]


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [
        (uid.EnhancedCTImageStorage, "CT"),
        (uid.EnhancedMRImageStorage, "MR"),
        (uid.PositronEmissionTomographyImageStorage, "PT"),
        (uid.EnhancedPETImageStorage, "PT"),
        (uid.NuclearMedicineImageStorage, "NM"),
        (uid.ComputedRadiographyImageStorage, "CR"),
        (uid.DigitalMammographyXRayImageStorageForPresentation, "MG"),
        (uid.BreastTomosynthesisImageStorage, "MG"),
        (uid.DigitalXRayImageStorageForPresentation, "DX"),
        (uid.XRayAngiographicImageStorage, "XA"),
        (uid.XRayRadiofluoroscopicImageStorage, "RF"),
        (uid.UltrasoundMultiFrameImageStorage, "US"),
        (uid.SecondaryCaptureImageStorage, "SC"),
        (uid.ComprehensiveSRStorage, "SR"),
        (uid.MammographyCADSRStorage, "SR"),
        (uid.GrayscaleSoftcopyPresentationStateStorage, "PR"),
        (uid.KeyObjectSelectionDocumentStorage, "KO"),
        (uid.EncapsulatedPDFStorage, "OT"),
        ("", "OT"),
    ],
)
def test_the_modality_of_a_sop_class(sop_class: str, modality: str) -> None:
    assert modality_of(sop_class) == modality
