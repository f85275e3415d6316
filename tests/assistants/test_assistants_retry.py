"""Retries: what is asked again, how long is waited, and what the last error says. Nothing here sleeps."""

from collections import Counter
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from rrm.assistants.faults import diagnose
from rrm.assistants.retry import Retrying
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.errors import (
    AssistantError,
    BudgetError,
    ConfigError,
    LostCallError,
    MalformedAnswerError,
    SetupError,
    StoreError,
)
from rrm.core.protocols import Prompt

ASK = Prompt("", "hello")


class Response:
    def __init__(self, status_code: int, headers: dict[str, str] | None = None) -> None:
        self.status_code, self.headers = status_code, headers or {}


class ProviderError(Exception):
    """Shaped like the errors of the providers' packages."""

    def __init__(self, status: int, message: str = "no", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.response = Response(status, headers)


class APITimeoutError(Exception):
    pass


class APIConnectionError(Exception):
    pass


class AuthenticationError(Exception):
    pass


def retrying(lines: list[Any], **settings: Any) -> tuple[Retrying, ScriptedAssistant, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    script = ScriptedAssistant(lines, name="model")
    return Retrying(script, sleep=sleep, **settings), script, waits


TRANSIENT = [
    (ProviderError(429), "rate limit"),
    (ProviderError(500), "server"),
    (ProviderError(503), "server"),
    (ProviderError(529), "server"),
    (ProviderError(408), "timeout"),
    (TimeoutError(), "timeout"),
    (APITimeoutError("slow"), "timeout"),
    (ConnectionResetError("reset by peer"), "connection"),
    (APIConnectionError("refused"), "connection"),
]
FINAL = [
    (ProviderError(401), "denied"),
    (ProviderError(403), "denied"),
    (ProviderError(400), "request"),
    (ProviderError(404), "not found"),
    (ProviderError(402), "denied"),
    (ProviderError(429, "{'code': 'insufficient_quota'}"), "denied"),
    (ProviderError(400, "Your credit balance is too low"), "denied"),
    (ProviderError(400, "API key not valid. Please pass a valid API key."), "denied"),
    (ProviderError(400, "model_not_found"), "not found"),
    (ProviderError(400, "x" * 500 + "invalid api key"), "request"),
    (AuthenticationError("bad key"), "denied"),
    (ModuleNotFoundError("No module named 'anthropic'"), "set-up"),
    (RuntimeError("set the OPENAI_API_KEY environment variable"), "set-up"),
    (RuntimeError("bug"), "other"),
    (ValueError("bug"), "other"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("error", "kind"), TRANSIENT)
async def test_failures_that_pass_are_asked_again(error, kind):
    asking, script, waits = retrying([error, error, "fine"])
    assert (await asking.ask(ASK)).text == "fine"
    assert asking.faults == {kind: 2}
    assert (len(script.prompts), len(waits)) == (3, 2)


@pytest.mark.asyncio
@pytest.mark.parametrize(("error", "kind"), FINAL)
async def test_failures_that_stay_are_raised_at_once_as_one_sentence(error, kind):
    asking, script, waits = retrying([error, "too late"])
    with pytest.raises(AssistantError) as failure:
        await asking.ask(ASK)
    assert failure.value.__cause__ is error
    assert str(failure.value).startswith(f"model did not answer ({kind}") and "\n" not in str(failure.value)
    assert (len(script.prompts), waits, asking.faults) == (1, [], Counter({kind: 1}))


@pytest.mark.asyncio
@pytest.mark.parametrize(("error", "kind"), FINAL)
async def test_what_every_call_will_meet_is_a_fault_of_the_set_up_and_says_how_to_go_on(error, kind):
    asking, _, _ = retrying([error])
    with pytest.raises(AssistantError) as failure:
        await asking.ask(ASK)
    lasting = kind in ("denied", "not found", "set-up")
    assert isinstance(failure.value, SetupError) == lasting
    assert ("go on with the same command" in str(failure.value)) == lasting
    assert failure.value.exit_code == 5


@pytest.mark.asyncio
async def test_a_fault_of_the_set_up_that_an_assistant_did_not_tell_as_such_is_one():
    wrapped = AssistantError("model did not answer")
    wrapped.__cause__ = ProviderError(401)
    asking, _, _ = retrying([wrapped])
    with pytest.raises(SetupError, match="denied 401"):
        await asking.ask(ASK)


@pytest.mark.asyncio
async def test_a_call_that_was_lost_with_its_worker_is_made_again_at_once_and_that_is_no_attempt():
    lost, refused = LostCallError("gone"), LostCallError("worker after worker", again=False)
    asking, script, waits = retrying([*[lost] * 5, "fine"], attempts=1)
    assert (await asking.ask(ASK)).text == "fine"
    assert (asking.faults, waits, {prompt.attempt for prompt in script.prompts}) == ({"lost": 5}, [], {1})
    asking, script, _ = retrying([lost, refused, "too late"])
    with pytest.raises(LostCallError, match="worker after worker"):
        await asking.ask(ASK)
    assert len(script.prompts) == 2


@pytest.mark.asyncio
async def test_wrapped_failures_are_known_by_their_cause():
    wrapped = AssistantError("model did not answer")
    wrapped.__cause__ = ProviderError(429)
    asking, _, _ = retrying([wrapped, "fine"])
    assert (await asking.ask(ASK)).text == "fine"
    assert asking.faults == {"rate limit": 1}


@pytest.mark.asyncio
async def test_it_gives_up_after_the_stated_attempts_and_says_so():
    asking, script, waits = retrying([ProviderError(503, "overloaded")] * 9, attempts=3)
    with pytest.raises(AssistantError, match=r"server 503, ProviderError: overloaded.*attempts: 3") as failure:
        await asking.ask(ASK)
    assert isinstance(failure.value.__cause__, ProviderError)
    assert (len(script.prompts), len(waits), asking.faults) == (3, 2, Counter(server=3))


@pytest.mark.asyncio
async def test_waits_stay_below_an_exponential_bound_and_vary():
    asking, _, waits = retrying([ProviderError(500)] * 200, attempts=200, longest_seconds=8.0)
    with pytest.raises(AssistantError):
        await asking.ask(ASK)
    assert all(0 <= wait <= min(8.0, 2.0**number) for number, wait in enumerate(waits))
    assert len(set(waits)) > 150 and max(waits) > 4.0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"Retry-After": format_datetime(datetime.fromtimestamp(1_000_030, UTC), usegmt=True)}, 30.0),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "99999"}, 600.0),
    ],
)
async def test_retry_after_is_honoured_in_seconds_and_as_a_date(headers, seconds):
    asking, _, waits = retrying([ProviderError(429, headers=headers), "fine"], now=lambda: 1_000_000.0)
    await asking.ask(ASK)
    assert waits == [pytest.approx(seconds, abs=0.1)]


