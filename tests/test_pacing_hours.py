from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings, strategies as st

from dicomove.run.pacing import Hours

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("text", "open_at", "closed_at"),
    [
        ("19:00-06:00", ["19:00", "23:59", "00:00", "05:59"], ["06:00", "12:00", "18:59"]),
        ("12:00-13:00, 19:00-06:00", ["12:00", "12:59", "19:00"], ["11:59", "13:00", "18:59"]),
        ("12:00-13:00,13:00-14:00", ["12:00", "13:00", "13:59"], ["11:59", "14:00"]),
        ("8:00-20:00", ["08:00", "19:59"], ["07:59", "20:00"]),
        ("08:00 - 20:00", ["08:00", "19:59"], ["07:59", "20:00"]),
        ("08:00\N{EN DASH}20:00", ["08:00", "19:59"], ["07:59", "20:00"]),
        ("20:00-24:00", ["20:00", "23:59"], ["00:00", "19:59"]),
        ("20:00-00:00", ["20:00", "23:59"], ["00:00", "19:59"]),
        ("00:00-24:00", ["00:00", "12:00", "23:59"], []),
        # 2026-06-17 is a Wednesday.
        ("Wed 19:00-06:00", ["19:00", "23:59"], ["00:00", "05:59", "18:59"]),
        ("Tue 19:00-06:00", ["00:00", "05:59"], ["06:00", "19:00", "23:59"]),
        ("Mon-Fri 19:00-06:00", ["00:00", "19:00"], ["06:00", "18:59"]),
        ("Sat-Tue 00:00-24:00", [], ["00:00", "12:00", "23:59"]),
        ("Sat-Wed 00:00-24:00", ["00:00", "12:00", "23:59"], []),
        ("wednesday 10:00-11:00", ["10:00"], ["09:59", "11:00"]),
        # The weekdays belong to one window: the second one is open every day.
        ("Sat-Sun 08:00-20:00, 21:00-22:00", ["21:00"], ["08:00", "22:00"]),
    ],
)
def test_when_it_is_open(text: str, open_at: list[str], closed_at: list[str]) -> None:
    hours = Hours.parse(f"{text} Europe/Berlin")
    for at in open_at:
        assert hours.is_open(berlin(f"2026-06-17T{at}")), at
    for at in closed_at:
        assert not hours.is_open(berlin(f"2026-06-17T{at}")), at


def test_a_night_that_begins_on_a_sunday_ends_on_a_monday() -> None:
    hours = Hours.parse("Sun 19:00-06:00 Europe/Berlin")
    assert [hours.is_open(berlin(f"2026-06-{day}T05:59")) for day in (14, 15, 16)] == [False, True, False]


def test_when_it_opens() -> None:
    hours = Hours.parse("19:00-06:00 Europe/Berlin")
    noon = datetime(2026, 6, 17, 10, tzinfo=UTC)
    assert hours.opens_at(noon) == datetime(2026, 6, 17, 17, tzinfo=UTC)
    night = datetime(2026, 6, 17, 20, 30, tzinfo=UTC)
    assert hours.opens_at(night) is night


