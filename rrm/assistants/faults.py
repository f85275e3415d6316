"""What went wrong with a model call: exceptions of any provider told apart, and put into one sentence.

No provider is imported. An exception is known by its HTTP status, by a builtin base, or by the
names of its classes, which the providers' packages share (`...Timeout...`, `...Connection...`).
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal, cast

from rrm.assistants.secrets import without_secrets
from rrm.core.errors import AssistantError, BudgetError, LostCallError, MalformedAnswerError, NoAnswerError, SetupError
from rrm.core.replies import LACKS, Lack

Transient = Literal["rate limit", "timeout", "connection", "server"]
Lasting = Literal["denied", "not found", "set-up"]
FaultKind = Literal[Transient, Lasting, Lack, "lost", "request", "malformed", "budget", "other"]
TRANSIENT: frozenset[FaultKind] = frozenset(("rate limit", "timeout", "connection", "server", "empty", "broken"))
"""The same call may succeed later."""

LASTING: frozenset[FaultKind] = frozenset(("denied", "not found", "set-up"))
"""Every call will fail in the same way until somebody mends the set-up."""

_MEND: dict[FaultKind, str] = {
    "rate limit": "lower the concurrency or try again later",
    "timeout": "allow it more time or try again later",
    "connection": "check the network and the model's address",
    "server": "try again later",
    "lost": "find out why workers end over it",
    "denied": "mend the key, or what it may do and pay for, and go on with the same command",
    "not found": "mend the model's name or its address, and go on with the same command",
    "set-up": "install or set what it names, and go on with the same command",
    "request": "check the model's arguments, whether it takes system messages, and the length of the prompt",
    "cut off": "let it write more, or think less",
    "refused": "change the text or the model",
    "filtered": "change the text or the model",
    "tool call": "give it no tools",
    "broken": "try again later",
    "empty": "try again, or use another model",
    "malformed": "ask again or use a model that keeps to the form",
    "budget": "raise the limit",
    "other": "see the cause with --debug",
}
_NAMED: tuple[tuple[str, FaultKind], ...] = (
    ("RateLimit", "rate limit"),
    ("ResourceExhausted", "rate limit"),
    ("Timeout", "timeout"),
    ("DeadlineExceeded", "timeout"),
    ("Connection", "connection"),
    ("ConnectError", "connection"),
    ("NetworkError", "connection"),
    ("TransportError", "connection"),
    ("ProtocolError", "connection"),
    ("ReadError", "connection"),
    ("Authentication", "denied"),
    ("PermissionDenied", "denied"),
    ("NoCredentials", "denied"),
    ("DefaultCredentials", "denied"),
    ("ModelAPIError", "server"),
    ("InternalServerError", "server"),
    ("ServiceUnavailable", "server"),
    ("InvalidRequest", "request"),
    ("ModelNotFound", "not found"),
    ("ContextOverflow", "request"),
    ("LengthFinishReason", "cut off"),
    ("ContentFilter", "filtered"),
    ("BlockedPrompt", "filtered"),
    ("StopCandidate", "filtered"),
    ("RefusalError", "refused"),
)
_BEGINNING = 500  # characters of a message that are looked at: behind them a prompt may be quoted
_SAID: tuple[tuple[str, FaultKind], ...] = (  # what a status does not tell from a rate limit or a bad request
    (r"(?i)insufficient_quota|credit balance is too low", "denied"),
    (r"(?i)API_KEY_INVALID|(?:incorrect|invalid) API key|API key not valid", "denied"),
    (r"(?i)DeploymentNotFound|model_not_found", "not found"),
    (r"(?i)content_filter|content management policy|ResponsibleAIPolicyViolation", "filtered"),
)
_UNSET = re.compile(r"environment variable|could not resolve authentication", re.IGNORECASE)


@dataclass(frozen=True)
class Fault:
    """A failed call: what kind of failure, the exception's name, its first line, and how long to wait, in seconds."""

    kind: FaultKind
    error: str
    message: str
    status: int | None = None
    retry_after: float | None = None

    @property
    def transient(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind in TRANSIENT

    @property
    def lasting(self) -> bool:
        """Whether every call will fail like this until the set-up is mended."""
        return self.kind in LASTING

    def as_error(self, name: str, note: str = "") -> AssistantError:
        """Return what to raise for model `name`: SetupError if it is lasting, NoAnswerError for a reply without answer.

        `note` follows the sentence.
        """
        sentence = f"{self.sentence(name)}{note}"
        if self.kind in LACKS:
            return NoAnswerError(sentence, self.kind)
        return SetupError(sentence) if self.lasting else AssistantError(sentence)

    def sentence(self, name: str) -> str:
        """Return one sentence: which model, what failed, how to mend it."""
        status = f" {self.status}" if self.status else ""
        said = f": {self.message}" if self.message else ""
        return f"{name} did not answer ({self.kind}{status}, {self.error}{said}); {_MEND[self.kind]}"


class FaultedError(Exception):
    """A model call that failed where it was made, as was found out there."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def diagnose(error: BaseException, now: Callable[[], float] = time.time) -> Fault:
    """Tell what kind of failure an exception, or one that it was raised from, stands for.

    `now` is the wall clock, seconds since 1970, for a Retry-After header that names a date.
    """
    for each in _chain(error):
        if isinstance(each, FaultedError):
            return each.fault
        kind = _kind(each)
        if kind != "other":
            return Fault(kind, type(each).__name__, _first_line(each), _status(each), _retry_after(each, now))
    cause = error.__cause__ or error
    return Fault("set-up" if isinstance(error, SetupError) else "other", type(cause).__name__, _first_line(cause))


def _chain(error: BaseException) -> Iterator[BaseException]:
    at: BaseException | None = error
    for _ in range(5):
        if at is None:
            return
        yield at
        at = at.__cause__


def _kind(error: BaseException) -> FaultKind:
    if isinstance(error, BudgetError):
        return "budget"
    if isinstance(error, MalformedAnswerError):
        return "malformed"
    if isinstance(error, LostCallError):
        return "lost"
    if isinstance(error, NoAnswerError):
        return cast(Lack, error.lack) if error.lack in LACKS else "empty"
    if isinstance(error, ImportError):
        return "set-up"
    status = _status(error)
    if said := _said(error, status):
        return said
    if status is not None and status >= 400:
        return _kind_of_status(status)
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionError):
        return "connection"
    names = [each.__name__ for each in type(error).__mro__]
    return next((kind for part, kind in _NAMED if any(part in name for name in names)), "other")


def _said(error: BaseException, status: int | None) -> FaultKind | None:
    """Return what a message tells that neither status nor name does."""
    words = str(error)[:_BEGINNING]
    if status is None:
        return "set-up" if _UNSET.search(words) else None
    if not 400 <= status < 500:
        return None
    return next((kind for pattern, kind in _SAID if re.search(pattern, words)), None)


def _kind_of_status(status: int) -> FaultKind:
    if status == 429:
        return "rate limit"
    if status == 408:
        return "timeout"
    if status in (401, 402, 403):  # unknown, without credit, not allowed
        return "denied"
    if status == 404:
        return "not found"
    return "server" if status >= 500 else "request"


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    holders = ((error, "status_code"), (response, "status_code"), (error, "http_status"), (error, "code"))
    stated = [getattr(holder, name, None) for holder, name in holders]
    for status in (*stated, _metadata(error).get("HTTPStatusCode")):
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status < 600:
            return status
    return None


def _metadata(error: BaseException) -> Mapping[str, Any]:
    """Return what botocore says of a response, which it keeps as a dictionary."""
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    return metadata if isinstance(metadata, Mapping) else {}


def _retry_after(error: BaseException, now: Callable[[], float]) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or _metadata(error).get("HTTPHeaders")
    if not isinstance(headers, Mapping):
        return None
    known = {str(key).lower(): str(value) for key, value in headers.items()}
    try:
        if "retry-after-ms" in known:
            return max(0.0, float(known["retry-after-ms"]) / 1000)
        return max(0.0, float(known["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(known["retry-after"]).timestamp() - now())
    except (KeyError, ValueError):
        return None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return without_secrets(lines[0].strip())[:200] if lines else ""
