"""The benchmark of a lying part: what is posed, what each way of judging can tell, and that it goes on where it was."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import lying_child
from benchmarks.lying_child import CLAIMS, PARTS, Rule, Seen, main, posed
from benchmarks.planted import Told
from rrm.assistants.local import Local
from rrm.assistants.scripted import ScriptedAssistant
from rrm.core.ids import generator
from rrm.core.protocols import ClaimBeside


def test_one_part_of_half_of_the_cases_lies_in_its_weightier_claim() -> None:
    cases = posed("reframed", 3, 12)
    assert len(cases) == 12 and [case.liar is not None for case in cases] == [False, True] * 6
    for case in cases:
        assert len(case.parts) == PARTS and len(case.claims) == PARTS * CLAIMS
        false = [at for at, (_, claim) in enumerate(case.claims) if claim.false]
        assert len(false) == (case.liar is not None)
        if case.liar is not None:
            part = case.parts[case.liar]
            [lie] = [claim for claim in part.claims if claim.false]
            assert lying_child.importance(lie) == max(map(lying_child.importance, part.claims))
    assert cases == posed("reframed", 3, 12) != posed("reframed", 4, 12)


def test_a_rule_about_weights_is_no_better_than_guessing_where_both_kinds_weigh_the_same() -> None:
    cases = posed("reframed", 3, 40)
    rule = Rule.fitted(cases)
    right = np.mean([rule.lied(case) == (case.liar is not None) for case in cases])
    assert 0.5 <= right < 0.8  # the best of all rules on the very cases that it was fitted to


def test_a_judge_tells_what_is_shown_and_nothing_of_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lying_child, "ERRS", 0.0)
    rng = generator("test")
    lie, truth = Told("She sold it.", "She kept it.", True), Told("She kept it.", "She kept it.", False)
    assert lying_child._judge(lie, ["It rained.", "She kept it."], rng) is True
    assert lying_child._judge(truth, ["She kept it."], rng) is False
    assert lying_child._judge(lie, ["It rained."], rng) is None


def test_peeks_find_a_lie_where_minutes_reach_it_and_the_aligner_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lying_child, "ERRS", 0.0)
    case = posed("reframed", 3, 2)[1]
    lie = next(at for at, (_, claim) in enumerate(case.claims) if claim.false)
    beside = [ClaimBeside(part.source, claim.text, (claim.made_from,)) for part, claim in case.claims]
    support = np.linspace(0.1, 0.2, len(beside))
    support[lie] = 0.9  # looked at last
    rng = generator("test")
    everything = lying_child._peeks(case, Seen(beside, support), np.inf, rng)
    assert everything.lied
    less = lying_child._peeks(case, Seen(beside, support), everything.minutes - 0.01, rng)
    assert not less.lied and less.minutes < everything.minutes
    assert lying_child._peeks(case, Seen(beside, support), less.minutes, rng, lie).lied  # a critic named it
    blind = [ClaimBeside(each.source, each.text, ("It rained.",)) for each in beside]
    assert not lying_child._peeks(case, Seen(blind, support), np.inf, rng).lied


def test_an_assistant_debates_on_both_sides_by_numbers_and_says_nothing_where_it_names_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lying_child, "ERRS", 0.0)
    case = posed("reframed", 3, 2)[1]
    at = next(at for at, (_, claim) in enumerate(case.claims) if claim.false)
    part, lie = case.claims[at]
    place = part.passage.index(lie.made_from) + 1
    seen = Seen([], np.linspace(0.1, 0.9, len(case.claims)))

    def debated(*lines: str) -> tuple[lying_child.Judged, list[str]]:
        model = ScriptedAssistant(lines)
        judged = lying_child._debate(case, seen, lying_child.Assisted(model), generator("test"))
        return judged, [each.user for each in model.prompts]

    found, asked = debated(f"Number {at + 1}.", f"{place}", "No idea")
    assert found.lied and found.minutes == lying_child._minutes([lie.text, lie.made_from])
    assert all(" ".join(part.passage) in asked[0] for part in case.parts)  # who names a claim has read all passages
    assert "shows best that this is wrong" in asked[1] and "shows best that this is right" in asked[2]
    assert lie.text in asked[1] and f"{place}. {lie.made_from}" in asked[1]
    missed, _ = debated(f"{at + 1}", f"{place % len(part.passage) + 1}", "0")
    assert not missed.lied and missed.minutes > lying_child._minutes([lie.text])
    silent, asked = debated("none", "999", "-")
    assert not silent.lied and case.claims[0][1].text in asked[1]  # what seems least supported is argued about
    assert silent.minutes == lying_child._minutes([case.claims[0][1].text])


def test_rows_without_an_assistant_s_debate_are_measured_again_where_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def once(world: str, seed: int, count: int, assistant: Local | None) -> list[lying_child.Row]:
        asked.append("" if assistant is None else assistant.name)  # the name is had of the model as it was loaded
        ways = ["debate"] + [lying_child.ASSISTED] * (assistant is not None)
        return [lying_child.Row(world, seed, count, way, 0.75, 1.5, 0.25, 0.25) for way in ways]

    monkeypatch.setattr(lying_child, "measure", once)
    arguments = ["--seeds", "1", "--world", "retold", "--json", str(tmp_path / "rows.jsonl")]
    for more in ([], ["--assistant", "tiny"], ["--assistant", "tiny"]):
        main([*arguments, *more])
    assert asked[0] == "" and asked[1].startswith("local/") and len(asked) == 2
    printed = capsys.readouterr().out
    assert printed.count("| retold | 100 | debate of an assistant | 0.750") == 2
    assert printed.count("| retold | 100 | debate | 0.750") == 3  # and none twice


def test_what_one_assistant_came_to_is_not_told_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def once(world: str, seed: int, count: int, assistant: Local) -> list[lying_child.Row]:
        asked.append(assistant.name)
        right = 0.25 * len(asked)
        return [lying_child.Row(world, seed, count, lying_child.ASSISTED, right, 1.5, 0.25, 0.25, assistant.name)]

    monkeypatch.setattr(lying_child, "measure", once)
    monkeypatch.setattr(lying_child, "Local", lambda name, temperature: SimpleNamespace(name=f"{name}-{temperature}"))
    arguments = ["--seeds", "1", "--world", "retold", "--json", str(tmp_path / "rows.jsonl")]
    for name in ("one", "another", "one"):
        main([*arguments, "--assistant", name])
    assert len(asked) == 2
    printed = capsys.readouterr().out
    assert printed.count("debate of an assistant | 0.250") == 2 and printed.count("debate of an assistant | 0.500") == 1


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = []

    def once(world: str, seed: int, count: int, assistant: object) -> list[lying_child.Row]:
        measured.append((world, seed))
        return [lying_child.Row(world, seed, count, "debate", 0.75, 1.5, 0.25, 0.25)]

    monkeypatch.setattr(lying_child, "measure", once)
    arguments = ["--seeds", "1,2", "--world", "retold", "--json", str(tmp_path / "rows.jsonl")]
    main(arguments)
    first = capsys.readouterr().out
    main(arguments)
    assert measured == [("retold", 1), ("retold", 2)] and capsys.readouterr().out == first
    assert "| retold | 200 | debate | 0.750 (0.690 to 0.810) | 1.50 | 0.250 | 0.250 |" in first


@pytest.mark.slow
def test_debate_tells_a_lying_part_where_recursion_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lying_child, "FITTED", 2)
    rows = {row.way: row for row in lying_child.measure("reframed", 5, 12)}
    assert rows["recursion"].minutes == 0 and rows["critiques"].minutes <= rows["debate"].minutes
    assert rows["debate"].accuracy >= 0.9 > rows["recursion"].accuracy
    assert rows["peeks at all"].minutes > rows["peeks"].minutes > 0
