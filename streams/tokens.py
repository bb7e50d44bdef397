"""Tokens to log in to Kafka with: from a file, an identity provider, or signed with credentials of AWS."""

import base64
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from streams.errors import KafkaUnavailable, SettingsError
from streams.oauth_settings import OauthSettings
from streams.secret import held

_ANSWER_SECONDS: Final = 8
_RENEWED_AT: Final = 0.8
"""After which part of its life a token is renewed."""

_MSK_SECONDS: Final = 900
_MSK_SERVICE: Final = "kafka-cluster"


class Tokens(ABC):
    """Gives tokens. Any thread may ask."""

    @abstractmethod
    def token(self) -> str:
        """Return a token that is good for a while.

        Raises
        ------
        streams.errors.SettingsError
            When a setting is at fault.
        streams.errors.KafkaUnavailable
            When there is none to be had.
        """


class FileTokens(Tokens):
    """The token in a file, which somebody else renews.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str:
        """Read it anew."""
        token = held(self._path, "kafka.oauth.token_file").strip()
        if not token:
            raise SettingsError(f"kafka.oauth.token_file: {self._path} is empty; it should hold a token")
        return token


class ProviderTokens(Tokens):
    """Tokens of an identity provider, for a client's credentials. One is used for most of its life.

    Parameters
    ----------
    settings
        Where it is, and who asks.
    """

    def __init__(self, settings: OauthSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._token = ""
        self._good_until = 0.0

    def token(self) -> str:
        """Return the token in use, or ask for another one."""
        with self._lock:
            if time.monotonic() >= self._good_until:
                asked = time.monotonic()
                self._token, seconds = self._ask()
                self._good_until = asked + seconds * _RENEWED_AT
            return self._token

    def _ask(self) -> tuple[str, float]:
        settings, url = self._settings, str(self._settings.token_url)
        scope = {} if settings.scope is None else {"scope": settings.scope}
        body = urlencode({"grant_type": "client_credentials", **scope}).encode()
        login = f"{quote(settings.client_id or '', safe='')}:{quote(self._secret(), safe='')}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        try:
            request = Request(url, body, headers)  # noqa: S310 - the settings allow http and https alone
            with urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310 - likewise
                said = json.load(answer)
            return str(said["access_token"]), float(said.get("expires_in", 60))
        except HTTPError as error:
            reason = f"it answers {error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            reason = f"{getattr(error, 'reason', error)}"
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = "its answer holds no access_token"
        raise KafkaUnavailable(
            f"{url} gives no token: {reason}; check kafka.oauth.token_url, the client's id and its secret"
        )

    def _secret(self) -> str:
        if self._settings.client_secret is not None:
            return self._settings.client_secret.get_secret_value()
        path = self._settings.client_secret_file
        return "" if path is None else held(path, "kafka.oauth.client_secret_file").strip()


class MskTokens(Tokens):
    """Tokens for Amazon MSK: a question to it that is signed with credentials of AWS, and never sent.

    Parameters
    ----------
    region
        Region of the cluster; None for that of AWS's configuration.
    """

    def __init__(self, region: str | None) -> None:
        try:
            from botocore.session import Session  # noqa: PLC0415 - optional
        except ImportError as error:
            raise SettingsError(
                "kafka.sasl_mechanism: AWS_MSK_IAM signs with botocore, which is not installed; "
                "pip install 'flowhawk[aws]'"
            ) from error
        self._session = Session()
        self._region = region or self._session.get_config_variable("region")
        if self._region is None:
            raise SettingsError("kafka.msk_region: say in which region the cluster is, here or in AWS's configuration")

    def token(self) -> str:
        """Sign a token; it is good for a quarter of an hour."""
        from botocore.auth import SigV4QueryAuth  # noqa: PLC0415 - optional
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - optional
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - optional

        try:
            credentials = self._session.get_credentials()
        except BotoCoreError as error:
            raise KafkaUnavailable(f"AWS gives no credentials to log in to MSK with: {error}") from error
        if credentials is None:
            raise KafkaUnavailable(
                "there are no credentials of AWS to log in to MSK with; give the machine a role, or set a profile"
            )
        question = AWSRequest(
            "GET", f"https://kafka.{self._region}.amazonaws.com/", params={"Action": f"{_MSK_SERVICE}:Connect"}
        )
        SigV4QueryAuth(credentials.get_frozen_credentials(), _MSK_SERVICE, self._region, _MSK_SECONDS).add_auth(
            question
        )
        signed = f"{question.url}&User-Agent=flowhawk"
        return base64.urlsafe_b64encode(signed.encode()).rstrip(b"=").decode()


def for_threads(tokens: Tokens) -> Any:
    """Give tokens to kafka-python."""
    from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: PLC0415 - slow to import, and seldom needed

    class Provider(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python is untyped
        def token(self) -> str:
            return tokens.token()

    return Provider()


def for_loops(tokens: Tokens) -> Any:
    """Give tokens to aiokafka."""
    import asyncio  # noqa: PLC0415 - likewise

    from aiokafka.abc import AbstractTokenProvider  # noqa: PLC0415 - likewise

    class Provider(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka is untyped
        async def token(self) -> str:
            # Asking an identity provider takes a while.
            ask: Callable[[], str] = tokens.token
            return await asyncio.get_running_loop().run_in_executor(None, ask)

    return Provider()
