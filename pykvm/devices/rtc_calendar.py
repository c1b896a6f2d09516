"""The calendar inside an RTC: seven counters that carry into each other, as the chip has them.

The counters may hold what no calendar has (the guest writes them one by one); such a value
stands until a carry reaches it and is then normalised.  Nothing here fails for any input.
"""

from __future__ import annotations

from pykvm.named import NamedTuple

SECONDS_PER_DAY = 86400


class Moment(NamedTuple):
    """A date and time of the Gregorian calendar; `weekday` is a counter of its own, 1 = Sunday."""

    second: int
    minute: int
    hour: int
    weekday: int
    day: int
    month: int
    year: int

    @property
    def second_of_day(self) -> int:
        """The time since midnight in seconds."""
        return (self.hour * 60 + self.minute) * 60 + self.second


UNIX_EPOCH = Moment(second=0, minute=0, hour=0, weekday=5, day=1, month=1, year=1970)


def advance(moment: Moment, seconds: int) -> Moment:
    """`moment`, `seconds` later (or, if negative, earlier)."""
    if seconds == 0:
        return moment
    days, second_of_day = divmod(moment.second_of_day + seconds, SECONDS_PER_DAY)
    minutes, second = divmod(second_of_day, 60)
    hour, minute = divmod(minutes, 60)
    moment = moment._replace(second=second, minute=minute, hour=hour)
    if days == 0:
        return moment
    year, month, day = _date(_day_number(moment.year, moment.month, moment.day) + days)
    weekday = (moment.weekday - 1 + days) % 7 + 1
    return moment._replace(weekday=weekday, day=day, month=month, year=year)


def _day_number(year: int, month: int, day: int) -> int:
    """Days since 1 March of year 0.

    Years that begin in March have their leap day at the end, so that the lengths of the months
    before it have a closed form: 153 days in each five months, from March or August on.
    """
    years, month = divmod(month - 3, 12)
    year += years
    leap_days = year // 4 - year // 100 + year // 400
    return 365 * year + leap_days + (153 * month + 2) // 5 + day - 1


def _date(day_number: int) -> tuple[int, int, int]:
    """Year, month and day of a `_day_number`."""
    cycle, rest = divmod(day_number, 146097)  # 400 years
    century = min(rest // 36524, 3)
    rest -= century * 36524
    leap_cycle, rest = divmod(rest, 1461)  # 4 years
    single = min(rest // 365, 3)
    rest -= single * 365
    month = (5 * rest + 2) // 153
    day = rest - (153 * month + 2) // 5 + 1
    year = 400 * cycle + 100 * century + 4 * leap_cycle + single
    return year + (month >= 10), (month + 2) % 12 + 1, day


def alarm_within(
    start: int, seconds: int, hour: int | None, minute: int | None, second: int | None
) -> bool:
    """Whether an alarm is due in the `seconds` after `start`, a second of the day.

    Args:
        hour, minute, second: when the alarm is due; None for "any", 0xFF or the like for never.
    """
    time = start + 1
    end = start + min(seconds, SECONDS_PER_DAY)
    while time <= end:
        minutes, at_second = divmod(time % SECONDS_PER_DAY, 60)
        at_hour, at_minute = divmod(minutes, 60)
        if hour not in (None, at_hour):
            time += 3600 - (at_minute * 60 + at_second)
        elif minute not in (None, at_minute):
            time += 60 - at_second
        elif second not in (None, at_second):
            time += 1
        else:
            return True
    return False
