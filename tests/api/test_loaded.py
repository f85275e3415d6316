"""A run's folder opened again: its tables, trees, models, and scores of somebody's own texts."""

import sys
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import rrm
from rrm.core.errors import BudgetError, ConfigError, InputError, StoreError
from tests.toys import TOYS, Growing, LastWords, Lengths, Longer, Stuck, Texts, Words, toys

REWARD = {"plugin": "tests.toys:Lengths"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rounds of the toys."""
    place = tmp_path_factory.mktemp("loaded") / "run"
    rrm.run(rrm.run_file({**TOYS, "rounds": 2}), place, quiet=True)
    return place


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    return rrm.load(folder)


def test_the_nodes_of_all_trees_have_their_places_and_roles(loaded: Any) -> None:
    nodes = loaded.nodes
    assert nodes.groupby(["role", "title", "level"]).size().to_dict() == {
        (role, title, level): count
        for role, title in (("train", "first"), ("train", "second"), ("target", "target"))
        for level, count in ((0, 9), (1, 3), (2, 1))
    }
    root = nodes[(nodes.title == "target") & (nodes.level == 2)].iloc[0]
    assert (root.start, root.end, root.depth, root.outputs, root.parents) == (0, 56, 0, 5, ())
    assert len(root.parts) == 3


def test_outputs_stand_at_their_nodes_in_the_round_that_proposed_them(loaded: Any) -> None:
    outputs = loaded.outputs
    # per source 12 nodes with four outputs and a root with five; nothing changes in the second round
    assert outputs.groupby("title").size().to_dict() == {"first": 53, "second": 53, "target": 53}
    assert set(outputs["round"]) == {0}
    assert set(outputs[(outputs.level == 2) & (outputs.title == "target")].text) == {
        "red",
        "red red",
        "red red red",
        "red red red red",
    }


def test_ratings_say_what_was_asked_and_answered(loaded: Any) -> None:
    ratings = loaded.ratings
    assert set(ratings.title) == {"first", "second"} and set(ratings.judge) == {"train"}
    labels = ratings[ratings.kind == "label"]
    assert all(
        answer["good"] == (len(texts[0].split()) > 1) for answer, texts in zip(labels.answer, labels.texts, strict=True)
    )
    pairs = ratings[ratings.kind == "comparison"]
    for answer, texts in zip(pairs.answer, pairs.texts, strict=True):
        assert len(texts[answer["better"]].split()) == max(len(text.split()) for text in texts)
    assert len(ratings) == sum(level.n_train for level in loaded.report.levels)


def test_columns_have_their_types_even_where_nothing_is_known(loaded: Any) -> None:
    assert loaded.ratings.seconds.isna().all() and loaded.ratings.seconds.dtype == "float64"
    assert loaded.nodes.start.dtype == loaded.outputs.tree.dtype == "Int64"


def test_scores_are_own_and_composed_with_intervals(loaded: Any) -> None:
    last = loaded.scores[loaded.scores["round"] == 1]
    joined = last.merge(loaded.outputs[["output", "text"]], on="output").set_index("scale")
    words = joined.text.str.split().str.len()
    # n / 10 and n / 10 + .02 by two members
    own = joined.loc["own"]
    assert own["mean"].to_numpy() == pytest.approx(words.loc["own"].to_numpy() / 10 + 0.01)
    assert own["low"].to_numpy() == pytest.approx(words.loc["own"].to_numpy() / 10 + 0.001)
    assert set(last.criterion) == {"overall"} and set(last.judge) == {"train"}


def test_scores_composed_by_the_mean_are_half_their_own_and_half_the_parts(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys())
    run = rrm.load(tmp_path / "run", reward=Lengths(), policy=Words())
    joined = run.scores[run.scores.scale == "composed"].merge(run.outputs[["output", "text"]], on="output")
    inner = joined[joined.level > 0]
    expected = (inner.text.str.split().str.len() / 10 + 0.01 + 0.31) / 2  # the chosen parts have .31
    assert inner["mean"].to_numpy() == pytest.approx(expected.to_numpy())
    assert run.score("this has seven words and no more").composed.mean == pytest.approx((0.71 + 0.31) / 2)


def test_a_tree_is_a_networkx_graph(loaded: Any) -> None:
    graph = loaded.graph()
    assert nx.is_directed_acyclic_graph(graph) and len(graph) == 13
    assert set(loaded.graph(0, "first")) <= set(loaded.nodes[loaded.nodes.title == "first"].node)
    with pytest.raises(InputError, match="there is no tree 1 of 'first'; there are: 0 of 'first', 0 of 'second'"):
        loaded.graph(1, "first")


def test_claims_lead_from_the_chosen_output_to_the_source(loaded: Any) -> None:
    """The toys' policy writes "red", the source's first word, up to five times: at every level one claim."""
    [chain] = loaded.claims()
    assert chain.text == loaded.report.targets[0].chosen.text and chain == loaded.report.targets[0].claims[0]
    levels = loaded.nodes.set_index("node").level
    assert {int(levels[each.node]) for each in chain.walk()} == {2, 1, 0}
    assert chain.grounded and all(quote.text.startswith("red") for quote in chain.reaches())
    root = loaded.outputs[(loaded.outputs.title == "first") & (loaded.outputs.level == 2)].iloc[0]
    assert loaded.claims(root.output)[0].text == root.text
    with pytest.raises(InputError, match="knows no claims of the output nothing"):
        loaded.claims("nothing")
    with pytest.raises(InputError, match="has 1 targets, counted from 0, and no number 1"):
        loaded.claims(target=1)


def test_a_model_is_a_function_of_texts(loaded: Any) -> None:
    model = loaded.model("1/answer/2")
    assert [score.mean for score in model.score("a b", "a b c d", beside="Anything.")] == pytest.approx([0.21, 0.41])
    assert model("a b c")[0].interval() == pytest.approx((0.301, 0.319))
    group = rrm.Group("new", model.fitted.place, rrm.View("Tell.", (), 9), ("a", "a b"))
    accepted = model.predict([group])[0].acceptance["overall"]
    assert accepted.ravel() == pytest.approx([0.1, 0.2, 0.12, 0.22])
    with pytest.raises(InputError, match="at 2/answer/2; there are: 0/answer/0, "):
        loaded.model("2/answer/2")


def test_the_policy_is_the_one_that_proposed(loaded: Any) -> None:
    assert loaded.policy("1/answer/0").name == "words"


@pytest.mark.parametrize("place", [rrm.Place(9), rrm.Place(0, "answer", 3), rrm.Place(0, "split"), "2/answer/0"])
def test_where_nothing_was_proposed_there_is_no_policy(loaded: Any, place: Any) -> None:
    with pytest.raises(
        InputError, match=f"no policy at {place}: it proposed answers in rounds 0 to 1 at levels 0 to 2"
    ):
        loaded.policy(place)
    with pytest.raises(InputError, match=f"has no model of role train at {place}; there are: 0/answer/0, "):
        loaded.model(place)


def test_policies_and_outputs_are_told_by_round(tmp_path: Path) -> None:
    parts = {"improve": {"plugin": LastWords(), "kl_budget": 1.0}, "policy": {"plugin": Words(), "outputs": 4}}
    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(rounds=2, **parts))
    run = rrm.load(tmp_path / "run", reward=Lengths(), improve=LastWords(), policy=Words())
    assert [run.policy(f"{round_}/answer/0").name for round_ in range(2)] == ["words", "last"]
    told = run.outputs[run.outputs.level > 0].groupby("round").policy.unique()
    assert [list(told[round_]) for round_ in range(2)] == [["words"], ["last"]]
    assert [level.kl for level in report.rounds[1].levels] == [None] * 3  # nobody knows how far words are from words
    assert [level.spent and level.spent.nats for level in report.rounds[1].levels] == [0.5] * 3
    chosen = report.targets[0].chosen
    assert chosen is not None and run.score(chosen.text).composed.mean == pytest.approx(chosen.composed, rel=1e-9)


def test_a_policy_that_the_judge_of_role_select_refused_never_proposed(tmp_path: Path) -> None:
    improve = {"plugin": LastWords(), "kl_budget": 1.0}
    select = {"plugin": Longer("selector"), "share": 0.5, "per_node": {"comparison": 2, "label": 1}}
    rrm.run(out=tmp_path / "run", quiet=True, **toys(rounds=2, improve=improve, select=select))
    run = rrm.load(tmp_path / "run", reward=Lengths(), improve=LastWords(), policy=Words())
    assert run.policy("1/answer/0").name == "words"  # outputs of last words are as long, so nothing is gained
    assert set(zip(run.ratings.judge, run.ratings.role, strict=True)) == {("train", "train"), ("select", "select")}
    assert run.model("0/answer/0", role="select").fitted.role == "select"
    assert any("on the one source that it was fitted to" in warning for warning in run.report.warnings)


def test_a_judge_of_role_select_with_two_sources_chooses_without_a_warning(tmp_path: Path) -> None:
    improve = {"plugin": LastWords(), "kl_budget": 1.0}
    select = {"plugin": Longer("selector"), "share": 0.25, "per_node": {"comparison": 2, "label": 1}}
    train = {"plugin": Texts(["first", "second", "third", "fourth"])}
    rrm.run(out=tmp_path / "run", quiet=True, **toys(rounds=2, train=train, improve=improve, select=select))
    assert not any(
        "fitted to" in warning
        for warning in rrm.load(tmp_path / "run", reward=Lengths(), improve=LastWords(), policy=Words()).report.warnings
    )


def test_a_text_is_scored_as_the_runs_own_roots_were(loaded: Any) -> None:
    chosen = loaded.report.targets[0].chosen
    scores = loaded.score(chosen.text)
    assert (scores.own.mean, scores.composed.mean) == pytest.approx((chosen.own, chosen.composed), rel=1e-9)
    assert scores.composed.interval() == pytest.approx(tuple(chosen.composed_interval), rel=1e-9)
    other = loaded.score("this has seven words and no more")
    assert other.own.mean == pytest.approx(0.71)
    assert other.composed.mean == pytest.approx((0.71 + 0.31) / 2)  # with what was read below
    with pytest.raises(InputError, match="no number 1"):
        loaded.score("anything", target=1)
    with pytest.raises(InputError, match="the text is empty"):
        loaded.score(" \n ")


def test_a_text_above_the_roots_limit_is_scored_with_a_note(loaded: Any) -> None:
    assert "note" not in loaded.score("this has seven words and no more").to_json()
    long = loaded.score("word" + "." * 1999).to_json()
    assert long["note"].startswith("the text has 2,000 tokens of ") and "beyond what was learned" in long["note"]


def test_once_opened_a_target_is_read_no_more(folder: Path) -> None:
    with rrm.load(folder) as run:
        first = run.score("two words")
    (folder / "report.json").rename(folder / "away.json")
    try:
        assert run.score("two words").to_json() == first.to_json()
    finally:
        (folder / "away.json").rename(folder / "report.json")


def test_nothing_in_the_folder_changes(folder: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "record" in path.name}

    before = contents()
    with rrm.load(folder) as run:
        assert len(run.nodes) and run.score("some text of which nobody has heard yet")
    assert contents() == before


def test_a_run_that_goes_on_is_looked_at_as_far_as_it_has_come(tmp_path: Path) -> None:
    with pytest.raises(BudgetError):
        rrm.run(out=tmp_path / "run", quiet=True, **toys(policy={"plugin": Stuck(), "outputs": 4}))
    run = rrm.load(tmp_path / "run")
    assert not run.finished and "not finished" in repr(run) and "not finished" in run._repr_html_()
    assert len(run.nodes) == 39 and set(run.outputs.level) == {0}
    assert set(run.nodes.role) == {"train", "target"}
    with pytest.raises(
        InputError, match="no policy at 1/answer/0: it proposed answers in rounds 0 to 0 at levels 0 to 2"
    ):
        run.policy("1/answer/0")
    with pytest.raises(InputError, match="no finished run"):
        _ = run.report


def test_trees_that_grew_while_they_were_answered_are_read_as_they_stood(tmp_path: Path) -> None:
    report = rrm.run(out=tmp_path / "run", quiet=True, **toys(decomposer=Growing(), rounds=2))
    run = rrm.load(tmp_path / "run", reward=Lengths())
    [tree] = report.targets[0].trees
    assert [node.id for node in tree.nodes] == list(run.tree().in_order())
    assert {node.id: node.children for node in tree.nodes} == {id_: run.tree().children(id_) for id_ in run.tree()}
    assert len(run.nodes) == 12 and not run.nodes.failure.any()
    chosen = report.targets[0].chosen
    assert chosen is not None
    assert run.score(chosen.text).composed.mean == pytest.approx(chosen.composed, rel=1e-9)


def test_parts_given_as_objects_are_given_again_to_open_models(tmp_path: Path) -> None:
    rrm.run(out=tmp_path / "run", quiet=True, **toys())
    with pytest.raises(ConfigError, match=r"\[reward\] was given as an object, lengths"):
        rrm.load(tmp_path / "run").score("a text")
    assert rrm.load(tmp_path / "run", reward=Lengths()).score("a text").own.mean == pytest.approx(0.21)
    other = Lengths()
    other.name = "others"  # type: ignore[misc]
    with pytest.raises(InputError, match="the run's reward is lengths, and this one is others"):
        rrm.load(tmp_path / "run", reward=other).score("a text")


def test_other_sources_are_another_run(tmp_path: Path) -> None:
    class Changing:
        """Sources that are others each time under the same name, such as a file that was changed."""

        name = "changing"
        texts = ("red. green. blue.", "one. two. three.")

        def sources(self) -> list[rrm.Source]:
            return [rrm.Source("target", self.texts[0])]

    rrm.run(out=tmp_path / "run", quiet=True, **toys(target=Changing()))
    Changing.texts = Changing.texts[::-1]
    with pytest.raises(InputError, match=r"^target is another text than when the run in .* was begun: bring the old"):
        rrm.run(out=tmp_path / "run", quiet=True, **toys(target=Changing()))


def test_without_pandas_a_table_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with rrm.load(folder) as run, pytest.raises(ConfigError, match=r"pip install 'rrm\[frames\]'"):
        _ = run.nodes


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        rrm.load(tmp_path / "nowhere")
