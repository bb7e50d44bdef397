"""Clients of AWS: where credentials come from, and what its errors mean to people."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from pydantic import Field

from streams.errors import InputError
from streams.sources.contract import PlaceSettings

_INSTALL: Final = "pip install 'flowhawk[aws]'"
_ACCESS: Final = {
    "AccessDenied",
    "AccessDeniedException",
    "403",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_REGION: Final = {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_GONE: Final = {"NoSuchKey", "404", "NoSuchVersion"}
_REPLACED: Final = {"PreconditionFailed", "412"}


class AwsSettings(PlaceSettings):
    """How to reach AWS. Credentials come from where AWS's own programs look for them."""

    region: str | None = Field(
        default=None, description="Region to ask; else that of the environment or of AWS's configuration."
    )
    endpoint: str | None = Field(
        default=None, description="URL to ask instead of AWS, for a private endpoint or another S3."
    )
    profile: str | None = Field(default=None, description="Profile of AWS's configuration files.")
    role: str | None = Field(default=None, description="ARN of a role to assume; its credentials are renewed in time.")
    external_id: str | None = Field(default=None, description="External id that the role asks for.")


class GoneError(InputError):
    """What was to be read is not there any more."""


def client(service: str, settings: AwsSettings, place: str) -> Any:
    """Make a client of a service.

    Raises
    ------
    streams.errors.InputError
        When boto3 is not installed, or says that it cannot work so.
    """
    try:
        import boto3  # noqa: PLC0415 - optional
        from botocore.config import Config  # noqa: PLC0415 - optional
    except ImportError as error:
        raise InputError(f"{place}: AWS is read with boto3, which is not installed; {_INSTALL}") from error
    with told(place):
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        if settings.role is not None:
            session = _in_role(session, settings.role, settings.external_id)
        retries = Config(retries={"mode": "standard", "max_attempts": 5}, max_pool_connections=32)
        return session.client(service, endpoint_url=settings.endpoint, config=retries)


@contextmanager
def told(place: str) -> Iterator[None]:
    """Turn errors of AWS, and of the way to it, into one line that names a place.

    Raises
    ------
    GoneError
        When it is not there, or has been replaced.
    streams.errors.InputError
        When it cannot be read for another reason.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415 - optional

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _GONE:
            raise GoneError(f"{place}: is not there any more") from error
        if code in _REPLACED:
            raise GoneError(f"{place}: was replaced while it was to be read") from error
        raise InputError(f"{place}: {error}{_remedy(code)}") from error
    except (BotoCoreError, HTTPClientError) as error:
        raise InputError(f"{place}: {error}") from error


def _remedy(code: str) -> str:
    if code in _ACCESS:
        return "; check the credentials, and that their policy allows this"
    if code in _REGION:
        return "; set region to that of the bucket"
    return ""


def _in_role(session: Any, role: str, external_id: str | None) -> Any:
    """Make a session whose credentials are a role's, renewed before they end."""
    import boto3  # noqa: PLC0415 - optional
    import botocore.session  # noqa: PLC0415 - optional
    from botocore.credentials import (  # noqa: PLC0415 - optional
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        DeferredRefreshableCredentials,
    )
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415 - optional

    own = session.get_credentials()
    if own is None:
        raise NoCredentialsError
    fetcher = AssumeRoleCredentialFetcher(
        session.client, own, role, extra_args={} if external_id is None else {"ExternalId": external_id}
    )

    class Role(CredentialProvider):  # type: ignore[misc]  # botocore is untyped
        METHOD = "role-of-place"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    core = botocore.session.get_session()
    core.get_component("credential_provider").insert_before("env", Role())
    return boto3.Session(botocore_session=core, region_name=session.region_name)
