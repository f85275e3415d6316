"""Packed rows: what lies where, who may attend to whom, and that every sequence can be read back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rrm.backbone.layout import Branches, Layout, pack, pack_outputs, pack_source, packed_tokens, shared_length
from rrm.core.errors import ShapeError


def _tokens(*ids: int) -> np.ndarray:
    return np.asarray(ids, dtype=np.int32)


TWO_GROUPS = [
    [_tokens(7, 8, 1), _tokens(7, 8, 2, 3)],
    [_tokens(9, 4), _tokens(9, 5), _tokens(9, 6, 6)],
]


@pytest.mark.parametrize(
    ("sequences", "expected"),
    [
        ([(1, 2, 3), (1, 2, 4)], 2),
        ([(1, 2, 3), (1, 5, 3), (1, 2, 3)], 1),  # as much as all three share, not as neighbours do
        ([(1, 2, 3)], 2),  # alone: all but the token that is read
        ([(1,)], 0),
        ([(1, 2), (1, 2, 3)], 1),  # one is the beginning of the other: both keep a token of their own
        ([(1, 2, 3), (1, 2, 3)], 2),
        ([(1, 2), (3, 2)], 0),
        ([(1, 2), (1,)], 0),
    ],
)
def test_the_shared_part_is_the_common_beginning_but_leaves_everyone_a_token(
    sequences: list[tuple[int, ...]], expected: int
) -> None:
    assert shared_length([_tokens(*each) for each in sequences]) == expected


def test_a_row_holds_each_source_once_and_positions_start_again_with_every_output() -> None:
    row = pack(TWO_GROUPS)
    assert row.ids.tolist() == [[7, 8, 1, 2, 3, 9, 4, 5, 6, 6]]
    assert row.positions.tolist() == [[0, 1, 2, 2, 3, 0, 1, 1, 1, 2]]
    assert row.layout.last.tolist() == [2, 4, 6, 7, 9]
    assert row.layout.branches == (Branches(0, 2, (1, 2)), Branches(5, 1, (1, 1, 2)))
    assert row.ids.dtype == row.positions.dtype == row.layout.last.dtype == torch.int64
    assert row.tokens == 10 == packed_tokens(TWO_GROUPS[0]) + packed_tokens(TWO_GROUPS[1])


def test_who_attends_to_whom_in_a_small_row() -> None:
    row = pack(TWO_GROUPS)
    every = torch.arange(10)
    found = row.layout.allowed(every[:, None], every[None, :])
    drawn = [
        "x.........",  # source of the first group
        "xx........",
        "xxx.......",  # its first output
        "xx.x......",  # its second output sees the source and itself
        "xx.xx.....",
        ".....x....",  # source of the second group
        ".....xx...",
        ".....x.x..",
        ".....x..x.",
        ".....x..xx",
    ]
    assert ["".join("x" if each else "." for each in line) for line in found.tolist()] == drawn


def test_a_window_counts_positions_and_not_places_in_the_row() -> None:
    row = pack([[_tokens(1, 2, 3, 4), _tokens(1, 2, 5, 6)]])
    found = row.layout.allowed(torch.tensor([[5]]), torch.arange(6)[None, :], window=3)
    assert found.tolist() == [[False, True, False, False, True, True]]  # positions 1, 2 and 3 of its own text


def test_the_longest_text_of_a_row_is_an_output_with_its_source() -> None:
    assert pack(TWO_GROUPS).layout.longest == 4
    _, cache = pack_source(_tokens(*range(20)))
    assert pack_outputs([_tokens(1, 2), _tokens(1, 2, 3)], cache).layout.longest == 23


def test_outputs_behind_a_cached_source_go_on_counting_where_it_ended() -> None:
    source, cache = pack_source(_tokens(7, 8, 9))
    assert source.ids.tolist() == [[7, 8, 9]] and source.positions.tolist() == [[0, 1, 2]]
    assert source.layout.last.tolist() == [] and source.layout.fills_cache and source.layout.cached == 0
    row = pack_outputs([_tokens(1, 2), _tokens(3)], cache)
    assert row.ids.tolist() == [[1, 2, 3]] and row.positions.tolist() == [[3, 4, 3]]
    assert row.layout.last.tolist() == [1, 2] and row.layout.cached == 3
    every = torch.arange(6)
    found = row.layout.allowed(every[3:, None], every[None, :])
    assert found.int().tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 1]]


def test_places_of_outputs_are_padded_with_their_own_last_place() -> None:
    row = pack(TWO_GROUPS)
    places, padding = row.layout.own(row.layout.branches[1])
    assert places.tolist() == [[6, 6], [7, 7], [8, 9]]
    assert padding.tolist() == [[False, True], [False, True], [False, False]]


def test_a_source_attends_within_itself_only() -> None:
    layout = Layout((Branches(0, 2, ()), Branches(2, 2, ())), torch.zeros(0, dtype=torch.int64))
    every = torch.arange(4)
    found = layout.allowed(every[:, None], every[None, :]).int().tolist()
    assert found == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]


def test_no_groups_make_an_empty_row() -> None:
    row = pack([])
    assert row.tokens == 0 and row.layout.last.tolist() == [] and row.layout.longest == 0


@pytest.mark.parametrize("groups", [[[]], [[_tokens(1), _tokens()]], [TWO_GROUPS[0], [_tokens()]]])
def test_a_group_or_an_output_without_tokens_is_refused(groups: list[list[np.ndarray]]) -> None:
    with pytest.raises(ShapeError, match="at least one token"):
        pack(groups)


_sequence = st.lists(st.integers(0, 2), min_size=1, max_size=9).map(lambda ids: _tokens(*ids))
_groups = st.lists(st.lists(_sequence, min_size=1, max_size=5), min_size=1, max_size=4)


@settings(max_examples=200, deadline=None)
@given(_groups)
def test_what_a_last_token_attends_to_is_its_sequence_in_order(groups: list[list[np.ndarray]]) -> None:
    row = pack(groups)
    assert row.tokens == sum(packed_tokens(each) for each in groups)
    every = torch.arange(row.tokens)
    sequences = [sequence for each in groups for sequence in each]
    assert len(row.layout.last) == len(sequences)
    for place, sequence in zip(row.layout.last, sequences, strict=True):
        seen = row.layout.allowed(place, every).nonzero()[:, 0]
        positions = row.positions[0, seen]
        order = positions.argsort()
        assert positions[order].tolist() == list(range(len(sequence)))
        assert row.ids[0, seen[order]].tolist() == sequence.tolist()


@settings(max_examples=100, deadline=None)
@given(_groups)
def test_every_token_attends_to_itself_and_to_one_token_of_each_earlier_position(
    groups: list[list[np.ndarray]],
) -> None:
    row = pack(groups)
    every = torch.arange(row.tokens)
    allowed = row.layout.allowed(every[:, None], every[None, :])
    assert allowed.diagonal().all()
    assert torch.equal(allowed.sum(1), row.positions[0] + 1)