@pytest.mark.parametrize(
    ("text", "moment", "opens"),
    [
        # The last hours of the working week: the weekend is one long window.
        ("Mon-Fri 19:00-06:00, Sat-Sun 00:00-24:00", berlin("2026-06-19T18:59"), "2026-06-19T19:00+02:00"),
        ("Sun 03:00-04:00", berlin("2026-06-21T04:00"), "2026-06-28T03:00+02:00"),
        # 02:00 to 03:00 does not exist on 2026-03-29, neither in a day nor in a week.
        ("02:10-02:50", berlin("2026-03-28T12:00"), "2026-03-30T02:10+02:00"),
        ("Sun 02:10-02:50", berlin("2026-03-28T12:00"), "2026-04-05T02:10+02:00"),
        # A window that begins in the gap opens when the clocks have been changed.
        ("02:30-04:00", berlin("2026-03-28T12:00"), "2026-03-29T03:00+02:00"),
        # 02:00 to 03:00 happens twice on 2026-10-25, and the window with it.
        ("02:10-02:50", berlin("2026-10-25T00:00"), "2026-10-25T02:10+02:00"),
        ("02:10-02:50", berlin("2026-10-25T02:50"), "2026-10-25T02:10+01:00"),
        ("02:10-02:50", berlin("2026-10-25T02:50", fold=1), "2026-10-26T02:10+01:00"),
        # The clocks go back into a window that was over.
        ("02:00-02:30", berlin("2026-10-25T02:45"), "2026-10-25T02:00+01:00"),
    ],
)
def test_the_nights_in_which_clocks_are_changed(text: str, moment: datetime, opens: str) -> None:
    assert Hours.parse(f"{text} Europe/Berlin").opens_at(moment).isoformat(timespec="minutes") == opens


def test_the_very_second_in_which_clocks_are_changed() -> None:
    hours = Hours.parse("02:30-04:00 Europe/Berlin")
    changed = datetime(2026, 3, 29, 1, tzinfo=UTC)
    for seconds in range(1, 3600, 7):
        assert hours.opens_at(changed - timedelta(seconds=seconds)) == changed
        assert hours.opens_at(changed - timedelta(seconds=seconds, microseconds=1)) == changed


def test_the_time_at_which_it_opens_can_be_shown_and_reckoned_with() -> None:
    hours = Hours.parse("06:00-19:00 Europe/Berlin")
    evening = berlin("2026-03-28T20:00")
    opens = hours.opens_at(evening)
    assert f"{opens:%a %H:%M}" == "Sun 06:00"
    # Ten hours in local time; within Berlin's own zone Python would say so, too.
    assert opens - evening == timedelta(hours=9)


def test_a_night_has_ten_hours_or_twelve_when_clocks_are_changed() -> None:
    hours = Hours.parse("19:00-06:00 Europe/Berlin")
    for day, long in (("2026-03-28", 10), ("2026-06-17", 11), ("2026-10-24", 12)):
        opens = hours.opens_at(berlin(f"{day}T12:00")).astimezone(UTC)
        assert hours.is_open(opens + timedelta(hours=long) - MINUTE)
        assert not hours.is_open(opens + timedelta(hours=long))


def test_a_day_that_a_zone_left_out() -> None:
    # Samoa went from the 29th to the 31st of December 2011.
    hours = Hours.parse("Fri 10:00-11:00 Pacific/Apia")
    thursday = datetime(2011, 12, 29, 12, tzinfo=ZoneInfo("Pacific/Apia"))
    assert hours.opens_at(thursday) == datetime(2012, 1, 6, 10, tzinfo=ZoneInfo("Pacific/Apia"))


def test_seconds_within_a_minute() -> None:
    hours = Hours.parse("19:00-06:00 UTC")
    late = datetime(2026, 6, 17, 18, 59, 59, 999_999, tzinfo=UTC)
    assert hours.opens_at(late) == datetime(2026, 6, 17, 19, tzinfo=UTC)
    assert hours.is_open(datetime(2026, 6, 17, 5, 59, 59, 999_999, tzinfo=UTC))


Part = tuple[int, int, tuple[int, int] | None]
# Clocks are changed between midnight and four: that is where the edges of windows are of interest.
minutes = st.integers(0, 1439) | st.integers(0, 250)
weekdays = st.none() | st.tuples(st.integers(0, 6), st.integers(0, 6))
parts = st.tuples(minutes, minutes, weekdays).filter(lambda part: part[0] != part[1])
CHANGES = [
    ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2026, 6, 1, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("America/Havana", datetime(2026, 3, 8, 5, tzinfo=UTC)),  # at midnight
]


def text_of(part: Part) -> str:
    start, end, days = part
    prefix = "" if days is None else f"{DAYS[days[0]]}-{DAYS[days[1]]} "
    return f"{prefix}{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


