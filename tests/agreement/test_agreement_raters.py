"""Raters' statistics and alerts, from answers on record by raters whose habits are known."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rrm.agreement.raters import Alerts, RaterStats, gold_reliability, rater_stats
from rrm.agreement.tallies import run_probability
from rrm.core.annotation import Annotation, Person, Skipped
from rrm.core.place import Place
from rrm.core.values import Answer, Comparison, Demonstration, Label, Rating
from tests.agreement.agreement_answers import told

DEFAULT = Alerts()


def stats(
    answers: Sequence[Annotation], skips: Sequence[Skipped] = (), alerts: Alerts = DEFAULT
) -> dict[str, RaterStats]:
    persons = [Person(name, None) for name in sorted({each.person for each in answers})]
    return {each.person.id: each for each in rater_stats(persons, answers, skips, alerts)}


def names(stats: RaterStats) -> list[str]:
    return [alert.name for alert in stats.alerts]


def crowd(raters: int = 6, items: int = 120, seed: int = 0) -> list[Annotation]:
    """Careful raters: 85 % right about two outputs in random order, some 8 s an answer."""
    generator = np.random.default_rng(seed)
    answers = []
    for item in range(items):
        better = int(generator.integers(2))
        for rater in range(raters):
            said = better if generator.random() < 0.85 else 1 - better
            order = (0, 1) if generator.random() < 0.5 else (1, 0)
            seconds = float(generator.gamma(8, 1))
            answers.append(told(f"careful {rater}", f"item {item}", Comparison(said), order=order, seconds=seconds))
    return answers


def test_careful_raters_raise_no_alert() -> None:
    found = stats(crowd())
    assert {name: names(each) for name, each in found.items()} == {f"careful {rater}": [] for rater in range(6)}
    for each in found.values():
        assert (each.done, each.skipped, each.skip_rate) == (120, 0, 0.0)
        assert each.median_seconds == pytest.approx(7.7, abs=0.8)
        # a pair agrees with probability 0.85^2 + 0.15^2
        assert each.agreement.share == pytest.approx(0.745, abs=0.06)
        assert each.agreement.beyond_chance == pytest.approx(0.49, abs=0.12)
        assert (each.agreement.items, each.agreement.pairs) == (120, 600)


def test_seconds_are_the_median_of_the_answers_that_have_any() -> None:
    took = [3.0, None, 9.0, 5.0, 4.0]
    answers = [told("Ann", f"i{at}", Label(True), seconds=seconds) for at, seconds in enumerate(took)]
    assert stats(answers)["Ann"].median_seconds == 4.5


def test_who_answers_within_a_second_is_too_fast_after_ten_answers() -> None:
    hasty = [told("hasty", f"item {item}", Comparison(item % 2), seconds=0.9) for item in range(10)]
    assert names(stats([*crowd(), *hasty])["hasty"]) == ["too fast"]
    assert names(stats([*crowd(), *hasty[:9]])["hasty"]) == []


def test_who_is_faster_than_nearly_all_others_is_too_fast_however_many_answers_are_the_own() -> None:
    hasty = [told("hasty", f"more {item}", Comparison(item % 2), seconds=2.5) for item in range(2000)]
    found = stats([*crowd(), *hasty])
    assert names(found["hasty"]) == ["too fast"]
    assert "below 9" in found["hasty"].alerts[0].why
    assert names(found["careful 0"]) == []


def test_pace_is_measured_against_answers_of_the_same_place_and_kind() -> None:
    slow = [told(f"writer {at % 5}", f"text {at}", Demonstration("a"), seconds=90.0) for at in range(100)]
    labels = [told("labels only", f"label {at}", Label(at % 2 == 0), seconds=3.0) for at in range(50)]
    upper = [
        told("upper only", f"upper {at}", Demonstration("a"), seconds=9.0, place=Place(0, "answer", 1))
        for at in range(50)
    ]
    found = stats([*slow, *labels, *upper])
    assert names(found["labels only"]) == names(found["upper only"]) == []


def test_assistants_are_no_measure_for_peoples_pace_and_are_not_called_too_fast() -> None:
    answers = [
        *(told("model", f"i{at}", Label(at % 2 == 0), seconds=0.1) for at in range(500)),
        *(told("Ann", f"i{at}", Label(at % 2 == 0), seconds=6.0) for at in range(50)),
        *(told("Bob", f"i{at}", Label(at % 2 == 0), seconds=2.0) for at in range(50)),
    ]
    persons = [Person("model", None, kind="assistant"), Person("Ann", None), Person("Bob", None)]
    found = rater_stats(persons, answers, [])
    assert [names(each) for each in found] == [[], [], ["too fast"]]


def test_who_always_takes_the_first_shown_has_a_side_bias_and_goes_straight() -> None:
    lazy = [told("lazy", f"item {item}", Comparison(item % 2), order=(item % 2, 1 - item % 2)) for item in range(30)]
    found = stats([*crowd(), *lazy])["lazy"]
    assert names(found) == ["straight-lining", "side bias"]
    assert found.side.p == pytest.approx(2 / 2**30)
    assert found.alerts[0].why.startswith("30 times the same in a row")


def test_a_side_bias_needs_twenty_comparisons_that_chose_a_side() -> None:
    sides = [told("Ann", f"item {at}", Comparison(0)) for at in range(19)]
    ties = [told("Ann", f"item {at}", Comparison(None)) for at in range(20, 60)]
    assert "side bias" not in names(stats([*crowd(), *sides, *ties])["Ann"])
    assert stats([*crowd(), *sides, *ties])["Ann"].side.decided == 19
    assert "side bias" in names(stats([*crowd(), *sides, *ties, told("Ann", "last", Comparison(0))])["Ann"])


def test_sides_of_answers_whose_order_is_unknown_are_not_counted() -> None:
    answers = [told("Ann", f"item {at}", Comparison(0), shown="") for at in range(50)]
    assert stats(answers)["Ann"].side.decided == 0


def test_the_same_label_many_times_is_no_straight_line_where_nearly_everybody_gives_it() -> None:
    usual = [told(f"rater {at % 5}", f"i{at}", Label(at % 20 != 0)) for at in range(1000)]
    line = [told("Ann", f"i{at}", Label(True)) for at in range(40)]
    assert names(stats([*usual, *line])["Ann"]) == []
    rare = [told("Ann", f"i{at}", Label(False)) for at in range(11)]
    assert names(stats([*usual, *rare])["Ann"]) == ["straight-lining"]


def test_ten_in_a_row_are_not_yet_a_line_and_other_kinds_between_do_not_break_one() -> None:
    usual = [told(f"rater {at % 5}", f"i{at}", Rating(1 + at % 7)) for at in range(1000)]
    ratings = [told("Ann", f"i{at}", Rating(4)) for at in range(11)]
    assert names(stats([*usual, *ratings[:10]])["Ann"]) == []
    mixed = [each for rating in ratings for each in (rating, told("Ann", rating.item + "b", Comparison(0)))]
    for at, each in enumerate(mixed):
        mixed[at] = each._replace(at=float(at), answer=each.answer if at % 2 == 0 else Comparison(at // 2 % 2))
    assert names(stats([*usual, *mixed])["Ann"]) == ["straight-lining"]


def test_a_run_is_judged_by_the_raters_own_answers_where_there_are_no_others() -> None:
    always = [told("Ann", f"i{at}", Label(True)) for at in range(100)]
    assert names(stats(always)["Ann"]) == []  # perhaps all are good: nobody else says otherwise
    halves = [told("Ann", f"i{at}", Label(at < 50)) for at in range(100)]
    assert names(stats(halves)["Ann"]) == ["straight-lining"]


@pytest.mark.parametrize(("share", "run", "answers"), [(0.5, 11, 60), (0.8, 20, 100), (0.9, 11, 11), (0.5, 4, 30)])
def test_the_bound_on_a_run_is_above_its_probability_and_near_it_where_that_is_small(
    share: float, run: int, answers: int
) -> None:
    # by a chain over the length of the present run: its last state is reached for good
    chain = np.zeros((run + 1, run + 1))
    chain[:-1, 0] = 1 - share
    chain[np.arange(run), np.arange(run) + 1] = share
    chain[run, run] = 1
    exact = float(np.linalg.matrix_power(chain, answers)[0, run])
    bound = run_probability(share, run, answers)
    assert exact <= bound + 1e-12
    assert bound <= exact * (1 + exact) + 1e-12 or exact > 0.3
    assert run_probability(share, answers + 1, answers) == 0.0


def checks(person: str, right: int, wrong: int, purpose: str) -> list[Annotation]:
    base = told(person, "check", Label(True), purpose=purpose, right=True)  # type: ignore[arg-type]
    return [base._replace(item=f"{purpose} {at}", right=at < right) for at in range(right + wrong)]


def test_known_answers_are_counted_with_attention_checks_and_an_interval() -> None:
    answers = [*checks("Ann", 7, 1, "gold"), *checks("Ann", 3, 1, "attention"), told("Ann", "w", Label(True))]
    found = stats(answers)["Ann"]
    assert (found.accuracy.count, found.accuracy.total) == (10, 12)
    assert (found.attention.count, found.attention.total) == (3, 4)
    # Wilson by hand: (10 / 12 + 3.8415 / 24) / (1 + 3.8415 / 12) is the middle
    assert found.accuracy.low is not None and found.accuracy.high is not None
    assert (found.accuracy.low + found.accuracy.high) / 2 == pytest.approx(0.99339 / 1.32012, abs=1e-4)
    assert names(found) == []
    assert found.done == 13


@pytest.mark.parametrize(
    ("answers", "alerts"),
    [
        (checks("Ann", 8, 2, "attention"), ["fails checks"]),
        (checks("Ann", 9, 1, "attention"), []),
        (checks("Ann", 2, 8, "gold"), ["fails checks"]),
        (checks("Ann", 4, 6, "gold"), []),  # 0.4, but up to 0.69
        (checks("Ann", 0, 1, "gold"), []),
    ],
)
def test_two_failed_attention_checks_or_accuracy_surely_below_three_fifths_is_failing(
    answers: list[Annotation], alerts: list[str]
) -> None:
    assert names(stats(answers)["Ann"]) == alerts


def test_known_answers_that_cannot_be_judged_and_practice_do_not_count() -> None:
    answers = [
        told("Ann", "g", Demonstration("a"), purpose="gold", right=None),
        told("Ann", "p", Label(True), purpose="practice", right=False),
        told("Ann", "u", Label(True), purpose="gold", right=False, state="undone"),
    ]
    found = stats([*answers, told("Ann", "w", Label(True))])["Ann"]
    assert (found.accuracy.total, found.done) == (0, 2)
    assert gold_reliability(answers) == {}


def test_gold_reliability_counts_right_and_total_by_rater() -> None:
    answers = [*checks("Ann", 7, 1, "gold"), *checks("Ann", 3, 1, "attention"), *checks("Bob", 0, 2, "gold")]
    assert gold_reliability(iter(answers)) == {"Ann": (10, 12), "Bob": (0, 2)}


def test_answers_that_an_admin_took_back_still_say_how_somebody_works() -> None:
    lazy = [told("lazy", f"item {at}", Comparison(0), seconds=0.5, state="requeued") for at in range(30)]
    found = stats([*crowd(), *lazy])["lazy"]
    assert found.done == 0
    assert names(found) == ["too fast", "straight-lining", "side bias"]
    assert found.agreement.pairs == 0


def test_settled_answers_are_done_and_compared() -> None:
    answers = [told(rater, "i", Label(rater == "Ann"), state="adjudicated") for rater in ("Ann", "Bob")]
    found = stats([*answers, told("judge", "i", Label(True), adjudication=True)])
    assert (found["Ann"].done, found["Ann"].agreement.pairs, found["Ann"].agreement.share) == (1, 1, 0.0)
    assert found["judge"].done == 0


def test_agreement_with_the_rest_counts_pairs_by_hand() -> None:
    said: dict[str, list[Answer | None]] = {
        "Ann": [Label(True), Label(True), Label(False), Label(True)],
        "Bob": [Label(True), Label(False), Label(False), None],
        "Cid": [Label(True), Label(True), None, None],
    }
    answers = [told(name, f"i{at}", each) for name, row in said.items() for at, each in enumerate(row) if each]
    found = stats(answers)
    # Ann and others: 2 of 2 on the first, 1 of 2 on the second, 1 of 1 on the third; nobody shared the fourth
    assert found["Ann"].agreement[:3] == (3, 5, 4 / 5)
    # others said good 4 times of 5... Bob's True, False, False and Cid's True, True: good with 3 / 5
    chance = (2 * 0.6 + 2 * 0.6 + 1 * 0.4) / 5
    assert found["Ann"].agreement.beyond_chance == pytest.approx((4 / 5 - chance) / (1 - chance))


def test_who_answers_at_random_agrees_with_the_rest_by_chance() -> None:
    generator = np.random.default_rng(1)
    blind = [told("blind", f"item {item}", Comparison(int(generator.integers(2)))) for item in range(120)]
    found = stats([*crowd(), *blind])
    assert found["blind"].agreement.beyond_chance == pytest.approx(0, abs=0.15)
    assert min(found[f"careful {at}"].agreement.beyond_chance or 0 for at in range(6)) > 0.25


def test_skips_are_a_share_of_all_that_was_decided_on() -> None:
    answers = [told("Ann", f"i{at}", Label(True)) for at in range(6)]
    found = stats(answers, [Skipped(f"s{at}", "Ann", "too hard", 0.0, 0) for at in range(2)])["Ann"]
    assert (found.skipped, found.skip_rate) == (2, 0.25)


def test_annotators_without_answers_stand_there_and_idle_readers_do_not() -> None:
    persons = [Person("Ann", None), Person("boss", None, role="admin"), Person("busy boss", None, role="admin")]
    found = rater_stats(persons, [told("busy boss", "i", Label(True)), told("gone", "i", Label(True))], [])
    assert [each.person.id for each in found] == ["Ann", "busy boss"]
    assert (found[0].done, found[0].skip_rate, found[0].median_seconds, found[0].alerts) == (0, None, None, ())
    assert found[0].side.p is None and found[0].agreement.share is None
    assert found[1].agreement.share == 1.0


def test_the_order_in_which_answers_are_read_changes_nothing() -> None:
    answers = crowd(4, 60)
    shuffled = [answers[at] for at in np.random.default_rng(2).permutation(len(answers))]
    one, other = stats(answers), stats(shuffled)
    for name, each in one.items():
        assert other[name].agreement.beyond_chance == pytest.approx(each.agreement.beyond_chance)
        assert replace(other[name], agreement=each.agreement) == each


def test_the_thresholds_of_alerts_are_settings() -> None:
    strict = Alerts(floor_seconds=60.0, longest_run=2, run_p=2.0, least_sides=1, side_p=1.0, failed_attention=1)
    answers = [*crowd(2, 60), *checks("careful 0", 5, 1, "attention")]
    assert names(stats(answers)["careful 0"]) == []
    alerts = names(stats(answers, alerts=strict)["careful 0"])
    assert [each for each in alerts if each != "side bias"] == ["too fast", "straight-lining", "fails checks"]


@pytest.mark.slow
def test_three_hundred_thousand_answers_take_seconds() -> None:
    generator = np.random.default_rng(0)
    raters, seconds = generator.integers(200, size=300_000), generator.gamma(8, 1, size=300_000)
    base = told("", "", Label(True))
    good = (Label(True), Label(False))
    answers = [
        base._replace(
            person=f"r{raters[at]}", item=f"i{at // 3}", answer=good[at % 2], seconds=float(seconds[at]), at=at
        )
        for at in range(300_000)
    ]
    persons = [Person(f"r{at}", None) for at in range(200)]
    began = time.process_time()
    assert len(rater_stats(persons, answers, [])) == 200
    assert time.process_time() - began < 6  # some 1.3 s on the machine that this was written on


def test_the_room_loads_no_torch() -> None:
    loaded = (
        "import sys, rrm.agreement.raters, rrm.agreement.places; print(sorted({'torch', 'nltk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
