from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dicomove.pacing import Hours

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "open_at", "closed_at"),
    [
        ("19:00-06:00 Europe/Berlin", ["19:00", "23:59", "00:00", "05:59"], ["06:00", "12:00", "18:59"]),
        ("12:00-13:00, 19:00-06:00 Europe/Berlin", ["12:00", "12:59", "19:00"], ["11:59", "13:00", "18:59"]),
        ("8:00-20:00 Europe/Berlin", ["08:00", "19:59"], ["07:59", "20:00"]),
        ("20:00-24:00 Europe/Berlin", ["20:00", "23:59"], ["00:00", "19:59"]),
        ("20:00-00:00 Europe/Berlin", ["20:00", "23:59"], ["00:00", "19:59"]),
        ("00:00-24:00 Europe/Berlin", ["00:00", "12:00", "23:59"], []),
    ],
)
def test_when_it_is_open(text: str, open_at: list[str], closed_at: list[str]) -> None:
    hours = Hours.parse(text)
    for time in open_at:
        assert hours.is_open(datetime.fromisoformat(f"2026-06-17T{time}").replace(tzinfo=BERLIN)), time
    for time in closed_at:
        assert not hours.is_open(datetime.fromisoformat(f"2026-06-17T{time}").replace(tzinfo=BERLIN)), time


def test_when_it_opens_and_closes() -> None:
    hours = Hours.parse("19:00-06:00 Europe/Berlin")
    noon = datetime(2026, 6, 17, 10, tzinfo=UTC)
    assert hours.opens_at(noon) == datetime(2026, 6, 17, 17, tzinfo=UTC)
    assert hours.closes_at(noon) is noon
    night = datetime(2026, 6, 17, 20, 30, tzinfo=UTC)
    assert hours.opens_at(night) is night
    assert hours.closes_at(night) == datetime(2026, 6, 18, 4, tzinfo=UTC)
