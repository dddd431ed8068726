from __future__ import annotations

import numpy as np
from clax.data import Sessions, pad_ragged
from clax.data.rows import to_rows, to_sessions
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

WIDTH = 6
lengths_lists = st.lists(st.integers(0, WIDTH), min_size=1, max_size=30)


def ragged(lengths, seed, features=None):
    random = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    m = int(offsets[-1])
    return Sessions(
        offsets=offsets,
        clicks=random.random(m) < 0.4,
        pair_ids=random.integers(1, 50, m).astype(np.int32),
        features=None if features is None else random.normal(size=(m, features)).astype(np.float32),
        labels=random.integers(0, 4, m).astype(np.float32),
        query_ids=random.integers(0, 9, len(lengths)).astype(np.int32),
    )


@given(lengths_lists, st.integers(0, 99), st.sampled_from([None, 1, 3]))
def test_padding_equals_a_loop_over_sessions(lengths, seed, features):
    sessions = ragged(lengths, seed, features)
    batch = to_rows(sessions, WIDTH)
    for i, n in enumerate(lengths):
        here = slice(sessions.offsets[i], sessions.offsets[i + 1])
        for column in ("pair_ids", "clicks", "labels", "features"):
            values = getattr(sessions, column)
            if values is None:
                assert getattr(batch, column) is None
                continue
            np.testing.assert_array_equal(getattr(batch, column)[i, :n], values[here])
            assert not getattr(batch, column)[i, n:].any()
        assert batch.positions[i].tolist() == [*range(1, n + 1), *[0] * (WIDTH - n)]
        assert batch.mask[i].tolist() == [True] * n + [False] * (WIDTH - n)


@given(lengths_lists, st.integers(0, 99), st.sampled_from([None, 2]))
def test_ragged_to_padded_and_back_changes_nothing(lengths, seed, features):
    sessions = ragged(lengths, seed, features)
    again = to_sessions(to_rows(sessions, WIDTH))
    assert again.positions is None
    for column in ("offsets", "clicks", "pair_ids", "labels", "features", "query_ids"):
        np.testing.assert_array_equal(getattr(again, column), getattr(sessions, column))


@given(
    hnp.arrays(np.bool_, st.tuples(st.integers(1, 8), st.just(WIDTH))),
    st.integers(0, 9),
)
def test_padded_with_holes_keeps_its_positions(mask, seed):
    places = np.where(mask, np.arange(1, WIDTH + 1), 0).astype(np.int32)
    ids = np.where(mask, np.random.default_rng(seed).integers(1, 9, mask.shape), 0).astype(np.int32)
    sessions = ragged([0], 0)
    batch = to_rows(sessions, WIDTH)._replace(
        pair_ids=ids, positions=places, mask=mask, clicks=mask & (ids > 4), labels=None, query_ids=None
    )
    again = to_rows(to_sessions(batch), WIDTH)
    for i in range(len(mask)):
        assert again.positions[i][again.mask[i]].tolist() == places[i][mask[i]].tolist()
        assert again.pair_ids[i][again.mask[i]].tolist() == ids[i][mask[i]].tolist()


def test_full_lists_are_not_copied():
    values = np.arange(12)
    assert np.shares_memory(pad_ragged(values, np.array([4, 4, 4]), 4), values)


def test_rows_of_sessions_are_views_with_their_own_numbers():
    sessions = ragged([2, 0, 3, 1], 0)
    part = sessions.rows(1, 3)
    assert part.lengths.tolist() == [0, 3]
    assert part.first_row == 1
    assert part.where(0) == "data: row 2"
    assert np.shares_memory(part.clicks, sessions.clicks)