@pytest.mark.asyncio
async def test_an_unreadable_retry_after_falls_back_to_the_back_off():
    asking, _, waits = retrying([ProviderError(429, headers={"Retry-After": "soon"}), "fine"])
    await asking.ask(ASK)
    assert 0 <= waits[0] <= 1


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [BudgetError("used up"), MalformedAnswerError("garbage"), StoreError("disk full")])
async def test_our_own_refusals_pass_through_untouched(error):
    asking, script, _ = retrying([error, "too late"])
    with pytest.raises(type(error)) as failure:
        await asking.ask(ASK)
    assert failure.value is error and len(script.prompts) == 1


@pytest.mark.asyncio
async def test_keys_in_a_providers_message_are_blotted_out():
    asking, _, _ = retrying([ProviderError(401, "Incorrect API key provided: sk-seeded-fake-key-123456.")])
    with pytest.raises(AssistantError) as failure:
        await asking.ask(ASK)
    assert "seeded-fake" not in str(failure.value)


def test_langchains_own_errors_are_known():
    from langchain_core import exceptions

    kinds = {
        "ModelRateLimitError": "rate limit",
        "ModelAPIError": "server",
        "ModelConnectionError": "connection",
        "ModelTimeoutError": "timeout",
        "ModelAuthenticationError": "denied",
        "ModelPermissionDeniedError": "denied",
        "ModelInvalidRequestError": "request",
        "ModelNotFoundError": "not found",
    }
    for name, kind in kinds.items():
        error = getattr(exceptions, name)("x")
        assert diagnose(error).kind == kind, name
        assert diagnose(error).transient == error.is_retryable, name


def test_httpx_errors_are_known():
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("GET", "http://localhost")
    assert diagnose(httpx.ReadTimeout("x", request=request)).kind == "timeout"
    assert diagnose(httpx.ConnectError("x", request=request)).kind == "connection"
    assert diagnose(httpx.RemoteProtocolError("x", request=request)).kind == "connection"
    response = httpx.Response(429, headers={"retry-after": "3"}, request=request)
    fault = diagnose(httpx.HTTPStatusError("x", request=request, response=response))
    assert (fault.kind, fault.status, fault.retry_after) == ("rate limit", 429, 3.0)


def test_botocores_errors_are_known_by_the_dictionary_that_they_carry():
    class ClientError(Exception):
        response = {"ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": "4"}}}  # noqa: RUF012

    fault = diagnose(ClientError("ThrottlingException"))
    assert (fault.kind, fault.status, fault.retry_after) == ("rate limit", 429, 4.0)


def test_no_attempt_at_all_is_refused():
    with pytest.raises(ConfigError):
        Retrying(ScriptedAssistant([]), attempts=0)