def is_within(part: Part, wall: datetime) -> bool:
    """Whether the wall shows a time between two dates and times that are written out."""
    start, end, days = part
    allowed = range(7) if days is None else [(days[0] + step) % 7 for step in range((days[1] - days[0]) % 7 + 1)]
    for began in (wall.date(), wall.date() - timedelta(days=1)):
        midnight = datetime.combine(began, datetime.min.time())
        first = midnight + timedelta(minutes=start)
        last = midnight + timedelta(minutes=end if end > start else end + 1440)
        if began.weekday() in allowed and first <= wall < last:
            return True
    return False


def walk(moment: datetime, found: Callable[[datetime], bool]) -> datetime:
    """Go from minute to minute until it is found."""
    if found(moment):
        return moment
    moment = moment.replace(second=0, microsecond=0) + MINUTE
    while not found(moment):
        moment += MINUTE
    return moment


@settings(max_examples=150)
@given(
    st.lists(parts, min_size=1, max_size=3),
    st.sampled_from(CHANGES),
    st.integers(-36 * 3600, 6 * 3600) | st.integers(-3 * 3600, 2 * 3600),
)
@example([(130, 170, None)], CHANGES[0], -7200)
@example([(130, 170, (6, 6))], CHANGES[1], -600)
def test_it_is_as_a_minute_by_minute_reference_says(
    windows: list[Part], change: tuple[str, datetime], seconds: int
) -> None:
    key, at = change
    zone = ZoneInfo(key)
    hours = Hours.parse(f"{', '.join(map(text_of, windows))} {key}")
    moment = at + timedelta(seconds=seconds)

    def is_open(now: datetime) -> bool:
        wall = now.astimezone(zone).replace(tzinfo=None)
        return any(is_within(part, wall) for part in windows)

    assert hours.is_open(moment) == is_open(moment)
    assert hours.opens_at(moment) == walk(moment, is_open)


