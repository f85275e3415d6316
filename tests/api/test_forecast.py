"""The dry run beside what a run then takes: a true upper bound, level by level and part by part, and nobody asked."""

import json
from collections import Counter
from copy import deepcopy
from importlib.metadata import PackageNotFoundError
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

import rrm
from rrm.api import forecast_engine
from rrm.api.forecast import forecast
from rrm.api.forecast_engine import engine_json
from rrm.api.runfile import read_run_file, run_file
from rrm.api.worker import RunWorker
from rrm.assistants.scripted_model import ScriptedChatModel
from rrm.backbone.tokens import load_tokenizer
from rrm.core.errors import InputError, SetupError
from rrm.core.machine import MachineTime
from rrm.core.protocols import ProposeJob
from rrm.core.report import Report
from rrm.core.text import words
from rrm.core.values import Feedback, Output, Request
from rrm.engines import apart, local
from rrm.engines.crossing import ON_REQUEST, STEPS, write_actions
from rrm.store.record import open_store
from tests.scenarios import MEAN, OTHER_RATER, SMALL

asked: Counter[str] = Counter()


class Talkative(ScriptedChatModel):
    """Writes as much as it may: outputs to their limit, and a reason of 4,000 characters; says nothing of tokens."""

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        text = str(super()._generate(messages, stop, run_manager, **kwargs).generations[0].message.content)
        judges = text.startswith("{")
        asked["rater" if judges else "policy"] += 1
        if judges:
            text = json.dumps({"reason": "so it is " * 444, **json.loads(text)})
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])


def by_models(**changes: Any) -> Any:
    table = deepcopy(SMALL)
    table["assistants"] = {
        "writer": {"model": f"{__name__}:Talkative", "arguments": {"vary": 0.3, "seed": 1}},
        "judge": {"model": f"{__name__}:Talkative"},
    }
    table["policy"] |= {
        "plugin": "rrm.policy.language_model:LanguageModelPolicy",
        "arguments": {"assistant": "writer"},
    }
    table["rater"] = {
        "plugin": "rrm.raters.assistant:AssistantRater",
        "arguments": {"assistant": "judge"},
        "per_node": {"comparison": 2, "label": 1, "ranking": 1},
        "per_root": {"comparison": 3, "rating": 2, "critique": 1},
    }
    return run_file(table | changes)


def held(said: dict[str, Any], report: Report) -> None:
    """Everything that the run took is within what was forecast, at every level and for the flat baseline."""
    assert [level["level"] for level in said["levels"]] == [stage.level for stage in report.cost.levels]
    assert report.cost.flat is not None and said["flat"]["included"]
    for level, stage in zip((*said["levels"], said["flat"]), (*report.cost.levels, report.cost.flat), strict=True):
        assert 0 < stage.ratings <= level["ratings"]
        assert 0 < stage.tokens_shown <= level["tokens_shown"]["at_most"]
        assert 0 < stage.minutes <= level["minutes"]["at_most"] + 0.05  # forecasts are rounded to tenths
        assert 0 < stage.published_minutes <= level["published_minutes"]["at_most"] + 0.05
        for expectation in ("tokens_shown", "minutes", "published_minutes"):
            assert level[expectation]["expected"] <= level[expectation]["at_most"]


