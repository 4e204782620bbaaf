"""Which series are volumes: synthetic slices, each case with what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dicomove.headers import FromHeaders, Geometry, geometry

AXIAL, SAGITTAL, CORONAL = (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)
NORMALS: dict[tuple[float, ...], tuple[float, ...]] = {AXIAL: (0, 0, 1), SAGITTAL: (-1, 0, 0), CORONAL: (0, 1, 0)}


def planes(
    places: Sequence[float], orientation: tuple[float, ...] = AXIAL, size: tuple[float, ...] = (64, 64, 1, 1)
) -> np.ndarray:
    normal = np.array(NORMALS[orientation], dtype=float)
    return np.array([[*orientation, *(normal * place), *size] for place in places], dtype=float).reshape(-1, 13)


def of(places: Sequence[float], numbers: Sequence[int | None] | None = None) -> Geometry:
    return geometry(planes(places), numbers or range(1, len(places) + 1))


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, CORONAL])
@pytest.mark.parametrize("step", [0.4, 1, 2.5, -5])
def test_a_whole_volume(orientation: tuple[float, ...], step: float) -> None:
    found = geometry(planes([place * step for place in range(40)], orientation), range(1, 41))
    assert found == Geometry(
        orientations=1,
        gaps=0,
        duplicates=0,
        spacing=abs(step),
        spacing_uniform=True,
        tilted=False,
        volumes=1,
        lowest_instance_number=1,
        instance_numbers_missing=0,
        is_volume=True,
    )


def test_the_order_of_files_does_not_matter() -> None:
    places = np.random.default_rng(1).permutation(50)
    assert geometry(planes(places.tolist()), range(1, 51)).is_volume


@pytest.mark.parametrize("lacks", [[1], [5], [3, 4], [2, 5, 8], [1, 3, 5, 7]])
def test_missing_slices_are_gaps(lacks: list[int]) -> None:
    there = [number for number in range(10) if number not in lacks]
    found = of([2.0 * place for place in there], [place + 1 for place in there])
    assert (found.gaps, found.duplicates, found.spacing, found.spacing_uniform) == (len(lacks), 0, 2, True)
    assert (found.instance_numbers_missing, found.is_volume) == (len(lacks), False)


def test_a_repeated_slice_is_a_duplicate() -> None:
    found = of([0, 1, 2, 2, 3, 4], [1, 2, 3, 3, 4, 5])
    assert (found.gaps, found.duplicates, found.spacing_uniform, found.is_volume) == (0, 1, True, False)
    assert of([0, 1, 2, 2.001, 3, 4]).duplicates == 1


def test_a_series_that_was_sent_twice_has_as_many_duplicates_as_slices() -> None:
    found = of([*range(9), *range(9)], [*range(9), *range(9)])
    assert (found.duplicates, found.volumes, found.is_volume) == (9, 1, False)


def test_points_in_time_are_several_volumes() -> None:
    found = of([*range(9)] * 4)
    assert (found.duplicates, found.gaps, found.volumes, found.is_volume) == (0, 0, 4, True)


def test_a_point_in_time_without_one_slice_is_a_gap() -> None:
    places = [*range(9)] * 4
    del places[13]
    found = of(places)
    assert (found.duplicates, found.gaps, found.volumes, found.is_volume) == (0, 1, 4, False)


def test_points_in_time_that_begin_to_count_anew_are_several_volumes() -> None:
    numbers, times = [*range(1, 10)] * 3, [time for time in "abc" for _ in range(9)]
    found = geometry(planes([*range(9)] * 3), numbers, FromHeaders(states=times))
    assert (found.volumes, found.duplicates, found.is_volume) == (3, 0, True)
    none: list[int | None] = [None] * 27
    assert geometry(planes([*range(9)] * 3), none, FromHeaders(states=times)).volumes == 3
    assert geometry(planes([*range(9)] * 3), none).duplicates == 18


def test_one_image_twice_among_points_in_time_is_one_duplicate() -> None:
    found = of([*([*range(9)] * 4), 3], [*range(1, 37), 4])
    assert (found.volumes, found.duplicates, found.gaps, found.is_volume) == (4, 1, 0, False)


def test_a_multi_frame_file_that_was_sent_twice() -> None:
    twice = planes([*range(9)] * 2)
    found = geometry(twice, [1, 1], FromHeaders(frames=[9, 9]))
    assert (found.volumes, found.duplicates, found.is_volume) == (1, 9, False)
    found = geometry(twice, [1, 1], FromHeaders(frames=[9, 9], states=["first time", "second"]))
    assert (found.volumes, found.duplicates, found.is_volume) == (2, 0, True)


@pytest.mark.parametrize(("step", "gaps"), [(1.0, 9), (None, 0), (2.0, 0), (0.4, 0)])
def test_every_second_slice_is_missing(step: float | None, gaps: int) -> None:
    there = [*range(0, 20, 2)]
    found = geometry(planes(there), [place + 1 for place in there], FromHeaders(step=step))
    assert (found.gaps, found.is_volume) == (gaps, not gaps)
    assert found.spacing == (1 if gaps else 2)
    assert found.instance_numbers_missing == 9
    # Numbers that leave out nothing, or more than the places: no slice is missing for sure.
    assert geometry(planes(there), range(10), FromHeaders(step=step)).is_volume
    assert geometry(planes(there), range(0, 70, 7), FromHeaders(step=step)).is_volume


def test_two_of_three_slices_are_missing_from_a_sagittal_stack() -> None:
    there = [place for place in range(0, 60, 3) if place != 30]
    found = geometry(planes([0.7 * place for place in there], SAGITTAL)[::-1], there[::-1], FromHeaders(step=0.7))
    assert (found.gaps, found.spacing, found.is_volume) == (39, 0.7, False)


def test_a_volume_smaller_than_a_fingernail() -> None:
    found = geometry(planes([0.008 * place for place in range(30)], size=(64, 64, 0.008, 0.008)), range(30))
    assert (found.spacing, found.volumes, found.tilted, found.is_volume) == (0.008, 1, False, True)


def test_a_jitter_below_a_micrometre() -> None:
    found = of([place + 1e-7 * (place % 3) for place in range(30)])
    assert found.spacing == pytest.approx(1)
    assert (found.duplicates, found.is_volume) == (0, True)


def test_cosines_of_few_digits_do_not_count_as_tilt() -> None:
    angle = np.deg2rad(13.37)
    normal = np.array([0, -np.sin(angle), np.cos(angle)])
    cosines = [1, 0, 0, 0, *np.round([np.cos(angle), np.sin(angle)], 3)]
    found = np.array([[*cosines, *np.round(normal * 3 * place, 3), 512, 512, 0.7, 0.7] for place in range(200)])
    assert geometry(found, range(200)).is_volume
    found[:, 7] += np.arange(200) * 0.03
    assert geometry(found, range(200)).tilted


def test_two_orientations() -> None:
    both = np.vstack([planes(range(5)), planes(range(5), SAGITTAL)])
    found = geometry(both, range(10))
    assert (found.orientations, found.gaps, found.duplicates, found.spacing, found.is_volume) == (2, 0, 0, None, False)


def test_a_localizer() -> None:
    three = np.vstack([planes([0], AXIAL), planes([0], SAGITTAL), planes([0], CORONAL)])
    found = geometry(three, [1, 2, 3])
    assert (found.orientations, found.gaps, found.duplicates, found.is_volume) == (3, 0, 0, False)


@pytest.mark.parametrize("seed", range(20))
def test_jittered_spacing(seed: int) -> None:
    steps = 2 + np.random.default_rng(seed).uniform(-0.6, 0.6, 30)
    found = of(np.cumsum(steps).tolist())
    assert (found.duplicates, found.spacing_uniform, found.is_volume) == (0, False, False)


def test_a_jitter_of_rounding_is_none() -> None:
    found = of([round(0.6249 * place, 2) for place in range(100)])
    assert (found.gaps, found.spacing_uniform, found.is_volume) == (0, True, True)
    assert found.spacing == pytest.approx(0.625, abs=0.001)


def test_a_change_of_distance_is_seen() -> None:
    found = of([0, 1, 2, 3, 3.5, 4, 4.5])
    assert (found.gaps, found.is_volume) == (3, False)
    found = of([0, 1, 2, 3, 4.3, 5.6, 6.9])
    assert (found.spacing_uniform, found.is_volume) == (False, False)
    assert of([0, 1, 2.4]).is_volume is False


def test_one_slice() -> None:
    found = of([7.5])
    assert found == Geometry(
        orientations=1, gaps=0, duplicates=0, volumes=1, lowest_instance_number=1, instance_numbers_missing=0
    )


def test_images_without_a_place() -> None:
    nowhere = np.full((3, 13), np.nan)
    assert geometry(nowhere, [1, 3, None]) == Geometry(lowest_instance_number=1, instance_numbers_missing=1)
    assert geometry(np.empty(0), []) == Geometry()
    assert not geometry(np.vstack([planes(range(5)), nowhere]), range(8)).is_volume


@pytest.mark.parametrize("broken", [(0, 0, 0, 0, 0, 0), (1, 0, 0, 1, 0, 0), (9, 9, 9, 9, 1, 9), (np.inf,) * 6])
def test_an_orientation_that_cannot_be_is_none(broken: tuple[float, ...]) -> None:
    found = planes(range(5))
    found[:, :6] = broken
    assert geometry(found, range(5)).orientations == 0


@pytest.mark.parametrize("first", [-4, 0, 1, 3, 1001, 10**11])
def test_instance_numbers_begin_anywhere_and_count_up_or_down(first: int) -> None:
    for numbers in ([*range(first, first + 10)], [*range(first, first + 10)][::-1]):
        found = of([*range(10)], numbers)
        assert (found.lowest_instance_number, found.instance_numbers_missing, found.is_volume) == (first, 0, True)
        found = of([*range(9)], numbers[:4] + numbers[5:])
        assert (found.lowest_instance_number, found.instance_numbers_missing, found.gaps) == (first, 1, 0)


def test_slices_that_lack_at_an_end_leave_only_numbers() -> None:
    found = of([*range(2, 10)], [*range(3, 11)])
    assert (found.gaps, found.lowest_instance_number, found.instance_numbers_missing) == (0, 3, 0)


def test_an_acquisition_without_its_last_slice_has_a_gap() -> None:
    numbers, again = [*range(1, 11), *range(1, 10)], [1] * 10 + [2] * 9
    found = geometry(planes([*range(10), *range(9)]), numbers, FromHeaders(states=again))
    assert (found.volumes, found.gaps, found.instance_numbers_missing, found.is_volume) == (2, 1, 0, False)


def test_images_of_two_sizes_are_not_one_volume() -> None:
    found = planes(range(6))
    found[3, 9] = 128
    assert not geometry(found, range(6)).is_volume
    found[3, 9:] = (64, 64, 2, 2)
    assert not geometry(found, range(6)).is_volume


@pytest.mark.parametrize("spacing", [(np.nan, np.nan), (1, np.nan), (0, 0), (-1, 1), (1e-9, 1)])
def test_without_a_pixel_spacing_there_is_no_volume(spacing: tuple[float, float]) -> None:
    found = geometry(planes(range(6), size=(64, 64, *spacing)), range(6))
    assert (found.spacing, found.spacing_uniform, found.is_volume) == (1, True, False)


def test_a_tilted_gantry() -> None:
    found = planes(range(20))
    found[:, 7] += np.arange(20) * 0.3
    told = geometry(found, range(20))
    assert (told.tilted, told.gaps, told.spacing_uniform, told.is_volume) == (True, 0, True, False)


def test_a_slanted_volume_is_not_tilted() -> None:
    angle = np.deg2rad(20)
    rows, down = np.array([1, 0, 0]), np.array([0, np.cos(angle), np.sin(angle)])
    normal = np.cross(rows, down)
    found = np.array([[*rows, *down, *(normal * 3 * place + 40), 64, 64, 1, 1] for place in range(20)])
    told = geometry(found, range(20))
    assert (told.tilted, told.spacing, told.is_volume) == (False, 3, True)


def test_frames_share_the_number_of_their_file() -> None:
    assert geometry(planes(range(20)), [1]).is_volume
    assert geometry(planes([*range(20)] * 2), [1]).volumes == 2


@pytest.mark.parametrize("count", range(2, 9))
def test_any_distances_have_an_answer(count: int) -> None:
    for seed in range(50):
        steps = np.random.default_rng([count, seed]).choice([0, 0.004, 0.5, 0.7, 1, 1.4, 3, 1e4], count)
        found = of(np.cumsum(steps).tolist())
        assert found.gaps is not None
        assert found.gaps >= 0
        assert found.duplicates is not None
        assert 0 <= found.duplicates < count