@given(st.lists(parts, min_size=1, max_size=3), st.sampled_from([None, "local", "UTC", "Etc/GMT+5"]))
def test_as_text_it_says_all_there_is_to_know(windows: list[Part], zone: str | None) -> None:
    hours = Hours.parse(", ".join(map(text_of, windows)) + (f" {zone}" if zone else ""))
    assert Hours.parse(str(hours)) == hours
    assert hash(Hours.parse(str(hours))) == hash(hours)
    assert repr(hours) == f"Hours.parse({str(hours)!r})"
    assert pickle.loads(pickle.dumps(hours)) == hours  # noqa: S301 - made one line above


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("19:00-6:00 Europe/Berlin", "19:00-06:00 Europe/Berlin"),
        ("19:00-00:00 UTC", "19:00-24:00 UTC"),
        ("19:00-06:00", "19:00-06:00 local"),
        ("fri-monday 19:00-06:00 UTC", "Fri-Mon 19:00-06:00 UTC"),
        ("Mon-Mon 19:00-06:00 UTC", "Mon 19:00-06:00 UTC"),
        ("Sun-Sat 19:00-06:00 UTC", "19:00-06:00 UTC"),
        ("Mon-Fri 19:00-06:00, 12:00-13:00 UTC", "Mon-Fri 19:00-06:00, Mon-Sun 12:00-13:00 UTC"),
    ],
)
def test_how_it_shows_itself(text: str, said: str) -> None:
    assert str(Hours.parse(text)) == said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a window"),
        ("nights", "not a window"),
        ("19-06", "not a window"),
        ("19:00", "not a window"),
        ("19:00-06:00,", "not a window"),
        ("19:00-06:00 Europe/Berlin please", "not a window"),
        ("19:00:00-06:00:00", "not a window"),
        ("Mon, Wed 19:00-06:00", "not a window"),
        ("١٩:00-06:00", "not a window"),
        ("25:00-06:00", "no time 25:00"),
        ("19:60-06:00", "no time 19:60"),
        ("19:00-24:01", "no time 24:01"),
        ("08:00-08:00", "00:00-24:00"),
        ("00:00-00:00", "00:00-24:00"),
        ("24:00-00:00", "00:00-24:00"),
        ("24:00-06:00", "00:00-06:00"),
        ("Mo-Fri 19:00-06:00", "'Mo' is not a weekday"),
        ("Mon-Frei 19:00-06:00", "'Frei' is not a weekday"),
        ("12:00-13:00 UTC, 19:00-06:00 UTC", "once, at the end"),
        ("12:00-13:00 UTC, 19:00-06:00", "once, at the end"),
        ("19:00-06:00 Europe/Berlni", "did you mean Europe/Berlin"),
        ("19:00-06:00 berlin", "did you mean Europe/Berlin"),
        ("19:00-06:00 europe/Berlin", "Europe/Berlin"),
        ("19:00-06:00 MEZ", "Europe/Berlin or UTC"),
        ("19:00-06:00 Europe", "not a time zone"),
        ("19:00-06:00 ../../etc/passwd", "not a time zone"),
        ("19:00-06:00 +02:00", "not a time zone"),
    ],
)
def test_invalid_hours_have_a_clear_message(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Hours.parse(text)


def test_only_text_is_parsed() -> None:
    with pytest.raises(ValueError, match="hours are text, not tuple"):
        Hours.parse((19, 6))  # type: ignore[arg-type]  # what a user may try


def test_a_moment_without_a_zone_is_an_error() -> None:
    hours = Hours.parse("19:00-06:00 UTC")
    naive = datetime(2026, 6, 17, 20)  # noqa: DTZ001 - the mistake that is tested
    for method in (hours.is_open, hours.opens_at):
        with pytest.raises(ValueError, match="knows its zone"):
            method(naive)


@pytest.fixture
def in_sydney(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Australia/Sydney")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change the zone of a process")
@pytest.mark.usefixtures("in_sydney")
def test_without_a_zone_the_machine_tells_the_time() -> None:
    sydney, here = Hours.parse("19:00-06:00 Australia/Sydney"), Hours.parse("19:00-06:00")
    for day in range(360):
        moment = datetime(2026, 1, 1, 3, tzinfo=UTC) + timedelta(days=day)
        assert here.opens_at(moment) == sydney.opens_at(moment)


NOON_AND_NIGHT = Hours.parse("12:00-13:00, 19:00-06:00 Europe/Berlin")


def test_a_window_is_open_from_its_first_minute_to_the_one_before_its_end() -> None:
    for at in ("12:00", "12:30", "12:59", "19:00", "19:59", "05:59"):
        assert NOON_AND_NIGHT.is_open(berlin(f"2026-06-15T{at}")), at
    for at in ("06:00", "11:59", "13:00", "18:59"):
        assert not NOON_AND_NIGHT.is_open(berlin(f"2026-06-15T{at}")), at


def test_the_next_change_is_the_next_full_minute_at_which_a_window_begins_or_ends() -> None:
    assert NOON_AND_NIGHT.next_change(berlin("2026-06-15T07:00:30.000005")) == berlin("2026-06-15T12:00")
    assert NOON_AND_NIGHT.next_change(berlin("2026-06-15T12:00")) == berlin("2026-06-15T13:00")
    assert NOON_AND_NIGHT.next_change(berlin("2026-06-15T13:59:59")) == berlin("2026-06-15T19:00")
    assert NOON_AND_NIGHT.next_change(berlin("2026-06-15T19:00")) == berlin("2026-06-16T00:00")


def test_where_clocks_change_each_minute_is_looked_at() -> None:
    """At 2:00, it is 3:00 in Berlin."""
    night = datetime(2026, 3, 29, 0, 30, 10, tzinfo=UTC)
    assert NOON_AND_NIGHT.next_change(night) == night.replace(minute=31, second=0)
