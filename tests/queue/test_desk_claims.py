"""Who gets which item, for how long, and how it is shown."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from rrm.core.annotation import Item, Strategy
from rrm.core.desk import Desk
from rrm.core.errors import AccessError, ConflictError, InputError, MissingError
from rrm.core.ids import content_id
from rrm.core.values import Comparison
from rrm.queue import SqlDesk, next_work, open_desk
from tests.queue.desk_house import Clock
from tests.queue.desk_problems import answer_all, claimed, known, new_desk, raters, request, submit, work


def test_a_desk_of_a_record_is_a_desk(desk: SqlDesk) -> None:
    assert isinstance(desk, Desk)


# ---- exactly as many raters as an item wants, each once ----


def test_a_person_holds_one_item_and_is_given_it_again_until_it_is_answered(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(1, 2))
    (ann,) = raters(either_desk, 1)
    first = claimed(either_desk, ann)
    assert either_desk.claim(ann) == first == either_desk.lease(ann, first.id)
    submit(either_desk, first)
    assert claimed(either_desk, ann).first.request.id != first.first.request.id


def test_an_item_is_leased_to_as_many_raters_as_it_wants_and_to_no_more(either_desk: SqlDesk) -> None:
    either_desk.add_items(work(1, wanted=2))
    ann, bob, cleo = raters(either_desk, 3)
    held = [claimed(either_desk, ann), claimed(either_desk, bob)]
    assert {lease.first.request.id for lease in held} == {request(1).id}
    assert either_desk.claim(cleo) is None
    submit(either_desk, held[0])
    assert either_desk.claim(cleo) is None
    assert either_desk.claim(ann) is None


def test_copies_of_one_question_never_go_to_the_same_rater(desk: SqlDesk) -> None:
    desk.add_items([Item(request(1, copy=copy)) for copy in range(3)])
    ann, bob = raters(desk, 2)
    assert answer_all(desk, ann) == 1
    assert answer_all(desk, bob) == 1
    assert {len(desk.item_answers(request(1, copy=copy).id)) for copy in range(3)} == {0, 1}


def test_a_skipped_item_goes_to_others_and_never_back(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.add_items(work(1))
    ann, bob = raters(either_desk, 2)
    lease = claimed(either_desk, ann)
    either_desk.skip(ann, lease.id, "not my language", "a key")
    either_desk.skip(ann, lease.id, "not my language", "a key")
    assert either_desk.claim(ann) is None
    (skipped,) = either_desk.skips()
    assert (skipped.item, skipped.person, skipped.reason, skipped.at) == (
        lease.first.request.id,
        ann,
        "not my language",
        clock(),
    )
    assert claimed(either_desk, bob).first.request == lease.first.request
    with pytest.raises(ConflictError, match="passed on already"):
        submit(either_desk, lease)


# ---- leases run out ----


def test_a_lease_that_ran_out_is_somebody_elses_at_that_very_moment(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.add_items(work(1))
    ann, bob = raters(either_desk, 2)
    lease = claimed(either_desk, ann)
    assert lease.expires == clock() + 900
    clock.now = lease.expires - 0.01
    assert either_desk.claim(bob) is None
    clock.now = lease.expires
    assert claimed(either_desk, bob).first.request == lease.first.request
    with pytest.raises(ConflictError, match="run out"):
        either_desk.lease(ann, lease.id)


def test_renewing_puts_a_lease_off_and_cannot_bring_one_back(desk: SqlDesk, clock: Clock) -> None:
    desk.add_items(work(1))
    ann, bob = raters(desk, 2)
    lease = claimed(desk, ann)
    clock.now += 800
    assert desk.renew(ann, lease.id) == clock() + 900
    clock.now += 899
    assert desk.claim(bob) is None
    clock.now += 1
    with pytest.raises(ConflictError, match="run out"):
        desk.renew(ann, lease.id)


def test_a_late_answer_is_refused_and_kept_as_the_draft_of_the_next_lease(either_desk: SqlDesk, clock: Clock) -> None:
    either_desk.add_items(work(1, 2, 3))
    (ann,) = raters(either_desk, 1)
    lease = claimed(either_desk, ann)
    clock.now = lease.expires  # nobody else has taken it, and yet it is late
    with pytest.raises(ConflictError, match="kept as a draft"):
        submit(either_desk, lease, Comparison(1, 0.5))
    assert list(either_desk.answers()) == []
    again = claimed(either_desk, ann)
    assert (again.first.request, again.first.order) == (lease.first.request, lease.first.order)
    drafted = {
        "item": lease.first.request.id,
        "shown": lease.first.shown,
        "answer": {"kind": "comparison", "better": 1, "strength": 0.5},
        "confidence": None,
        "detail": {},
    }
    assert again.draft == {"answers": [drafted]}


def test_an_open_item_with_an_own_draft_comes_first_and_in_the_same_order(desk: SqlDesk, clock: Clock) -> None:
    desk.change_settings({"strategy": "valuable"}, "test")
    desk.add_items(work(1))
    (ann,) = raters(desk, 1)
    lease = claimed(desk, ann)
    desk.save_draft(ann, lease.id, {"note": "hm"})
    desk.add_items([item for number in range(2, 30) for item in work(number, value=9.0)])
    for _ in range(5):
        clock.now += 10_000
        again = claimed(desk, ann)
        assert (again.first.request.id, again.first.order, again.draft) == (
            request(1).id,
            lease.first.order,
            {"note": "hm"},
        )
    submit(desk, again)
    assert claimed(desk, ann).first.request.id != request(1).id


def test_a_draft_is_kept_after_the_lease_ran_out_but_not_after_the_answer(desk: SqlDesk, clock: Clock) -> None:
    desk.add_items(work(1))
    (ann,) = raters(desk, 1)
    lease = claimed(desk, ann)
    clock.now = lease.expires + 1
    desk.save_draft(ann, lease.id, {"text": "late"})
    again = claimed(desk, ann)
    assert again.draft == {"text": "late"}
    desk.save_draft(ann, again.id, {"text": "later"})
    assert desk.lease(ann, again.id).draft == {"text": "later"}
    submit(desk, again)
    with pytest.raises(ConflictError, match="answered already"):
        desk.save_draft(ann, again.id, {"text": "too late"})
    with pytest.raises(InputError, match="JSON"):
        desk.save_draft(ann, again.id, {"text": float("nan")})


# ---- which comes first ----


@pytest.mark.parametrize(
    ("strategy", "first"), [("valuable", "node-2"), ("least-done", "node-3"), ("disagreement", "node-1")]
)
def test_the_strategy_says_which_item_comes_first(either_desk: SqlDesk, strategy: Strategy, first: str) -> None:
    ann, bob, cleo = raters(either_desk, 3)
    either_desk.add_items([*work(1, wanted=4), *work(2, wanted=4, value=5.0)])
    for person, better in ((ann, 0), (bob, 1)):
        while (lease := either_desk.claim(person)) is not None:
            disputed = lease.first.request.node == "node-1"
            submit(either_desk, lease, Comparison(lease.first.order.index(better if disputed else 0)))
    either_desk.add_items(work(3, wanted=4))
    either_desk.change_settings({"strategy": strategy}, "test")
    assert claimed(either_desk, cleo).first.request.node == first


def test_among_equals_chance_decides(tmp_path: Path, clock: Clock) -> None:
    firsts = set()
    for seed in range(8):
        with new_desk(tmp_path / str(seed), clock, seed=seed) as desk:
            desk.add_items(work(*range(20)))
            firsts.add(claimed(desk, raters(desk, 1)[0]).first.request.node)
    assert len(firsts) > 2


@pytest.mark.parametrize("strategy", ["valuable", "least-done", "disagreement"])
def test_a_claim_walks_along_an_index_and_never_through_all_items(desk: SqlDesk, strategy: Strategy) -> None:
    with desk._read() as connection:
        statement = next_work._TAKE[strategy].compile(connection.engine)
        values = dict.fromkeys(statement.params, 1)  # which do not change the plan
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    steps = [row[3] for row in plan]
    assert any(f"ix_item_{strategy.replace('-', '_')}" in step for step in steps)
    assert any("uq_lease_question" in step for step in steps)
    assert not any("TEMP B-TREE" in step for step in steps)


# ---- how it is shown ----


def test_the_order_is_drawn_for_each_lease_and_said(desk: SqlDesk) -> None:
    desk.add_items([Item(request(1, "ranking", outputs=3), wanted=60)])
    orders = Counter(claimed(desk, person).first.order for person in raters(desk, 60))
    assert set(orders) == {(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}


def test_the_hash_covers_what_is_shown_in_the_order_shown(desk: SqlDesk) -> None:
    desk.add_items(work(1))
    desk.set_guideline("# Be kind", "test")
    lease = claimed(desk, raters(desk, 1)[0])
    texts = ["AB"[place] for place in lease.first.order]
    assert lease.guideline == 1
    assert lease.first.shown == content_id("shown", lease.first.request.view.id, texts, 1, "comparison", 7, "overall")
    with pytest.raises(ConflictError, match="load it again"):
        another = replace(lease.first, shown=content_id("shown", "something else"))
        submit(desk, replace(lease, questions=(another,)))


# ---- who may ----


def test_who_reads_is_paused_or_was_refused_gets_no_items(desk: SqlDesk) -> None:
    desk.add_items(work(1, wanted=5))
    (ann,) = raters(desk, 1)
    rea = desk.add_person("Rea", "reader", by="test").id
    for role in ("adjudicator", "admin"):
        assert desk.claim(desk.add_person(role, role, by="test").id) is not None
    with pytest.raises(AccessError, match="reader"):
        desk.claim(rea)
    desk.set_state(ann, "paused", "test")
    with pytest.raises(AccessError, match="paused"):
        desk.claim(ann)
    desk.set_state(ann, "refused", "test")
    with pytest.raises(AccessError, match="practice"):
        desk.claim(ann)
    with pytest.raises(MissingError, match="no person"):
        desk.claim("p-nobody")


def test_nobody_touches_what_is_leased_to_somebody_else(desk: SqlDesk) -> None:
    desk.add_items(work(1))
    ann, bob = raters(desk, 2)
    lease = claimed(desk, ann)
    for call in (
        lambda id_: desk.lease(bob, id_),
        lambda id_: desk.renew(bob, id_),
        lambda id_: desk.save_draft(bob, id_, {}),
        lambda id_: desk.skip(bob, id_, "", "k"),
        lambda id_: desk.flag(bob, id_, "odd"),
        lambda id_: submit(desk, replace(lease, person=bob, id=id_)),
    ):
        with pytest.raises(AccessError, match="somebody else"):
            call(lease.id)
        with pytest.raises(MissingError, match="no lease"):
            call("lease-of-nobody")


def test_a_flag_is_kept_with_the_item_even_after_the_answer(desk: SqlDesk, clock: Clock) -> None:
    desk.add_items(work(1))
    (ann,) = raters(desk, 1)
    lease = claimed(desk, ann)
    submit(desk, lease)
    desk.flag(ann, lease.id, "the source is cut off")
    (flag,) = desk.flags()
    assert (flag.item, flag.person, flag.text, flag.at) == (
        lease.first.request.id,
        ann,
        "the source is cut off",
        clock(),
    )
    for text in ("", " \n", "\0", "\ud800", "x" * 20_001):
        with pytest.raises(InputError):
            desk.flag(ann, lease.id, text)


# ---- gold and attention ----


def test_gold_comes_once_in_so_many_items_to_each_rater_once_and_without_limit(desk: SqlDesk) -> None:
    desk.change_settings({"gold_every": 3, "attention_every": 0}, "test")
    desk.add_items([*known("gold", *range(100, 200)), *work(*range(60), wanted=2)])
    for person in raters(desk, 2):
        assert answer_all(desk, person) > 60
        given = list(desk.answers(person=person))
        gold = [each.item for each in given if each.purpose == "gold"]
        assert len(given) - len(gold) == 60
        assert 10 < len(gold) < 60  # one in three of 90 is 30, within four standard errors
        assert len(set(gold)) == len(gold)


def test_checks_come_only_while_there_is_work_to_hide_them_in(desk: SqlDesk) -> None:
    desk.change_settings({"gold_every": 2, "attention_every": 2}, "test")
    desk.add_items([*known("gold", 1, 2), *known("attention", 3, 4)])
    (ann,) = raters(desk, 1)
    assert [desk.claim(ann) for _ in range(20)] == [None] * 20
    desk.add_items(work(*range(10, 30)))
    assert answer_all(desk, ann) == 24
    assert {each.purpose for each in desk.answers()} == {"gold", "attention", "work"}


# ---- how much one rater gives ----


def test_nobody_gives_more_than_a_share_of_all_answers(either_desk: SqlDesk) -> None:
    either_desk.change_settings({"rater_share": 0.3}, "test")
    either_desk.add_items(work(*range(10)))
    persons = raters(either_desk, 4)
    assert either_desk.own_progress(persons[0]).left == 3
    assert [answer_all(either_desk, person) for person in persons] == [3, 3, 3, 1]
    assert either_desk.own_progress(persons[0]).left == 0
    either_desk.undo(persons[0])  # what was taken back may be given again, and no more
    assert answer_all(either_desk, persons[0]) == 1
    either_desk.add_items(work(*range(10, 20)))
    assert [answer_all(either_desk, person) for person in persons] == [3, 3, 3, 1]


def test_of_one_answer_in_all_somebody_gives_it_however_small_the_share(desk: SqlDesk) -> None:
    desk.change_settings({"rater_share": 0.01}, "test")
    desk.add_items(work(1))
    ann, bob = raters(desk, 2)
    assert answer_all(desk, ann) == 1 and answer_all(desk, bob) == 0


# ---- two desks ----


def test_two_desks_on_one_record_never_lease_an_item_twice(tmp_path: Path, desk: SqlDesk, clock: Clock) -> None:
    desk.add_items(work(*range(20)))
    people = raters(desk, 20)
    with open_desk(tmp_path / "run", clock=clock, random=Random(1)) as other:
        held = [claimed((desk, other)[place % 2], person).first.request.id for place, person in enumerate(people)]
        assert len(set(held)) == 20
        assert other.claim(desk.add_person("Late", by="test").id) is None