def counted_by_hand(folder: Path, report: Report) -> None:
    """The report's cost is what the record holds: views and outputs each time, reading once per three decisions."""
    with open_store(folder, "read") as store:
        requests = {request.id: request for request in store.load(Request)}
        rated = [(requests[feedback.request], feedback.rater) for feedback in store.load(Feedback)]
    levels = [("answer", stage) for stage in report.cost.levels]
    count = load_tokenizer().count
    assert report.cost.flat is not None
    for subject, stage in [*levels, ("whole", report.cost.flat)]:
        here = [(r, rater) for r, rater in rated if (r.place.subject, r.place.level) == (subject, stage.level)]
        texts = [each.text for request, _ in here for each in request.shown]
        views = [text for request, _ in here for text in (request.view.text, request.view.context)]
        assert (stage.ratings, stage.tokens_shown) == (len(here), sum(map(count, [*texts, *views])))
        decisions = Counter((rater, request.view.id) for request, rater in here)
        size = {request.view.id: len(words(f"{request.view.text} {request.view.context}")) for request, _ in here}
        read = sum(ceil(times / 3) * size[view] for (_, view), times in decisions.items())
        minutes = (read + sum(len(words(text)) for text in texts)) / 250 + 0.2 * len(here)
        assert stage.minutes == pytest.approx(minutes, rel=1e-9)
        assert stage.published_minutes == pytest.approx(read / 180 + 0.75 * len(texts), rel=1e-9)


def test_calls_and_tokens_of_models_are_within_the_forecast(tmp_path: Path) -> None:
    asked.clear()
    settings = by_models(flat=True)
    said = forecast(settings)
    assert not asked
    report = rrm.run(settings, tmp_path / "run", quiet=True)
    assert report.failures == ()
    held(said, report)
    parts = {"policy": said["assistants"]["writer"]["policy"], "rater": said["assistants"]["judge"]["rater"]}
    assert set(said["assistants"]["writer"]) == {"policy"} and set(said["assistants"]["judge"]) == {"rater"}
    assert all(asked[who] <= part["calls"] for who, part in parts.items())
    of_levels = sum(level["model_calls"] for level in said["levels"])
    assert report.cost.flat is not None
    # equal outputs are not compared or asked for twice
    assert 0.8 * of_levels <= sum(asked.values()) - report.cost.flat.ratings <= of_levels
    assert report.cost.calls == sum(asked.values()) <= said["model_calls"]
    assert report.cost.tokens <= said["model_tokens"]["at_most"]
    # this model writes as much as it may, so the bound is not far above, but for the questions of the flat baseline
    without = said["model_tokens"]["at_most"] - said["flat"]["model_tokens"]["at_most"]
    assert without < 1.6 * report.cost.tokens * of_levels / sum(asked.values())
    assert said["model_calls"] == sum(part["calls"] for part in parts.values())
    assert any("asked again" in note for note in said["notes"])


def test_previous_context_is_counted_for_who_reads_it() -> None:
    alone, everybody = (forecast(by_models(previous_context=who))["assistants"] for who in ("policy", "all"))
    assert alone["writer"] == everybody["writer"]
    for size in ("expected", "at_most"):
        assert alone["judge"]["rater"]["tokens"][size] < everybody["judge"]["rater"]["tokens"][size]


def test_calls_that_ground_critiques_are_forecast() -> None:
    rater: dict[str, Any] = {"plugin": "rrm.raters.assistant:AssistantRater", "arguments": {"assistant": "judge"}}
    rater["per_node"] = {"critique": 1}
    plain, grounded = (
        forecast(by_models(rater=rater | more))
        for more in (
            {},
            {"critiques": {"plugin": "rrm.raters.critiques:ByAssistant", "arguments": {"assistant": "judge"}}},
        )
    )
    assert set(plain["assistants"]["judge"]) == {"rater"}
    of = grounded["assistants"]["judge"]
    assert of["rater.critiques"]["calls"] == of["rater"]["calls"] == plain["assistants"]["judge"]["rater"]["calls"] > 0
    assert grounded["model_calls"] == plain["model_calls"] + of["rater.critiques"]["calls"]


def test_a_simulated_run_is_within_the_forecast_and_calls_nobody(tmp_path: Path) -> None:
    settings = run_file(SMALL)
    said = forecast(settings)
    report = rrm.run(settings, tmp_path / "run", quiet=True)
    held(said, report)
    counted_by_hand(tmp_path / "run", report)
    assert said["model_calls"] == 0 and said["assistants"] == {} and said["notes"] == []
    assert said["people_minutes"] is None and said["rater_minutes"]["at_most"] > 0


