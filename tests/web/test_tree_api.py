"""What the tree viewer's routes answer: lists, outlines, nodes in full, search; and whom they answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from starlette.testclient import TestClient

from rrm.core.annotation import Item, Submission
from rrm.core.calls import Call
from rrm.core.claims import Chain
from rrm.core.graph import Proposal, TaskGraph
from rrm.core.ids import content_id
from rrm.core.place import Place
from rrm.core.report import Candidate, Cost, Interval, NodeReport, Report, TargetReport, TreeReport
from rrm.core.task import Source, Span, Task
from rrm.core.values import (
    Comparison,
    Composed,
    Correction,
    Critique,
    Demonstration,
    Failure,
    Feedback,
    Fitted,
    Label,
    Output,
    Ranking,
    Rating,
    Reject,
    Scored,
)
from rrm.queue.nodes import open_nodes
from rrm.report.record import report_to_json
from rrm.store.record import open_store
from rrm.viewer.claims import AROUND
from rrm.viewer.node import LONGEST, answer_json
from rrm.viewer.trees import LISTED_NODES, Kept, Trees
from rrm.web.station import Station
from tests.web.stations import House, desk_in, house_in
from tests.web.tree_scenarios import (
    asked,
    chain,
    grown,
    outputs_at,
    proposed_in_rounds,
    ratings,
    scores_of,
    source_of,
    way_down,
)

SOURCE = source_of(400)
GRAPH = grown(SOURCE, 12, fan=4)
OUTPUTS = outputs_at(GRAPH, 3)
ROOT, LEAF = GRAPH.root, GRAPH.leaves[0]


def tree_id(graph: TaskGraph) -> str:
    return content_id("tree", graph.to_json())


TREE = tree_id(GRAPH)


def everything() -> list[Any]:
    outputs = [each for some in OUTPUTS.values() for each in some]
    return [SOURCE, GRAPH, *outputs, *scores_of(GRAPH, OUTPUTS), *ratings(GRAPH, SOURCE, OUTPUTS, [LEAF])]


def put(folder: Path, *values: Any) -> None:
    with open_store(folder) as store:
        store.append(values)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    put(folder, *everything())
    return folder


@pytest.fixture
def folder(tmp_path: Path, record: Path) -> Path:
    return Path(copytree(record, tmp_path / "run"))


@pytest.fixture
def house(folder: Path) -> Iterator[House]:
    with open_nodes(folder) as nodes, house_in(folder, station={"trees": nodes}) as made:
        made.add("ada", "admin")
        yield made


@pytest.fixture
def client(house: House) -> TestClient:
    return house.clients["ada"]


def get(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/trees{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def outline(client: TestClient, tree: str = TREE) -> Any:
    return get(client, f"/{tree}/outline")


def node(client: TestClient, name: str = ROOT, tree: str = TREE) -> Any:
    return get(client, f"/{tree}/nodes/{name}")


def number_of(name: str) -> int:
    return GRAPH.in_order().index(name)


# ---- the list and the outline ----


def test_the_list_tells_every_trees_size_and_how_far_its_nodes_are(client: TestClient) -> None:
    told = get(client, "")
    assert told["trees"] == [
        {
            "id": TREE,
            "title": SOURCE.title,
            "number": None,
            "role": "train",
            "nodes": len(GRAPH),
            "height": len(GRAPH.levels) - 1,
            "states": {"scored": 1, "chosen": len(GRAPH) - 1},
            "errors": 0,
        }
    ]
    assert (told["failed"], told["note"]) == ([], None)


def test_a_brief_list_counts_nothing(client: TestClient) -> None:
    (tree,) = get(client, "", brief=True)["trees"]
    assert (tree["id"], tree["nodes"], tree["states"]) == (TREE, None, None)


def test_a_node_leads_to_its_tree(client: TestClient, folder: Path) -> None:
    put(folder, chain(3))
    assert len(get(client, "")["trees"]) == 2
    assert [each["id"] for each in get(client, "", node=LEAF)["trees"]] == [TREE]
    assert get(client, "", node="node-x")["trees"] == []


def test_a_run_with_very_many_nodes_has_the_first_trees_counted(
    client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(folder, chain(3))
    monkeypatch.setattr("rrm.viewer.trees.LISTED_NODES", len(GRAPH))
    assert [each["states"] is None for each in get(client, "")["trees"]] == [False, True]
    assert LISTED_NODES >= 10_000


def test_a_source_that_could_not_be_split_is_told(client: TestClient, folder: Path) -> None:
    put(folder, Failure(f"{SOURCE.id}/1", "decompose", "ProposalError", "a part is empty"))
    assert get(client, "")["failed"] == [{"title": SOURCE.title, "error": "ProposalError", "cause": "a part is empty"}]


def test_the_outline_has_one_entry_a_node_in_every_column(client: TestClient) -> None:
    told = outline(client)
    for column in ("parent", "level", "title", "state", "score", "low", "high", "ratings"):
        assert len(told[column]) == len(GRAPH), column
    for at, name in enumerate(GRAPH.in_order()):
        parents = GRAPH.parents(name)
        assert told["parent"][at] == (GRAPH.in_order().index(parents[0]) if parents else -1)
        assert told["level"][at] == GRAPH.height(name)
    assert told["ratings"][number_of(LEAF)] == 2 and sum(told["ratings"]) == 2
    assert told["about"]["nodes"] == len(GRAPH)


def test_the_outline_follows_the_record_and_is_not_sent_again_if_nothing_changed(
    client: TestClient, folder: Path
) -> None:
    before = outline(client)
    unchanged = get(client, f"/{TREE}/outline", since=before["version"])
    assert unchanged == {"version": before["version"], "unchanged": True}
    put(folder, Failure(LEAF, "rate", "ValueError", "no rater"))
    after = get(client, f"/{TREE}/outline", since=before["version"])
    assert after["errors"] == [number_of(LEAF)]


def test_a_node_with_several_parents_stands_once_and_names_the_others(client: TestClient, folder: Path) -> None:
    graph = TaskGraph.start(Task("Join.", rank=3), "by hand", 0)
    graph = graph.grow(graph.root, Proposal((Task("Left.", rank=2), Task("Right.", rank=2))))
    left, right = graph.children(graph.root)
    graph = graph.grow(left, Proposal((Task("Shared.", rank=1),)))
    (shared,) = graph.children(left)
    graph = graph.grow(right, Proposal((shared,))).grow_all(lambda *_: Proposal())
    put(folder, graph)
    told = outline(client, tree_id(graph))
    assert (told["title"], told["parent"]) == (["Join.", "Left.", "Right.", "Shared."], [-1, 0, 0, 2])
    assert told["also"] == {"3": [1]}
    found = node(client, "3", tree_id(graph))
    assert [each["node"] for each in found["parents"]] == [1, 2]


def test_a_chain_of_three_thousand_levels_is_told(client: TestClient, folder: Path) -> None:
    graph = chain(3000)
    put(folder, graph)
    assert outline(client, tree_id(graph))["level"] == list(range(2999, -1, -1))
    assert node(client, "2999", tree_id(graph))["depth"] == 2999


# ---- what sentences rest on ----


def test_a_claim_leads_through_the_outputs_below_to_the_text(client: TestClient, folder: Path) -> None:
    first = OUTPUTS[ROOT][0]
    assert not any(each["traced"] for each in node(client)["outputs"])
    missing = client.get(f"/api/trees/{TREE}/claims/{first.id}")
    assert missing.status_code == 404 and "no claims of the output" in missing.json()["detail"]
    put(folder, *way_down(GRAPH, OUTPUTS, SOURCE))
    assert [each["id"] for each in node(client)["outputs"] if each["traced"]].count(first.id) == 1
    [claim] = get(client, f"/{TREE}/claims/{first.id}")["claims"]
    *below, text = claim["steps"]
    assert claim["score"] == pytest.approx(0.9 ** len(below) * 0.8)
    assert (claim["text"], claim["grounded"], claim["support"], claim["blame"]) == (first.text, True, None, None)
    assert [each["depth"] for each in claim["steps"]] == list(range(1, len(below) + 2))
    assert below[0]["node"]["id"] == GRAPH.children(ROOT)[0] and below[-1]["node"]["node"] == number_of(LEAF)
    end = SOURCE.text.index(".") + 1
    assert (text["span"], text["text"], text["before"]) == ([0, end], SOURCE.text[:end], "")
    assert text["after"] == SOURCE.text[end : end + AROUND]
    [alone] = get(client, f"/{TREE}/claims/{OUTPUTS[ROOT][1].id}")["claims"]
    assert (alone["steps"], alone["grounded"]) == ([], False)


def test_of_the_chosen_output_its_claims_are_told_as_the_report_has_them(client: TestClient, folder: Path) -> None:
    first = OUTPUTS[ROOT][0]
    put(folder, *way_down(GRAPH, OUTPUTS, SOURCE))
    claim = Chain(first.text, ROOT, first.id, 0, 0.5, blame=0.25, support=0.75)
    [target] = report_about(node_report(ROOT)).targets
    target = replace(target, chosen=Candidate(first.id, first.text, chosen=True), chosen_tree=0, claims=(claim,))
    (folder / "report.json").write_text(report_to_json(replace(report_about(), targets=(target,))))
    [told] = get(client, f"/{TREE}/claims/{first.id}")["claims"]
    assert (told["support"], told["blame"]) == (0.75, 0.25)
    assert told["worst"] == {
        "blame": 0.25,
        "steps": 1,
        "node": {"node": 0, "id": ROOT, "title": told["worst"]["node"]["title"]},
    }


def test_a_sentence_tells_which_step_of_its_way_loses_most_unless_none_loses_much(
    client: TestClient, folder: Path
) -> None:
    first, below = OUTPUTS[ROOT][0], OUTPUTS[GRAPH.children(ROOT)[0]][0]
    put(folder, *way_down(GRAPH, OUTPUTS, SOURCE))

    def worst(blame: float, steps: int = 1) -> Any:
        ways = tuple(Chain(below.text, below.node, below.id, at, 0.5, blame=blame) for at in range(steps))
        claim = Chain(first.text, ROOT, first.id, 0, 0.5, below=ways, blame=0.002)
        [target] = report_about(node_report(ROOT)).targets
        target = replace(target, chosen=Candidate(first.id, first.text, chosen=True), chosen_tree=0, claims=(claim,))
        (folder / "report.json").write_text(report_to_json(replace(report_about(), targets=(target,))))
        return get(client, f"/{TREE}/claims/{first.id}")["claims"][0]["worst"]

    found = worst(0.125)
    assert (found["blame"], found["node"]["node"], found["node"]["id"]) == (0.125, number_of(below.node), below.node)
    assert worst(0.0078125) is None
    assert worst(0.125, 2) == {"blame": 0.125, "steps": 2, "node": None}


# ---- the finished run's report ----


def report_about(*nodes: NodeReport) -> Report:
    target = TargetReport(SOURCE.id, SOURCE.title, (TreeReport(0, ROOT, nodes),), None)
    return Report("r", 0, 1, (), 0, 0, "mean", (), None, (target,), Cost(), 1.0)


def node_report(name: str, *candidates: Candidate, blame: float | None = None) -> NodeReport:
    return NodeReport(name, 0, 0, "t", (), "", candidates, None, blame)


def test_a_finished_runs_composed_scores_choice_and_blame_are_told(client: TestClient, folder: Path) -> None:
    assert not outline(client)["composed"]
    second = OUTPUTS[LEAF][1]
    chosen = Candidate(second.id, second.text, 0.5, Interval(0.4, 0.6), 0.875, Interval(0.75, 1.0), chosen=True)
    report = report_about(node_report(ROOT), node_report(LEAF, chosen, blame=0.25))
    (folder / "report.json").write_text(report_to_json(report))
    told = outline(client)
    assert told["composed"] and told["score"][number_of(LEAF)] == 0.875
    assert told["about"]["role"] == "target"
    found = node(client, LEAF)
    assert found["blame"] == 0.25
    best = found["outputs"][0]
    assert (best["id"], best["number"], best["chosen"]) == (second.id, 1, True)
    assert best["composed"] == {"mean": 0.875, "low": 0.75, "high": 1.0}
    assert [each["chosen"] for each in found["outputs"][1:]] == [False, False]


def test_an_equal_text_shares_the_composed_score_and_what_was_handed_up_counts_as_chosen(
    client: TestClient, folder: Path
) -> None:
    first = OUTPUTS[LEAF][0]
    twin = Output(LEAF, first.text, "words", 99)
    put(folder, twin)
    listed = Candidate(twin.id, twin.text, 0.5, Interval(0.4, 0.6), 0.75, Interval(0.5, 1.0))
    (folder / "report.json").write_text(report_to_json(report_about(node_report(LEAF, listed))))
    best, other = node(client, LEAF)["outputs"][:2]
    assert {best["id"], other["id"]} == {first.id, twin.id}
    assert best["composed"] == other["composed"]
    assert (best["id"], best["chosen"], best["handed_up"]) == (first.id, True, True)
    assert not other["chosen"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "rrm report", "version": 999}', "[" * 100_000])
def test_a_report_that_cannot_be_read_is_said_and_the_rest_still_shown(
    client: TestClient, folder: Path, text: str
) -> None:
    (folder / "report.json").write_text(text)
    assert outline(client)["about"]["nodes"] == len(GRAPH)
    assert "composed scores are left out" in get(client, "")["note"]


# ---- one node ----


def test_a_node_is_told_with_its_task_its_piece_of_the_source_and_its_place(client: TestClient) -> None:
    found = node(client, LEAF)
    start, end = GRAPH.task(LEAF).span or Span(0, 0)
    assert found["source"] == {
        "id": SOURCE.id,
        "title": SOURCE.title,
        "start": start,
        "end": end,
        "of": len(SOURCE.text),
        "text": {"text": SOURCE.text[start:end], "length": end - start},
    }
    assert found["node"] == number_of(LEAF) and found["id"] == LEAF and found["level"] == 0
    assert found["instruction"]["text"] == "Summarise."
    assert [each["id"] for each in found["parents"]] == list(GRAPH.parents(LEAF))
    assert [each["id"] for each in node(client)["parts"]] == list(GRAPH.children(ROOT))
    second = GRAPH.leaves[1]
    assert node(client, second)["before"]["id"] == LEAF


def test_a_node_is_found_by_its_number_too(client: TestClient) -> None:
    assert node(client, str(number_of(LEAF))) == node(client, LEAF)


def test_outputs_stand_best_first_with_their_scores_and_where_they_came_from(client: TestClient, folder: Path) -> None:
    models = [Fitted(Place(), "again", "digest-2", 50), Fitted(Place(subject="whole"), "flat", "digest-flat", 60)]
    first, second, third = OUTPUTS[LEAF]
    scored = [
        Scored(first.id, models[0].id, (0.0, 1.0), (0.25, 0.75)),
        Scored(second.id, models[0].id, (2.0, 3.0), (0.875, 1.0)),
        Scored(third.id, models[0].id, (-1.0, -2.0), (0.125, 0.25)),
        Scored(second.id, models[1].id, (0.0, 0.0), (0.5, 0.5)),
    ]
    put(folder, *models, *scored)
    found = node(client, LEAF)["outputs"]
    assert [each["id"] for each in found] == [second.id, first.id, third.id]
    best = found[0]
    assert best["own"]["mean"] == 0.9375 and best["own"]["members"] == 2 and best["own"]["model"] == models[0].id
    assert best["own"]["reward"]["mean"] == 2.5
    assert best["flat"]["mean"] == 0.5 and best["composed"] is None
    assert (best["policy"], best["seed"], best["log_prob"], best["truncated"]) == ("words", "1", None, False)
    assert {each["digest"] for each in node(client, LEAF)["models"]} >= {"digest-2", "digest-flat"}


def test_the_latest_composed_score_on_record_orders_the_outputs_and_others_than_overall_do_not_count(
    client: TestClient, folder: Path
) -> None:
    model = Fitted(Place(), "again", "digest-2", 50)
    first, second, third = OUTPUTS[LEAF]
    put(
        folder,
        model,
        Scored(first.id, model.id, (0.0, 1.0), (0.25, 0.75)),
        Scored(first.id, model.id, (5.0, 5.0), (1.0, 1.0), "accuracy"),
        Composed(first.id, "round 1", (0.875, 1.0)),
        Composed(first.id, "round 2", (0.25, 0.25)),
        Composed(second.id, "round 2", (0.5, 0.5)),
        Composed(third.id, "round 2", (0.125, 0.125)),
        Composed(third.id, "round 2", (1.0, 1.0), "accuracy"),
    )
    found = node(client, LEAF)["outputs"]
    assert [each["id"] for each in found] == [second.id, first.id, third.id]
    assert [each["composed"]["mean"] for each in found] == [0.5, 0.25, 0.125]
    assert found[1]["own"]["mean"] == 0.5
    assert outline(client)["composed"] is True


def test_outputs_of_the_last_round_stand_first_whatever_their_scores(client: TestClient, folder: Path) -> None:
    first, second, third = OUTPUTS[LEAF]
    proposed_in_rounds(folder, GRAPH, [[first, second], [third]])
    put(folder, *(Composed(each.id, "c", (worth,)) for each, worth in ((first, 0.5), (second, 0.75), (third, 0.25))))
    found = node(client, LEAF)["outputs"]
    assert [(each["id"], each["round"], each["number"]) for each in found] == [
        (third.id, 1, 1),
        (second.id, 0, 2),
        (first.id, 0, 3),
    ]


def test_places_are_told_with_their_round_once_there_are_several(client: TestClient, folder: Path) -> None:
    found = node(client, LEAF)
    assert found["rounds"] is False
    assert {each["where"] for each in found["requests"]} == {"level 0"}
    flat = Fitted(Place(1, "whole", 2), "flat", "digest-flat", 60)
    output = OUTPUTS[LEAF][0]
    later = replace(asked(GRAPH, SOURCE, output, "label", copy=1), place=Place(1), criterion="accuracy")
    put(folder, flat, Scored(output.id, flat.id, (0.0,), (0.5,)), later)
    found = node(client, LEAF)
    assert found["rounds"] is True
    assert {each["where"] for each in found["requests"]} == {"round 1, level 0", "round 2, level 0"}
    last = found["requests"][-1]
    assert (last["place"], last["round"], last["subject"], last["level"]) == ("1/answer/0", 1, "answer", 0)
    assert last["criterion"] == "accuracy"
    assert "round 2, whole outputs" in {each["where"] for each in found["models"]}


def test_a_seed_keeps_all_its_digits(client: TestClient, folder: Path) -> None:
    put(folder, Output(LEAF, "text", "p", 2**63 - 1))
    assert str(2**63 - 1) in [each["seed"] for each in node(client, LEAF)["outputs"]]


def test_what_an_output_was_made_from_is_told_with_the_nodes_that_said_it(client: TestClient) -> None:
    found = node(client)
    parts = GRAPH.children(ROOT)
    read = [OUTPUTS[part][0] for part in parts]
    assert found["outputs"][0]["inputs"] == [each.id for each in read]
    assert {id_: each["node"] for id_, each in found["read"].items()} == {
        each.id: number_of(part) for each, part in zip(read, parts, strict=True)
    }
    assert found["read"][read[0].id]["text"]["text"] == read[0].text
    flags = {each["id"]: each["handed_up"] for each in node(client, parts[0])["outputs"]}
    assert flags == {each.id: each is read[0] for each in OUTPUTS[parts[0]]}


def test_long_texts_are_cut_and_their_length_is_said(client: TestClient, folder: Path) -> None:
    source = Source("Long", "\U0001f98a" * (LONGEST + 7))
    graph = TaskGraph.start(Task("Say it.", source.id, Span(0, len(source.text))), "by hand", 0)
    graph = graph.grow_all(lambda *_: Proposal())
    put(folder, source, graph, Output(graph.root, "y" * (LONGEST + 1), "p", 0))
    found = node(client, "0", tree_id(graph))
    assert found["source"]["text"] == {"text": "\U0001f98a" * LONGEST, "length": LONGEST + 7}
    assert found["outputs"][0]["text"] == {"text": "y" * LONGEST, "length": LONGEST + 1}


def test_failures_and_refused_decompositions_are_told_in_words(client: TestClient, folder: Path) -> None:
    graph = chain(2).refuse(chain(2).root, "a part is empty")
    put(folder, graph, Failure(graph.root, "propose", "AssistantError", "the model gave no answer"))
    found = node(client, graph.root, tree_id(graph))
    assert found["failures"] == [
        {
            "step": "propose",
            "error": "AssistantError",
            "cause": {"text": "the model gave no answer", "length": 24},
        }
    ]
    assert [each["text"] for each in found["refusals"]] == ["a part is empty"]


# ---- ratings ----


def test_ratings_are_told_with_rater_time_and_what_was_said(client: TestClient) -> None:
    comparison, label = node(client, LEAF)["requests"]
    numbers = {each["id"]: each["number"] for each in node(client, LEAF)["outputs"]}
    first, second = (numbers[each.id] for each in OUTPUTS[LEAF][:2])
    assert comparison["shown"] == [first, second]
    (answer,) = comparison["answers"]
    assert answer["said"] == f"output {first} is better than output {second}"
    assert (answer["rater"], answer["seconds"], answer["state"]) == ("p-anna", 12.5, "recorded")
    assert label["answers"][0]["said"] == f"output {first} is good"


def test_the_cost_counts_ratings_and_raters_seconds_and_invents_nothing(client: TestClient, folder: Path) -> None:
    request = asked(GRAPH, SOURCE, OUTPUTS[LEAF][0], "label", copy=1)
    put(folder, request, Feedback(request.id, "p-ben", Label(False)))
    assert node(client, LEAF)["cost"] == {"outputs": 3, "ratings": 3, "rater_seconds": 25.0, "timed": 2}
    assert node(client, ROOT)["cost"] == {"outputs": 3, "ratings": 0, "rater_seconds": None, "timed": 0}


def called(about: str, number: int, **told: Any) -> Call:
    return Call("rater", about, "model", "Judge.", f"Prompt {number}.", number, 1, 1.7e9 + number, 0.5, **told)


def test_a_nodes_model_calls_are_counted_and_told_some_at_a_time(client: TestClient, folder: Path) -> None:
    before = get(client, "/" + TREE + "/outline")["version"]
    question = node(client, LEAF)["requests"][0]["id"]
    hostile = "<img src=x onerror=alert(1)> {{ x }}"
    calls = [called(LEAF, number, reply=hostile, input_tokens=10, output_tokens=2, cost=0.25) for number in range(25)]
    failed = called(question, 25, error="TimeoutError: too slow")
    again = called(question, 26, reply="long " * LONGEST, reason=hostile, cached=True)
    put(folder, *calls, called(ROOT, 0), failed, again)
    sums = {"calls": 27, "cached": 1, "failed": 1, "seconds": 13.5, "input_tokens": 250, "output_tokens": 50}
    assert node(client, LEAF)["calls"] == {**sums, "cost": 6.25}
    nothing = {"calls": 1, "cached": 0, "failed": 0, "seconds": 0.5}
    assert node(client, ROOT)["calls"] == {**nothing, "input_tokens": None, "output_tokens": None, "cost": None}
    first = get(client, f"/{TREE}/calls/{LEAF}")
    assert [each["user"]["text"] for each in first["calls"]] == [f"Prompt {number}." for number in range(20)]
    assert first["calls"][0] == {
        "id": calls[0].id,
        "asker": "rater",
        "about": LEAF,
        "assistant": "model",
        "system": {"text": "Judge.", "length": 6},
        "user": {"text": "Prompt 0.", "length": 9},
        "sample": "0",
        "attempt": 1,
        "at": 1.7e9,
        "seconds": 0.5,
        "reply": {"text": hostile, "length": len(hostile)},
        "reason": None,
        "error": None,
        "input_tokens": 10,
        "output_tokens": 2,
        "cost": 0.25,
        "cached": False,
    }
    rest = get(client, f"/{TREE}/calls/{number_of(LEAF)}", after=first["next"])
    assert (len(rest["calls"]), rest["next"]) == (7, None)
    assert rest["calls"][5]["error"]["text"] == "TimeoutError: too slow"
    assert rest["calls"][5]["reply"] is None
    assert rest["calls"][6]["reply"] == {"text": ("long " * LONGEST)[:LONGEST], "length": 5 * LONGEST}
    assert (rest["calls"][6]["reason"]["text"], rest["calls"][6]["cached"]) == (hostile, True)
    assert get(client, "/" + TREE + "/outline")["version"] != before


def test_the_calls_of_an_unknown_node_are_not_found(client: TestClient) -> None:
    assert client.get(f"/api/trees/{TREE}/calls/node-x").status_code == 404
    assert client.get(f"/api/trees/{TREE}/calls/{LEAF}?after=-1").status_code == 422


def test_answers_at_the_desk_are_told_before_the_run_takes_them_up_and_once_after(
    house: House, client: TestClient, folder: Path
) -> None:
    request = asked(GRAPH, SOURCE, OUTPUTS[LEAF][1], "label", copy=5)
    desk = house.desk
    desk.change_settings({"gold_every": 0, "attention_every": 0}, by="test")
    desk.add_items([Item(request)])
    rater = desk.add_person("Anna", by="test").id

    def answers() -> list[Any]:
        (found,) = [each for each in node(client, LEAF)["requests"] if each["id"] == request.id]
        return [(each["rater"], each["state"], each["seconds"], each["at"] is not None) for each in found["answers"]]

    assert answers() == []
    lease = desk.claim(rater)
    desk.submit(rater, lease.id, [Submission(Label(True), lease.first.shown, 7.5)], "key-00000001")
    assert answers() == [(rater, "waiting", 7.5, True)]
    desk.undo(rater)
    assert answers() == [(rater, "undone", 7.5, True)]
    lease = desk.claim(rater)
    desk.submit(rater, lease.id, [Submission(Label(True), lease.first.shown, 8.5)], "key-00000002")
    desk.freeze(Place(), "test")
    desk.take_up(Place())
    assert answers() == [(rater, "undone", 7.5, True), (rater, "recorded", 8.5, True)]
    assert [each["answers"] for each in node(client, LEAF)["requests"]].count([]) == 0
    assert outline(client)["ratings"][number_of(LEAF)] == 3


@pytest.mark.parametrize("better", [0, 1])
def test_an_answer_says_the_same_before_and_after_it_is_taken_up_in_whatever_order_it_was_shown(
    house: House, client: TestClient, better: int
) -> None:
    first, second = OUTPUTS[LEAF][1:]
    request = asked(GRAPH, SOURCE, first, "comparison", second)
    desk = house.desk
    desk.change_settings({"gold_every": 0, "attention_every": 0, "overlap": 6}, by="test")
    desk.add_items([Item(request, wanted=6)])
    for number in range(6):
        rater = desk.add_person(f"Rater {number}", by="test").id
        lease = desk.claim(rater)
        answer = Comparison(lease.first.order.index(better))
        desk.submit(rater, lease.id, [Submission(answer, lease.first.shown, 5.0)], f"key-{number:08d}")

    def said() -> set[tuple[str, str]]:
        (found,) = [each for each in node(client, LEAF)["requests"] if each["id"] == request.id]
        return {(each["said"], each["state"]) for each in found["answers"]}

    numbers = {each["id"]: each["number"] for each in node(client, LEAF)["outputs"]}
    winner, loser = (numbers[each.id] for each in ((first, second), (second, first))[better])
    sentence = f"output {winner} is better than output {loser}"
    asked_before = len(node(client, LEAF)["requests"])
    assert said() == {(sentence, "waiting")}
    desk.freeze(Place(), "test")
    desk.take_up(Place())
    assert said() == {(sentence, "recorded")}
    assert len(node(client, LEAF)["requests"]) == asked_before


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Comparison(1), "output 9 is better than output 4"),
        (Comparison(0, 0.25), "output 4 is better than output 9, strength 0.25 of 1"),
        (Comparison(None), "both are equally good"),
        (Ranking((1, 2, 0)), "best first: output 9, an output that is not listed, output 4"),
        (Rating(6), "output 4 gets 6 of 7"),
        (Rating(2.5, 5), "output 4 gets 2.5 of 5"),
        (Label(False), "output 4 is not good"),
        (Correction("better"), "rewrote the output"),
        (Demonstration("mine"), "wrote an output"),
        (Critique("too short", ((0, 3),)), "wrote a critique"),
        (Reject("not a summary"), "rejected: not a summary"),
    ],
)
def test_every_kind_of_answer_is_said_in_words(answer: Any, said: str) -> None:
    told = answer_json(answer, [4, 9, None])
    assert told["said"] == said
    written = getattr(answer, "text", None)
    assert (told["text"] or {}).get("text") == written
    assert told["spans"] == [list(span) for span in getattr(answer, "spans", ())]


# ---- search ----


def found_by(client: TestClient, **wanted: Any) -> list[int]:
    told = get(client, f"/{TREE}/search", **wanted)
    assert told["of"] == len(GRAPH)
    return list(told["nodes"])


def test_without_a_condition_every_node_is_found(client: TestClient) -> None:
    assert found_by(client) == found_by(client, text="  ") == list(range(len(GRAPH)))


def test_nodes_are_found_by_each_condition_and_by_all_at_once(client: TestClient, folder: Path) -> None:
    put(folder, Failure(LEAF, "rate", "ValueError", "no rater was there"))
    told = outline(client)
    everywhere = range(len(GRAPH))
    leaves = [at for at in everywhere if told["level"][at] == 0]
    high = [at for at in everywhere if told["score"][at] >= 0.5]
    assert found_by(client, level=0) == leaves
    assert found_by(client, low=0.5) == high
    assert found_by(client, high=0.5) == [at for at in everywhere if told["score"][at] <= 0.5]
    assert found_by(client, state="scored") == [0]
    assert found_by(client, error=True) == [number_of(LEAF)]
    assert found_by(client, text="no rater WAS") == [number_of(LEAF)]
    assert found_by(client, level=0, low=0.5) == sorted(set(leaves) & set(high))
    assert found_by(client, level=1, error=True) == []


def test_text_is_sought_in_sources_outputs_and_what_raters_wrote(client: TestClient, folder: Path) -> None:
    request = asked(GRAPH, SOURCE, OUTPUTS[LEAF][0], "critique")
    output = Output(ROOT, "A Zeppelin.", "p", 77)
    put(folder, request, Feedback(request.id, "p-1", Critique("It says QUAGGA twice.")), output)
    assert found_by(client, text="zeppelin") == [0]
    assert found_by(client, text="quagga") == [number_of(LEAF)]
    start = (GRAPH.task(LEAF).span or Span(0, 0)).start
    assert number_of(LEAF) in found_by(client, text=SOURCE.text[start : start + 30].upper())
    assert found_by(client, text=GRAPH.leaves[1]) == [number_of(GRAPH.leaves[1])]
    assert found_by(client, text="%") == found_by(client, text="' OR 1=1--") == []


@pytest.mark.parametrize(
    "query",
    [
        {"text": "x" * 201},
        {"level": -1},
        {"level": "one"},
        {"level": 2**63},
        {"state": "lost"},
        {"low": 2},
        {"low": "nan"},
        {"high": "inf"},
        {"high": "-0.1"},
        {"error": "perhaps"},
    ],
)
def test_a_search_that_cannot_be_meant_is_refused_with_a_sentence(client: TestClient, query: Any) -> None:
    answer = client.get(f"/api/trees/{TREE}/search", params=query)
    assert answer.status_code == 422
    assert next(iter(query)) in answer.json()["detail"]


# ---- who and what there is not ----


@pytest.mark.parametrize("name", ["node-x", "999999", "-1", "0x1", "1" * 90, "node:1"])
def test_unknown_nodes_are_not_found(client: TestClient, name: str) -> None:
    assert client.get(f"/api/trees/{TREE}/nodes/{name}").status_code == 404


@pytest.mark.parametrize("path", ["outline", "nodes/0", "search"])
def test_unknown_trees_are_not_found(client: TestClient, path: str) -> None:
    answer = client.get(f"/api/trees/tree-x/{path}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no tree tree-x on record"


@pytest.mark.parametrize("name", ["a%20b", "%27%20OR%201%3D1", "x" * 101, "%C3%A9"])
def test_ids_that_are_none_are_refused(client: TestClient, name: str) -> None:
    assert client.get(f"/api/trees/{TREE}/nodes/{name}").status_code == 422


@pytest.mark.parametrize("path", ["", f"/{TREE}/outline", f"/{TREE}/nodes/0", f"/{TREE}/search"])
@pytest.mark.parametrize(
    ("role", "status"), [("admin", 200), ("reader", 200), ("adjudicator", 200), ("annotator", 403), (None, 401)]
)
def test_trees_are_for_admins_readers_and_adjudicators(house: House, path: str, role: Any, status: int) -> None:
    client = house.add("somebody", role) if role else house.client()
    assert client.get(f"/api/trees{path}").status_code == status


def test_a_station_without_a_run_shows_no_trees(tmp_path: Path) -> None:
    with house_in(tmp_path / "run") as made:
        client = made.add("ada", "admin")
        assert get(client, "")["trees"] == []
        assert client.get("/api/trees/tree-x/outline").status_code == 404


def test_an_empty_record_has_an_empty_list(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with open_nodes(tmp_path) as nodes, desk_in(tmp_path) as desk:
        made = House(Station(desk, trees=nodes))
        assert get(made.add("ada", "admin"), "")["trees"] == []


def test_a_viewer_needs_no_desk(folder: Path) -> None:
    with open_nodes(folder) as nodes:
        assert Trees(nodes).node(TREE, LEAF)["cost"]["ratings"] == 2


# ---- what is kept ----


def test_what_was_asked_for_last_is_kept_as_far_as_it_fits() -> None:
    made: list[str] = []

    def make(key: str, size: int) -> str:
        made.append(key)
        return key * size

    kept: Kept[str] = Kept(10, len)
    for key, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4)):
        assert kept.get(key, lambda key=key, size=size: make(key, size)) == key * size  # type: ignore[misc]
    assert made == ["a", "b", "c", "b"]
    assert kept.get("big", lambda: make("big", 30)) == "big" * 30
    assert kept.get("big", lambda: "another") == "big" * 30


def test_what_is_kept_is_made_again_for_another_version() -> None:
    kept: Kept[str] = Kept(10, len)
    assert kept.get("a", lambda: "one", "1") == "one"
    assert kept.get("a", lambda: "two", "1") == "one"
    assert kept.get("a", lambda: "two", "2") == "two"
    assert kept.get("a", lambda: "three", "2") == "two"
