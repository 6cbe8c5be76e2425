"""Schemas of AWS Glue, by the ids of their versions; needs the extra `glue`, which brings AWS's own client."""

import asyncio
from importlib import import_module
from typing import Any, final

from processor.events.framing import GlueId, SchemaId
from processor.model.errors import ConfigurationError, GlueUnavailableError
from processor.runtime.ports import SchemaIncompleteError, SchemaText

REQUEST_TIMEOUT_S = 10.0

_VARIABLE = "PROCESSOR_SCHEMA_REGISTRY__GLUE_REGION"
_ABSENT = "EntityNotFoundException"
_AVAILABLE = "AVAILABLE"
_OF_LOGIN = frozenset({"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException"})
_WITHOUT_LOGIN = frozenset({"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"})
"""Errors of AWS's client, which asks nothing then."""


@final
class GlueSchemas:
    """The `Schemas` port over Glue in one region, with the credentials and the endpoint that AWS's client finds.

    Raises `ConfigurationError` where that client is not installed, or cannot be made.
    """

    def __init__(self, region: str) -> None:
        self.address = f"AWS Glue in {region}"
        try:
            config = import_module("botocore.config").Config(
                connect_timeout=REQUEST_TIMEOUT_S,
                read_timeout=REQUEST_TIMEOUT_S,
                retries={"total_max_attempts": 1},  # the worker asks again itself, and says so
            )
            self._client: Any = import_module("boto3").client("glue", region_name=region, config=config)
        except ImportError:
            needed = "is set, and AWS's client is not installed; install it with `pip install '.[glue]'`"
            raise ConfigurationError([f"{_VARIABLE}: {needed}"]) from None
        except Exception as error:  # noqa: BLE001 - botocore raises many kinds, which may quote what they refuse
            raise ConfigurationError([f"{_VARIABLE}: AWS's client cannot be made ({type(error).__name__})"]) from None

    async def fetch(self, schema_id: SchemaId) -> SchemaText | None:
        """Return the schema of a version, None when Glue knows no such version.

        Raises `SchemaIncompleteError` for a version that is not available, and `GlueUnavailableError` otherwise.
        """
        if not isinstance(schema_id, GlueId):
            return None
        try:
            found = await asyncio.to_thread(self._client.get_schema_version, SchemaVersionId=str(schema_id))
        except Exception as error:  # noqa: BLE001 - of botocore and the network: all but one say nothing of the schema
            code = _code_of(error)
            if code == _ABSENT:
                return None
            is_refused, kind = code in _OF_LOGIN, type(error).__name__
            hint = "; check the credentials, which need glue:GetSchemaVersion" if is_refused else ""
            what = f"answers {code}{hint}" if code else f"does not answer ({kind})"
            if kind in _WITHOUT_LOGIN:
                what = f"is not asked: AWS's client finds no credentials ({kind})"
            raise GlueUnavailableError(
                f"{self.address} {what}",
                is_of_login=is_refused or kind in _WITHOUT_LOGIN,
                is_of_one_schema=is_refused,
            ) from None
        if found.get("Status", _AVAILABLE) != _AVAILABLE:
            raise SchemaIncompleteError(f"its status is {str(found['Status'])[:20]!a}")
        return SchemaText(found["SchemaDefinition"], found["DataFormat"])


def _code_of(error: Exception) -> str | None:
    """Return by what name Glue refuses; None for what is not its answer."""
    answer: Any = getattr(error, "response", None)
    return answer["Error"]["Code"] if isinstance(answer, dict) and "Code" in answer.get("Error", {}) else None