@pytest.mark.parametrize(
    "budget",
    [
        pytest.param({"minutes": 90}, marks=pytest.mark.slow),
        pytest.param({"questions": 120}, marks=pytest.mark.slow),
        {"by_level": {"0": {"questions": 80}, "root": {"minutes": 12}}},
    ],
    ids=["minutes", "questions", "by level"],
)
def test_two_rounds_within_a_budget_are_within_the_forecast(tmp_path: Path, budget: dict[str, Any]) -> None:
    table = deepcopy(SMALL)
    table["rater"] |= {"budget": budget}
    settings = run_file(table | {"rounds": 2, "flat": True})
    said = forecast(settings)
    report = rrm.run(settings, tmp_path / "run", quiet=True)
    assert [each["round"] for each in said["rounds"]] == [0, 1]
    level_bounds = zip(said["levels"], report.cost.levels, strict=True)
    for level, stage in level_bounds:
        assert stage.ratings <= level["ratings"] and stage.tokens_shown <= level["tokens_shown"]["at_most"]
        assert stage.minutes <= level["minutes"]["at_most"] + 0.05
        assert stage.published_minutes <= level["published_minutes"]["at_most"] + 0.05
        assert level["expected_ratings"] <= level["ratings"]
    assert report.cost.flat is not None and 0 < report.cost.flat.ratings <= said["flat"]["ratings"]
    assert report.cost.flat.minutes <= said["flat"]["minutes"]["at_most"] + 0.05
    with open_store(tmp_path / "run", "read") as store:
        requests = store.load(Request)
    rows = {(each["round"], row["level"]): row for each in said["rounds"] for row in each["levels"]}
    by_place = Counter((r.place.round, r.place.level) for r in requests if r.place.subject == "answer")
    for key, count in by_place.items():
        assert count <= rows[key]["ratings"]
    # what is expected is near to what is asked: outputs of these runs have about the usual length
    expected = sum(level["expected_ratings"] for level in said["levels"])
    assert expected == pytest.approx(sum(by_place.values()), rel=0.15)
    if "questions" in budget:
        assert said["ratings"] == 120
    if "by_level" in budget:
        assert said["levels"][0]["ratings"] == 80 and said["levels"][1]["ratings"] == 0
        assert said["levels"][2]["minutes"]["at_most"] <= 12 + 0.05
        assert 6 < report.cost.levels[2].minutes <= 12
    if "minutes" in budget:
        assert report.cost.flat is not None
        assert 80 < report.cost.minutes <= 90 + 1e-9
        # the baseline leaves less than one question about a whole source
        assert report.cost.minutes - 3 < report.cost.flat.minutes <= report.cost.minutes + 1e-9


class Nudge:
    """An optimiser that is named in a run file and never asked to do anything."""

    name = "nudge"

    def improve(self, *_: object) -> Any:
        raise AssertionError("a dry run improves nothing")

    def load(self, *_: object) -> Any:
        raise AssertionError("a dry run loads nothing")


def test_the_judge_of_role_select_and_new_policies_are_counted() -> None:
    judged = {"plugin": OTHER_RATER["plugin"], "arguments": OTHER_RATER["arguments"], "share": 0.34}
    improve = {"plugin": f"{__name__}:Nudge", "kl_budget": 1.0}
    table = deepcopy(SMALL) | {"rounds": 2}
    alone, both = forecast(run_file(table)), forecast(run_file(table | {"select": judged, "improve": improve}))
    assert alone["select"] is None and both["select"]["ratings"] > 0
    assert (
        both["select_ratings"] + both["ratings"] == alone["ratings"]
    )  # every node is asked about, by one or the other
    # without an optimiser leaves are written once, with one in each round
    leaves = [[each["levels"][0]["outputs"] for each in said["rounds"]] for said in (alone, both)]
    assert leaves == [[96, 0], [96, 96]]
    assert any("optimiser" in note for note in both["notes"])
    assert both["machine_tokens"] > alone["machine_tokens"]


