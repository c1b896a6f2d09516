"""The calendar against Python's own, and alarms against a search."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from pykvm.devices.rtc_calendar import (
    SECONDS_PER_DAY,
    UNIX_EPOCH,
    Moment,
    advance,
    alarm_within,
)

DATES = st.datetimes(datetime(1, 3, 1), datetime(9000, 1, 1)).map(
    lambda date: date.replace(microsecond=0)
)


def moment_of(date: datetime) -> Moment:
    weekday = date.isoweekday() % 7 + 1
    return Moment(date.second, date.minute, date.hour, weekday, date.day, date.month, date.year)


@given(DATES, st.integers(-(10**10), 10**10))
@example(datetime(1999, 12, 31, 23, 59, 59), 1)
@example(datetime(2000, 2, 28, 23, 59, 59), 1)
@example(datetime(2000, 2, 29), SECONDS_PER_DAY)
@example(datetime(1900, 2, 28), SECONDS_PER_DAY)
@example(datetime(2024, 12, 31), SECONDS_PER_DAY)
def test_advance_agrees_with_datetime(date: datetime, seconds: int) -> None:
    try:
        later = date + timedelta(seconds=seconds)
    except OverflowError:
        return
    assert advance(moment_of(date), seconds) == moment_of(later)


@given(st.integers(-(10**10), 10**11))
def test_epoch(seconds: int) -> None:
    assert advance(UNIX_EPOCH, seconds) == moment_of(datetime(1970, 1, 1) + timedelta(0, seconds))


FIELD = st.integers(0, 255)


@given(st.builds(Moment, *[FIELD] * 6, st.integers(0, 25755)), st.integers(1, 10**12))
def test_nonsense_is_normalised(moment: Moment, seconds: int) -> None:
    later = advance(moment, seconds)
    assert later.second < 60
    assert later.minute < 60
    assert later.hour < 24
    days, _ = divmod(moment.second_of_day + seconds, SECONDS_PER_DAY)
    if days:
        assert 1 <= later.day <= 31
        assert 1 <= later.month <= 12
        assert 1 <= later.weekday <= 7
    else:
        assert later[3:] == moment[3:]


def maybe(limit: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, limit) | st.just(0xA5)


@given(
    st.integers(0, SECONDS_PER_DAY - 1),
    st.integers(0, 5000),
    maybe(23),
    maybe(59),
    maybe(59),
)
@example(0, 10**15, 23, 59, 59)
@example(0, 10**15, None, None, 60)
def test_alarm_agrees_with_a_search(
    start: int, seconds: int, hour: int | None, minute: int | None, second: int | None
) -> None:
    expected = any(
        hour in (None, t // 3600 % 24)
        and minute in (None, t // 60 % 60)
        and second in (None, t % 60)
        for t in range(start + 1, start + 1 + min(seconds, SECONDS_PER_DAY))
    )
    assert alarm_within(start, seconds, hour, minute, second) == expected
