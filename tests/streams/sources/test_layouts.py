from datetime import UTC, datetime, timedelta

import pytest

from streams.sources.layouts import partition, time_of

OWN = "AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/02/28/"
HIVE = (
    "logs/AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=eu-west-1/"
    "year=2026/month=02/day=28/hour=09/"
)


def test_folders_of_both_layouts_say_the_same() -> None:
    assert partition(OWN + "09/x") == partition(HIVE + "x")
    assert partition(OWN)[:2] == ("123456789012", "eu-west-1")


def test_a_prefix_that_is_all_digits_is_no_date() -> None:
    assert partition("2026/01/AWSLogs/123456789012/vpcflowlogs/eu-west-1/2025/12/").parts == (2025, 12)
    assert partition("logs/x.gz") == (None, None, ())


@pytest.mark.parametrize(
    ("path", "start", "length"),
    [
        (OWN + "09/", datetime(2026, 2, 28, 9, tzinfo=UTC), timedelta(hours=1)),
        (OWN, datetime(2026, 2, 28, tzinfo=UTC), timedelta(days=1)),
        (OWN[:-3], datetime(2026, 2, 1, tzinfo=UTC), timedelta(days=28)),
        (OWN[:-6], datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=365)),
    ],
)
def test_a_path_covers_a_period(path: str, start: datetime, length: timedelta) -> None:
    assert partition(path).period == (start, start + length)


def test_the_end_of_a_year_is_the_beginning_of_the_next() -> None:
    period = partition("vpcflowlogs/eu-west-1/2026/12/").period
    assert period is not None
    assert period[1] == datetime(2027, 1, 1, tzinfo=UTC)


def test_nonsense_is_no_time() -> None:
    assert partition("vpcflowlogs/eu-west-1/2026/13/").period is None
    assert time_of("x/y_20261399T9999Z_a.log.gz") is None
    assert time_of("x/y.log.gz") is None


def test_the_name_says_more_than_the_folder() -> None:
    assert time_of(OWN + "a_vpcflowlogs_b_fl-1_20260228T0935Z_c.log.gz") == datetime(2026, 2, 28, 9, 35, tzinfo=UTC)
    assert time_of(OWN + "a.log.gz") == datetime(2026, 2, 28, tzinfo=UTC)