def test_what_peeks_take_at_most_is_told() -> None:
    table = deepcopy(SMALL) | {"flat": False}
    peeking = forecast(run_file(table | {"rater": {**table["rater"], "peeks": 0.2}}))
    [note] = [each for each in peeking["notes"] if "looks at claims" in each]
    assert f"share of 20% they take up to {peeking['rater_minutes']['at_most'] / 4:,.0f} minutes" in note
    assert not any("looks at claims" in each for each in forecast(run_file(table))["notes"])


def test_a_schedule_visits_what_it_says() -> None:
    table = deepcopy(SMALL)
    table["schedule"] = [
        {"levels": [0], "nodes": {"plugin": "rrm.feedback.sample:FirstLeaves", "arguments": {"leaves": 2}}},
        {},
    ]
    said = forecast(run_file(table))
    first, second = said["rounds"]
    assert [(row["level"], row["nodes"]) for row in first["levels"]] == [(0, 6)]  # two leaves of three books
    assert first["levels"][0]["ratings"] == 6 * 5
    assert [row["nodes"] for row in second["levels"]] == said["nodes_per_level"]


def test_no_model_is_loaded_so_no_key_is_needed() -> None:
    models = {name: {"model": "no.such.package:Model"} for name in ("writer", "judge")}
    assert forecast(by_models(assistants=models))["model_calls"] > 0


def test_the_flat_baselines_price_is_told_even_where_it_is_not_asked_for() -> None:
    without, asked_for = forecast(by_models()), forecast(by_models(flat=True))
    assert (without["flat"]["included"], asked_for["flat"]["included"]) == (False, True)
    assert {**without["flat"], "included": True} == asked_for["flat"]
    assert without["flat_ratings"] == 0 < asked_for["flat_ratings"]
    for total in ("model_tokens", "rater_minutes"):
        for bound in ("expected", "at_most"):
            key = "minutes" if total == "rater_minutes" else total
            price = asked_for[total][bound] - without[total][bound]
            assert price == pytest.approx(without["flat"][key][bound], abs=0.2)
    # every flat rating sends a whole book
    assert without["flat"]["tokens_shown"]["expected"] / without["flat"]["expected_ratings"] > 700


def test_people_read_once_for_three_decisions_or_each_for_themselves() -> None:
    table = deepcopy(SMALL)
    table["rater"] = {"plugin": "people", "per_node": {"label": 3}, "arguments": {"overlap": 1}}
    once = forecast(run_file(table))
    table["rater"]["arguments"]["overlap"] = 2
    twice = forecast(run_file(table))
    assert twice["people_minutes"] == twice["rater_minutes"]
    for level, other in zip(once["levels"], twice["levels"], strict=True):
        assert other["ratings"] == 2 * level["ratings"]
        for bound in ("expected", "at_most"):
            assert other["minutes"][bound] == pytest.approx(2 * level["minutes"][bound], abs=0.11)
    # a leaf's three labels: 0.2 minutes each, 27 words of output each (three quarters of 36 tokens), one reading
    leaves = once["levels"][0]
    nodes = leaves["ratings"] / 3
    reading = leaves["minutes"]["expected"] / nodes - 3 * (0.2 + 27 / 250)
    assert 60 / 250 < reading < 190 / 250  # a leaf of 120 tokens has about 90 words, and its context some
    # at most each label has a reading of its own
    assert leaves["minutes"]["at_most"] / nodes > 3 * (0.2 + 27 / 250) + 3 * reading


def test_a_language_models_splits_are_not_known_before_the_run() -> None:
    decomposer = {
        "plugin": "decomposers.language_model:LanguageModelDecomposer",
        "arguments": {"assistant": "writer"},
    }
    said = forecast(by_models(decomposer=decomposer))
    assert said["sources"] == {"train": 3, "target": 1} and said["nodes_per_level"] is None
    assert said["source_tokens"] > 4 * 600
    assert len(said["notes"]) == 1 and "not known before the run" in said["notes"][0]


