"""LangChain chat models as assistants: messages, text, tokens, names, and making them of a run file's arguments."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel, FakeMessagesListChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field, SecretStr

from rrm.assistants.langchain import LangChainAssistant, make_chat_model, model_name
from rrm.core.errors import AssistantError, PluginError
from rrm.core.protocols import Assistant, Prompt

HERE = __name__


class Recording(BaseChatModel):
    """Keeps what it was sent; takes the fields that providers have."""

    model: str = "recording-1"
    temperature: float = 0.0
    max_tokens: int | None = None
    seed: int | None = None
    api_key: SecretStr | None = None
    base_url: str | None = None
    headers: dict[str, str] | None = None
    timeout: float | None = None
    sent: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "recording"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.sent.append((messages, kwargs))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content="fine"))])


class Hanging(Recording):
    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        await asyncio.Event().wait()


class Silent(Recording):
    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[])


class Picky(Recording):
    def __init__(self, **kwargs: Any) -> None:
        raise RuntimeError(f"cannot log in with {kwargs['api_key']}\nsecond line")


def said(message: BaseMessage) -> FakeMessagesListChatModel:
    return FakeMessagesListChatModel(responses=[message])


def asking(model: BaseChatModel) -> LangChainAssistant:
    return LangChainAssistant(model)


def test_it_is_an_assistant():
    assert isinstance(asking(Recording()), Assistant)


@pytest.mark.asyncio
async def test_system_and_user_text_are_sent_as_messages_and_the_schema_in_words():
    model = Recording()
    await asking(model).ask(Prompt("Be brief.", "Hello", {"type": "object"}))
    (system, user), _ = model.sent[0]
    assert (system.type, user.type, user.content) == ("system", "human", "Hello")
    assert system.content.startswith("Be brief.") and '{"type": "object"}' in system.content


@pytest.mark.asyncio
async def test_an_empty_system_text_is_not_sent():
    model = Recording()
    await asking(model).ask(Prompt("", "Hello"))
    assert [message.type for message in model.sent[0][0]] == ["human"]


@pytest.mark.asyncio
async def test_limit_and_seed_reach_models_that_have_them_and_samples_differ():
    model = Recording(seed=1)
    for sample in (0, 1, 1):
        await asking(model).ask(Prompt("", "Hello", sample=sample, max_tokens=50))
    settings = [kwargs for _, kwargs in model.sent]
    assert all(each["max_tokens"] == 50 and 0 <= each["seed"] < 2**31 for each in settings)
    assert settings[0]["seed"] != settings[1]["seed"] == settings[2]["seed"]


@pytest.mark.asyncio
async def test_no_seed_is_sent_to_a_model_that_was_given_none():
    model = Recording()
    await asking(model).ask(Prompt("", "Hello"))
    assert model.sent[0][1] == {}


@pytest.mark.asyncio
async def test_content_in_parts_is_joined_without_the_reasoning():
    parts: list[Any] = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "one "}, "two"]
    reply = await asking(said(AIMessage(content=parts))).ask(Prompt("", "x"))
    assert reply.text == "one two"


@pytest.mark.asyncio
async def test_tokens_are_those_that_the_model_states_and_unknown_otherwise():
    usage: Any = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    counted = await asking(said(AIMessage(content="x", usage_metadata=usage))).ask(Prompt("", "x"))
    assert (counted.input_tokens, counted.output_tokens) == (11, 7)
    unknown = await asking(said(AIMessage(content="x"))).ask(Prompt("", "x"))
    assert (unknown.input_tokens, unknown.output_tokens) == (None, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("told", "cost"), [({"cost": 0.002}, 0.002), ({"cost": "much"}, None), ({"cost": float("nan")}, None), (None, None)]
)
async def test_the_cost_is_what_the_provider_says_and_unknown_otherwise(told, cost):
    message = AIMessage(content="x", response_metadata={"token_usage": told})
    assert (await asking(said(message)).ask(Prompt("", "x"))).cost == cost


@pytest.mark.asyncio
async def test_half_characters_and_nul_never_enter():
    reply = await asking(said(AIMessage(content="a\ud800b\0c"))).ask(Prompt("", "x"))
    assert reply.text == "a\ufffdbc"


@pytest.mark.asyncio
async def test_serialised_langchain_objects_in_an_answer_stay_text(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-do-not-show-this")
    text = '{"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]}'
    reply = await asking(FakeListChatModel(responses=[text])).ask(Prompt("", "x"))
    assert reply.text == text


@pytest.mark.asyncio
async def test_why_a_model_stopped_and_its_refusal_are_told_in_its_own_words():
    refused = AIMessage("", additional_kwargs={"refusal": "No."}, response_metadata={"finish_reason": "content_filter"})
    reply = await asking(said(refused)).ask(Prompt("", "x"))
    assert (reply.text, reply.refusal, reply.stop) == ("", "No.", "content_filter")


@pytest.mark.asyncio
async def test_a_model_that_gives_no_generation_is_an_assistant_error():
    with pytest.raises(AssistantError, match="did not answer"):
        await asking(Silent()).ask(Prompt("", "x"))


@pytest.mark.asyncio
async def test_a_model_that_hangs_times_out():
    with pytest.raises(AssistantError, match="timeout"):
        await LangChainAssistant(Hanging(), timeout_seconds=0.01).ask(Prompt("", "x"))


def test_names_differ_by_what_can_change_an_answer_and_by_nothing_else():
    plain = model_name(Recording(temperature=0.5))
    assert plain == model_name(Recording(temperature=0.5, timeout=3.0, api_key="sk-one"))
    assert plain != model_name(Recording(temperature=0.6))
    assert plain != model_name(Recording(temperature=0.5, max_tokens=9))
    assert plain != model_name(Recording(temperature=0.5, base_url="http://elsewhere"))
    assert plain != model_name(Recording(temperature=0.5, model="recording-2"))
    assert plain.startswith("Recording/recording-1#")


def test_secrets_take_no_part_in_names():
    one = Recording(headers={"X-Api-Key": "one"}, base_url="https://user:one@host/v1?key=one")
    two = Recording(headers={"X-Api-Key": "two"}, base_url="https://user:two@host/v1?key=two")
    assert model_name(one) == model_name(two)


def test_a_chat_model_is_made_with_its_arguments():
    model = make_chat_model(Recording, f"{HERE}:Recording", {"temperature": 0.3})
    assert isinstance(model, BaseChatModel) and model.temperature == 0.3


@pytest.mark.parametrize(
    ("found", "arguments", "complaint"),
    [
        (HERE, {}, "not a LangChain chat model"),
        (Path, {}, "not a LangChain chat model"),
        (BaseChatModel, {}, "abstract"),
        (Recording, {"temperature": "hot"}, "temperature: "),
        (Recording, {"temprature": 0.5}, "takes no argument 'temprature'"),
        (Picky, {"api_key": "hunter2-hunter2"}, "RuntimeError: cannot log in with ***"),
    ],
)
def test_whatever_is_wrong_with_a_model_is_said_in_one_sentence(found, arguments, complaint):
    with pytest.raises(PluginError) as refusal:
        make_chat_model(found, "models:Chat", arguments)
    assert complaint in str(refusal.value)
    assert str(refusal.value).startswith("models:Chat ")
    assert "\n" not in str(refusal.value) and "hunter2" not in str(refusal.value)


def test_a_wrong_secret_is_not_repeated_in_the_message():
    with pytest.raises(PluginError) as refusal:
        make_chat_model(Recording, "models:Chat", {"api_key": ["sk-seeded-fake-key-123456"]})
    assert "seeded-fake" not in str(refusal.value)
