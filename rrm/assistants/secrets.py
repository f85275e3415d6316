"""Keys, tokens and passwords: known by an argument's name or by how they look, and kept out of all that is shown."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

_NAMED = re.compile(r"key|token|secret|password|credential|auth|cookie", re.IGNORECASE)
_LOOKS = re.compile(r"\b(?:sk|pk|key|token|bearer)[-_ =:]+[^\s'\",]{6,}", re.IGNORECASE)


def is_secret(name: str, value: Any) -> bool:
    """Whether an argument is one by its name; numbers under such a name (`max_tokens`) are none."""
    return isinstance(value, SecretStr) or bool(_NAMED.search(name) and not isinstance(value, bool | int | float))


def without_secret_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments without secrets, however deep; what only names an environment variable (`${NAME}`) stays."""
    return {
        name: without_secret_arguments(value) if isinstance(value, Mapping) else value
        for name, value in arguments.items()
        if not is_secret(name, value) or isinstance(value, Mapping) or (isinstance(value, str) and "${" in value)
    }


def without_secrets(text: str) -> str:
    """Return the text with what looks like a key or a token blotted out."""
    return _LOOKS.sub("***", text)


def blotted(text: str, arguments: Mapping[str, Any]) -> str:
    """Return the text without what looks like a secret, and without the values of secret arguments."""
    for name, value in arguments.items():
        secret = value.get_secret_value() if isinstance(value, SecretStr) else value
        if is_secret(name, value) and isinstance(secret, str) and secret:
            text = text.replace(secret, "***")
    return without_secrets(text)
