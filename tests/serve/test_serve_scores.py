"""The scoring server: what clients of OpenRLHF's servers send and expect, and what it refuses."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from rrm.core.values import Group, Passage, View
from rrm.reward.committee import Committee
from rrm.reward.fit import FitConfig, fit
from rrm.reward.joint_model import JointModel
from rrm.reward.model import LevelModel
from rrm.reward.open import Model
from rrm.reward.served import ServedModel
from rrm.reward.train import train
from rrm.reward.train_config import TrainConfig
from rrm.serve import scores as serve
from rrm.serve.scores import application
from tests.reward.joint_problems import judged, save_decoder
from tests.reward.reward_problems import WordEncoder, rate, view

CONFIG = TrainConfig(members=3, epochs=1, learning_rate=1e-3, save_every=0)
PROMPT = "w1 w2 w3"
OUTPUTS = [" w4", " w5 w6", " w7 w8 w9"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained tiny decoder."""
    place = tmp_path_factory.mktemp("served")
    base = save_decoder(place / "base", positions=64)
    train(judged(6, 1, outputs=3), str(base), place / "model", CONFIG, seed=0, device="cpu", dtype="float32")
    return place / "model"


@pytest.fixture(scope="module")
def joint(folder: Path) -> JointModel:
    return JointModel.load(folder, "cpu", "float32")


@pytest.fixture(scope="module")
def frozen() -> LevelModel:
    return fit(rate(), WordEncoder(), FitConfig(members=4, folds=4, l2=5.0, components=4), seed=0)


def asking(model: Model) -> TestClient:
    return TestClient(application(ServedModel(model), "model"))


def said(answer: Any, status: int = 422) -> str:
    """The sentence with which a request is refused."""
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert isinstance(detail, str) and "\n" not in detail
    return detail


def expected(model: Model, prompt: str, outputs: list[str]) -> np.ndarray:
    return model.rewards([Group("new", 0, View("", (Passage(prompt),), 128), tuple(outputs))])[0]


def test_whole_texts_get_a_reward_each_with_prompts_and_without(joint: JointModel) -> None:
    rewards = expected(joint, PROMPT, OUTPUTS)
    queries = [PROMPT + output for output in OUTPUTS]
    for more in ({}, {"prompts": [PROMPT] * 3}, {"prompts": [PROMPT] * 3, "labels": ["1", None, "x"]}):
        answer = asking(joint).post("/get_reward", json={"query": queries, **more})
        assert answer.status_code == 200
        found = answer.json()
        assert list(found) == ["rewards", "scores", "score_std"]
        assert found["rewards"] == pytest.approx(rewards.mean(axis=0), abs=1e-5)
        assert found["scores"] == found["rewards"]
        assert found["score_std"] == pytest.approx(rewards.std(axis=0), abs=1e-5)


def test_padding_and_ends_that_clients_leave_do_not_change_a_reward(joint: JointModel) -> None:
    plain, padded = PROMPT + OUTPUTS[0], f"<pad><pad>{PROMPT}{OUTPUTS[0]}</s><pad>"
    found = asking(joint).post("/get_reward", json={"query": [plain, padded, f"<s>{plain}"]}).json()["rewards"]
    assert found[1] == found[0] != found[2]
    prompts = {"query": [padded], "prompts": [f"<pad>{PROMPT}"]}
    assert asking(joint).post("/get_reward", json=prompts).json()["rewards"] == pytest.approx(found[:1], abs=1e-5)


def test_an_empty_output_has_a_reward(joint: JointModel) -> None:
    found = asking(joint).post("/get_reward", json={"query": [PROMPT], "prompts": [PROMPT]}).json()
    assert found["rewards"] == pytest.approx(expected(joint, PROMPT, [""]).mean(axis=0), abs=1e-5)


def test_a_frozen_model_needs_prompts(frozen: LevelModel) -> None:
    prompt = view("s1").passages[0].text
    outputs = [" Anna river stone.", " Zelda foo."]
    asked = {"query": [prompt + output for output in outputs], "prompts": [prompt] * 2}
    found = asking(frozen).post("/get_reward", json=asked).json()["rewards"]
    assert found == pytest.approx(expected(frozen, prompt, outputs).mean(axis=0), abs=1e-9)
    for wrong in ({"query": asked["query"]}, {**asked, "prompts": [prompt, "Something else."]}):
        detail = said(asking(frozen).post("/get_reward", json=wrong))
        assert "does not begin with a prompt of its own" in detail and "send prompts" in detail


def test_members_trained_apart_answer_together(joint: JointModel) -> None:
    found = asking(Committee((joint, joint))).post("/get_reward", json={"query": [PROMPT]}).json()
    assert found["rewards"] == pytest.approx(expected(joint, "", [PROMPT]).mean(axis=0), abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "query: field required"),
        ({"query": []}, "query: list should have at least 1 item"),
        ({"query": "w1"}, "query: input should be a valid list"),
        ({"query": [1]}, "query.0: input should be a valid string"),
        ({"query": ["w1", None]}, "query.1: input should be a valid string"),
        ({"query": ["w1", ""]}, "query.1: string should have at least 1 character"),
        ({"query": ["w1", "<pad></s>"]}, "query 1 is empty"),
        ({"query": ["w1"] * 1025}, "query: list should have at most 1024 items"),
        ({"query": ["w" * 1_000_001]}, "query.0: string should have at most 1000000 characters"),
        ({"query": ["w1"], "prompts": ["w1", "w2"]}, "there are 1 queries and 2 prompts: give one a query"),
        ({"query": ["w1 " * 80]}, "outputs with their sources have more than the 64 tokens that the backbone reads"),
        ([], "the request: "),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_sentence(joint: JointModel, asked: Any, says: str) -> None:
    assert says in said(asking(joint).post("/get_reward", json=asked))