class Elsewhere:
    """A policy and rater that ask somebody on their own account."""

    name = "elsewhere"

    async def propose_async(self, job: ProposeJob) -> list[Output]:
        raise AssertionError("a dry run asks nobody")

    async def rate_async(self, request: Request, seed: int) -> Feedback:
        raise AssertionError("a dry run asks nobody")


class Upset:
    """A rater that takes no stand-in for an answer."""

    name = "upset"

    def __init__(self, assistant: Any) -> None:
        self.assistant = assistant

    async def rate_async(self, request: Request, seed: int) -> Feedback:
        from rrm.core.protocols import Prompt

        await self.assistant.ask(Prompt("Say it.", request.view.text))
        raise ValueError("no answer that I know")


def test_parts_that_ask_on_their_own_account_are_not_asked_and_that_is_said() -> None:
    elsewhere = {"plugin": f"{__name__}:Elsewhere"}
    said = forecast(by_models(policy=SMALL["policy"] | elsewhere, rater=elsewhere))
    assert said["model_calls"] == 0
    assert [note.split(" waits")[0] for note in said["notes"]] == ["the policy", "the rater"]


def test_a_part_that_fails_with_stand_ins_is_counted_as_far_as_it_went() -> None:
    said = forecast(by_models(rater={"plugin": f"{__name__}:Upset", "arguments": {"assistant": "judge"}}))
    assert said["assistants"]["judge"]["rater"]["calls"] == said["ratings"]
    assert "the rater could not be rehearsed to its end: ValueError: no answer that I know" in said["notes"]


def test_a_fine_tuned_model_s_time_is_its_own(tmp_path: Path) -> None:
    table = deepcopy(SMALL)
    joint = {"plugin": "rrm.reward.joint:Joint", "arguments": {"backbone": "tiny", "epochs": 2}}
    frozen = forecast(run_file(table))
    two = forecast(run_file(table | {"reward": joint}))
    four = forecast(run_file(table | {"reward": {**joint, "arguments": {"backbone": "tiny", "epochs": 4}}}))
    folds = forecast(
        run_file(table | {"reward": {**joint, "arguments": {"backbone": "tiny", "epochs": 2, "folds": 3}}})
    )
    assert two["machine_minutes"] >= 0
    assert two["machine_tokens"] > frozen["machine_tokens"]  # a view is read beside its outputs, and more than once
    fitted = (four["machine_tokens"] - two["machine_tokens"]) // 2  # what two more epochs read, each
    targets = folds["machine_tokens"] - two["machine_tokens"] - 2 * fitted  # a third fold: as much again, and targets
    assert fitted > 0 and targets > 0
    assert forecast(run_file(table | {"reward": joint}))["machine_tokens"] == two["machine_tokens"]


def test_a_sum_s_time_is_that_of_its_parts_and_unknown_where_one_tells_none() -> None:
    def said(**arguments: Any) -> dict[str, Any]:
        reward = {"plugin": "rrm.reward.blend:Blend", "arguments": arguments}
        return forecast(run_file(deepcopy(SMALL) | {"reward": reward}))

    tiny = {"plugin": "rrm.reward.joint:Joint", "arguments": {"backbone": "tiny"}}
    alone = [forecast(run_file(deepcopy(SMALL) | each))["machine_tokens"] for each in ({}, {"reward": tiny})]
    assert said(backbone="tiny")["machine_tokens"] == sum(alone)
    wrapped = {"plugin": "rrm.reward.cross_fit:CrossFitted", "arguments": {"learner": "rrm.reward.frozen:Frozen"}}
    untold = said(learners=["rrm.reward.frozen:Frozen", wrapped])
    assert untold["machine_tokens"] is None
    assert any("does not say how long it computes" in note for note in untold["notes"])


