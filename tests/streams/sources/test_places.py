import pytest
from pydantic import Field

from streams.errors import InputError
from streams.sources.contract import PlaceSettings
from streams.sources.places import bare, parameters


class Given(PlaceSettings):
    region: str | None = Field(default=None, description="Region.")
    account: tuple[str, ...] = Field(default=(), description="Accounts.")
    tries: int = Field(default=3, ge=1, description="Tries.")


def test_parameters_stand_behind_the_question_mark() -> None:
    read = parameters("s3://bucket/prefix?region=eu-west-1&account=1&account=2&tries=5", Given)
    assert read == Given(region="eu-west-1", account=("1", "2"), tries=5)
    assert parameters("s3://bucket?account=1", Given).account == ("1",)
    assert parameters("s3://bucket", Given) == Given()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("regionn=x", "x://y: 'regionn' is no parameter; did you mean 'region'?"),
        ("tries=0", "x://y: tries: Input should be greater than or equal to 1"),
        ("region=a&region=b", "x://y: region: Input should be a valid string"),
    ],
)
def test_what_makes_no_sense_is_named(query: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parameters(f"x://y?{query}", Given)
    assert str(caught.value) == message


def test_secrets_are_not_shown() -> None:
    assert bare("http://127.0.0.1:1/x?access_key=abc") == "http://127.0.0.1:1/x"