def test_what_is_no_json_or_too_large_is_refused(joint: JointModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(asking(joint).post("/get_reward", content=b"{", headers={"content-type": "application/json"})) == (
        "the request is not JSON"
    )
    monkeypatch.setattr(serve, "MOST_BYTES", 100)
    large = asking(joint).post("/get_reward", json={"query": ["w" * 200]})
    assert "at most 100 bytes" in said(large, 413)


def test_a_refusal_does_not_repeat_what_was_sent(joint: JointModel) -> None:
    answer = asking(joint).post("/get_reward", json={"query": [{"secret": "w"}]})
    assert "secret" not in said(answer)


def test_many_at_once_get_their_own_rewards_one_after_the_other(
    joint: JointModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"w{at} w{at + 1}" for at in range(12)]
    alone = [expected(joint, "", [text]).mean() for text in texts]
    inside, free, rewards = threading.Semaphore(1), [], JointModel.rewards

    def watched(model: JointModel, groups: list[Group]) -> list[np.ndarray]:
        free.append(inside.acquire(blocking=False))
        try:
            return rewards(model, groups)
        finally:
            inside.release()

    monkeypatch.setattr(JointModel, "rewards", watched)
    with asking(joint) as client, ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda text: client.post("/get_reward", json={"query": [text]}).json(), texts))
    assert [each["rewards"][0] for each in found] == pytest.approx(alone, abs=1e-5)
    assert free == [True] * len(texts)


def test_a_server_does_not_remember_all_that_it_ever_read(frozen: LevelModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_REMEMBERED", 5)
    requests = serve.Requests(ServedModel(frozen))
    prompt = view("s1").passages[0].text
    before = [
        requests.score(serve.Asked(query=[f"{prompt} word{at}"], prompts=[prompt])).rewards[0] for at in range(12)
    ]
    kept = requests._model.model.reader._rows  # type: ignore[attr-defined]
    assert 0 < len(kept) <= 5
    first = serve.Asked(query=[f"{prompt} word0"], prompts=[prompt])
    again = serve.Requests(ServedModel(frozen)).score(first).rewards[0]
    assert again == before[0]


def test_health_says_which_model_it_is_and_nothing_else_is_served(joint: JointModel) -> None:
    client = asking(joint)
    assert client.get("/health").json() == {"status": "ok", "model": "model", "members": 3}
    for path in ("/", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 404


def test_the_command_serves_on_a_free_port_what_rrm_score_says(folder: Path, tmp_path: Path) -> None:
    exact = ("--device", "cpu", "--dtype", "float32")
    command = [sys.executable, "-m", "rrm", "serve-reward", "--model", str(folder), "--port", "0", *exact]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert server.stderr is not None
        told = next(line for line in server.stderr if "serving" in line)
        place = re.search(r"http://127\.0\.0\.1:\d+", told)
        assert place is not None, told
        asked = {"query": [PROMPT + output for output in OUTPUTS], "prompts": [PROMPT] * 3}
        request = urllib.request.Request(
            f"{place[0]}/get_reward", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            served = json.load(answer)["rewards"]
        with urllib.request.urlopen(f"{place[0]}/health", timeout=60) as answer:
            assert json.load(answer)["model"] == folder.name
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
    assert code == 0
    assert served == pytest.approx(scored(folder, tmp_path), abs=1e-5)


def scored(folder: Path, tmp_path: Path) -> list[float]:
    from typer.testing import CliRunner

    from rrm.cli.main import app

    rows = [json.dumps({"prompt": PROMPT, "completion": output}) for output in OUTPUTS]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    ended = CliRunner().invoke(
        app, ["score", "--model", str(folder), "--data", str(tmp_path / "rows.jsonl"), "--device", "cpu", "--dtype",
              "float32"],
    )  # fmt: skip
    return [json.loads(line)["score"] for line in ended.stdout.splitlines()]


def test_a_place_that_cannot_be_listened_on_is_named_and_an_open_one_is_warned_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    import uvicorn

    from rrm.api.scoring import Opening
    from rrm.api.scoring import serve as serve_command
    from rrm.core.errors import InputError

    told: list[str] = []
    opening = Opening(folder, "cpu", "float32")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1, port {port}: "):
            serve_command(opening, "127.0.0.1", port, told.append)
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: [each.close() for each in sockets])
    serve_command(opening, "127.0.0.1", 0, told.append)
    assert len(told) == 1 and "serving" in told[0]
    serve_command(opening, "0.0.0.0", 0, told.append)
    assert "anyone who can reach 0.0.0.0:" in told[1] and "no password" in told[1]