def test_on_a_shared_trunk_a_level_s_ratings_are_learned_from_again_at_the_levels_above() -> None:
    def tokens(epochs: int, trunk: str) -> int:
        arguments = {"backbone": "tiny", "epochs": epochs, "trunk": trunk}
        table = deepcopy(SMALL) | {"reward": {"plugin": "rrm.reward.joint:Joint", "arguments": arguments}}
        found: int = forecast(run_file(table))["machine_tokens"]
        return found

    own, again = tokens(1, "own"), tokens(2, "own") - tokens(1, "own")
    others = tokens(1, "shared") - own
    assert others > 0
    assert tokens(2, "shared") - tokens(1, "shared") == again + others


def test_nothing_is_claimed_for_a_learner_that_says_nothing_of_its_time() -> None:
    wrapped = {
        "plugin": "rrm.reward.cross_fit:CrossFitted",
        "arguments": {"learner": {"plugin": "rrm.reward.tuned:Tuned", "arguments": {"backbone": "tiny"}}},
    }
    said = forecast(run_file(deepcopy(SMALL) | {"reward": wrapped}))
    assert said["machine_tokens"] is None and said["machine_minutes"] is None
    assert any("does not say how long it computes" in note for note in said["notes"])


def test_nothing_more_is_expected_than_a_budget_allows() -> None:
    said = forecast(read_run_file(Path(__file__).parents[2] / "examples" / "asking.toml"))
    assert said["rater_minutes"] == {"expected": 150.0, "at_most": 150.0}


def with_workers(engine: dict[str, Any], **changes: Any) -> dict[str, Any]:
    table = deepcopy(SMALL) | {"engine": engine, "flat": False} | changes
    told: dict[str, Any] = forecast(run_file(table))["engine"]
    return told


def test_a_dry_run_says_what_workers_elsewhere_take_and_whether_they_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_engine, "require_installed", lambda *_: None)
    monkeypatch.setattr(forecast_engine, "processors", lambda: 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    assert forecast(run_file(deepcopy(SMALL)))["engine"] is None
    own = with_workers({"plugin": "ray"})
    assert (own["name"], own["workers"], own["threads"], own["gpus"], own["memory_bytes"]) == ("Ray", 2, 2, 0, 1.6e9)
    assert own["steps"] == sorted(set(STEPS) - ON_REQUEST) and own["steps_here"] == ["fit"]
    assert not own["may_pay"] and "to begin included: they pay only where policies compute for long" in own["why"]
    workers = [{"cpus": 4, "count": 3, "steps": ["score"]}, {"gpus": 1, "steps": ["fit"]}]
    assert own["machine_minutes_at_least"] > 0
    some = with_workers({"plugin": "dask", "arguments": {"address": "tls://far:8786", "workers": workers}})
    assert (some["name"], some["workers"], some["threads"], some["gpus"]) == ("Dask", 4, 13, 1)
    assert some["steps"] == ["fit", "score"] and {"decompose", "propose"} <= set(some["steps_here"])
    assert some["may_pay"] is None and some["machine_minutes_at_least"] is None, "nobody knows how fast a GPU is"
    away = with_workers({"plugin": "dask", "arguments": {"address": "tls://far:8786"}})
    assert away["workers"] is away["memory_bytes"] is away["machine_minutes_at_least"] is None
    assert 0 < some["bytes"] < own["bytes"] + some["bytes"] and own["bytes"] == away["bytes"]


def test_a_dry_run_says_what_processes_of_this_machine_take_and_refuses_what_it_has_no_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "processors", lambda: 2)
    monkeypatch.setattr(local, "visible_gpus", list)
    monkeypatch.setattr(forecast_engine, "processors", lambda: 2)
    both = with_workers({"plugin": "local", "arguments": {"workers": [{"count": 2}]}})
    assert (both["name"], both["workers"], both["threads"], both["memory_bytes"]) == ("Local", 2, 2, 1.6e9)
    assert both["steps"] == sorted(set(STEPS) - ON_REQUEST) and both["bytes"] > 0
    assert both["machine_minutes_at_least"] > 0
    for workers, key, has in (({"count": 3}, "cpus", 2), ({"gpus": 1}, "gpus", 0)):
        with pytest.raises(InputError, match=f"and this machine has {has}: lower {key} or count"):
            with_workers({"plugin": "local", "arguments": {"workers": [workers]}})


