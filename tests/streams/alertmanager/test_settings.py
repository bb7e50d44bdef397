from typing import Any

import pytest
from pydantic import ValidationError

from streams.alertmanager.settings import AlertmanagerSettings

URL = "http://alertmanager.example.org:9093"


def settings(**others: Any) -> AlertmanagerSettings:
    return AlertmanagerSettings.model_validate({"urls": [URL], **others})


def test_an_address_may_have_a_path() -> None:
    assert settings(urls=["https://example.org/am/"]).urls == ("https://example.org/am",)


@pytest.mark.parametrize(
    ("others", "mistake"),
    [
        ({"urls": []}, "at least 1 item"),
        ({"urls": ["alertmanager:9093"]}, "is no address such as http://alertmanager:9093"),
        ({"urls": ["http://me:secret@example.org"]}, "say who logs in with username and password"),
        ({"username": "me"}, "username and password are given together"),
        ({"password": "x"}, "username and password are given together"),
        ({"username": "me", "password": "x", "bearer_token": "y"}, "a password or a bearer token, not both"),
        ({"bearer_token": "y", "bearer_token_file": "z"}, "give bearer_token or bearer_token_file, not both"),
        ({"tls_key_file": "key.pem"}, "tls_certificate_file and tls_key_file are given together"),
        ({"labels": {"host": "x"}}, "host is a label that alerts have already"),
        ({"labels": {"the-env": "x"}}, "'the-env' is no name of a label"),
        ({"runbook_url": "https://example.org/{knd}"}, r"\{knd\} is unknown in a link; there are kind, id"),
        ({"runbook_url": "https://example.org/{kind"}, "has a brace that is not closed"),
    ],
)
def test_mistakes_are_named(others: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ValidationError, match=mistake):
        settings(**others)


@pytest.mark.parametrize(
    "url", ["http://me:hunter2@example.org", "ftp://me:hunter2@example.org", "me:hunter2@example.org"]
)
def test_the_text_of_a_mistake_shows_no_secret(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(urls=[url])
    assert "hunter2" not in caught.value.errors()[0]["msg"]
