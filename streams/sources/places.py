"""Places as they are written: `s3://bucket/prefix?region=eu-west-1`."""

from typing import TypeVar, get_origin
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from streams.errors import InputError, did_you_mean
from streams.sources.contract import PlaceSettings

Parameters = TypeVar("Parameters", bound=PlaceSettings)


def parameters(place: str, model: type[Parameters]) -> Parameters:
    """Read the parameters of a place.

    Parameters
    ----------
    place
        The place, as on the command line.
    model
        What parameters there are; a parameter given twice is a list.

    Raises
    ------
    streams.errors.InputError
        When a parameter is unknown or its value makes no sense; one line for each.

    Examples
    --------
    >>> parameters("x://y?z=1", PlaceSettings)
    Traceback (most recent call last):
      ...
    streams.errors.InputError: x://y: 'z' is no parameter; it takes none
    """
    given: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(urlsplit(place).query, keep_blank_values=True):
        before = given.get(name)
        given[name] = value if before is None else [*([before] if isinstance(before, str) else before), value]
    for name, field in named(model).items():
        if get_origin(field.annotation) is tuple and isinstance(given.get(name), str):
            given[name] = [str(given[name])]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        lines = (_line(bare(place), model, each["type"], each["loc"], each["msg"]) for each in error.errors())
        raise InputError("\n".join(lines)) from error


def named(model: type[PlaceSettings]) -> dict[str, FieldInfo]:
    """Return the parameters by the names that places give them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def bare(place: str) -> str:
    """Return a place without its parameters, which may hold secrets.

    >>> bare("http://127.0.0.1:8080/?access_key=abc")
    'http://127.0.0.1:8080/'
    """
    return place.partition("?")[0]


def _line(place: str, model: type[PlaceSettings], kind: str, location: tuple[int | str, ...], message: str) -> str:
    if not location:
        return f"{place}: {message.removeprefix('Value error, ')}"
    name = str(location[0])
    if kind == "extra_forbidden":
        known = did_you_mean(name, named(model)) if model.model_fields else "; it takes none"
        return f"{place}: {name!r} is no parameter{known}"
    return f"{place}: {name}: {message.removeprefix('Value error, ')}"