def test_a_dry_run_refuses_what_a_cluster_of_its_own_has_no_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_engine, "require_installed", lambda *_: None)
    monkeypatch.setattr(apart, "processors", lambda: 2)
    asked = {"workers": [{"count": 3}]}
    with pytest.raises(InputError, match="ask for 3 processors in all, and a cluster of the run's own has 2"):
        with_workers({"plugin": "dask", "arguments": asked})
    elsewhere = with_workers({"plugin": "dask", "arguments": {**asked, "address": "tls://far:8786"}})
    assert elsewhere["workers"] == 3


def test_workers_are_said_to_pay_for_no_more_than_what_they_can_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_engine, "require_installed", lambda *_: None)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr(apart, "processors", lambda: 8)
    hour = MachineTime(1_000_000, 3600.0, 1800.0)

    def told(engine: str, *steps: str) -> Any:
        workers = [{"count": 8, "steps": list(steps)}]
        table = deepcopy(SMALL) | {"engine": {"plugin": engine, "arguments": {"workers": workers}}}
        return engine_json(run_file(table), None, hour)

    scoring = told("ray", "score")
    assert (scoring["machine_minutes_at_least"], scoring["machine_minutes_fits_apart"]) == (15.5, 45.5)
    assert scoring["may_pay"] is True and "15.5 with them if all of it is shared out, 45.5 if" in scoring["why"]
    assert "tokenises and is sent is not counted: they may pay" in scoring["why"]
    fitting = told("ray", "score", "fit")
    assert fitting["machine_minutes_fits_apart"] == 75.5 and fitting["may_pay"] is None, "by a worker of one thread"
    assert "whether they pay is not known" in fitting["why"]
    for steps in (["propose"], ["fit"]):
        other = told("ray", *steps)
        assert other["machine_minutes_at_least"] is other["may_pay"] is None and "not known" in other["why"]
    monkeypatch.setattr(forecast_engine, "BEGIN_SECONDS", {})
    assert told("dask", "score")["machine_minutes_at_least"] is None, "of a cluster that rrm has not measured"


def test_bytes_that_cross_are_those_of_the_actions_that_a_run_then_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_engine, "require_installed", lambda *_: None)
    steps = ["propose", "score"]
    told = with_workers({"plugin": "ray", "arguments": {"workers": [{"steps": steps}]}}, compose=MEAN)
    sent: list[int] = []
    compute = RunWorker.compute

    def counting(self: RunWorker, actions: Any) -> Any:
        sent.extend(len(write_actions([each])) for each in actions if each.step in steps)
        return compute(self, actions)

    monkeypatch.setattr(RunWorker, "compute", counting)
    rrm.run(run_file(deepcopy(SMALL) | {"flat": False, "compose": MEAN}), tmp_path / "run", quiet=True)
    assert sum(sent) <= told["bytes"] < 3 * sum(sent)


def test_workers_that_have_nothing_to_do_do_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_engine, "require_installed", lambda *_: None)
    told = with_workers({"plugin": "ray", "arguments": {"workers": [{"steps": ["draw"]}]}})
    assert told["may_pay"] is False and told["bytes"] == 0 and told["why"].startswith("no work of this run can be done")


def test_a_dry_run_with_an_engine_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", lacking)
    with pytest.raises(SetupError, match=r"Ray is not installed: pip install 'rrm\[ray\]'"):
        engine_json(run_file(deepcopy(SMALL) | {"engine": {"plugin": "ray"}}), None, None)
