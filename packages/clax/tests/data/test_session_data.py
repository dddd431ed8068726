from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from clax.data import SessionData
from clax.data.prefetch import prefetch
from ir_shared.console import UserError

pytestmark = pytest.mark.filterwarnings("ignore:of .* sessions:ir_shared.console.DataWarning")


def order(data):
    """Query ids in the order of iteration; in this log they number the sessions, and the filling has 0."""
    return np.concatenate([b.query_ids for b in data])[: data.num_sessions]


def test_every_batch_has_one_shape_and_the_last_is_filled_with_masked_sessions(big_log):
    data = SessionData.from_parquet(big_log, batch_size=7000)
    batches = list(data)
    assert len(batches) == len(data) == 43
    assert {(b.mask.shape, b.clicks.shape, b.query_ids.shape) for b in batches} == {((7000, 10), (7000, 10), (7000,))}
    rest = 300_000 - 42 * 7000
    assert batches[-1].mask[:rest].any()
    assert not batches[-1].mask[rest:].any()
    assert not batches[-1].pair_ids[rest:].any()
    assert sum(int(b.mask.sum()) for b in batches) == data.counts.documents


def test_it_can_be_read_again_with_the_same_result(big_log):
    data = SessionData.from_parquet(big_log, batch_size=4096)
    first, second = (order(data) for _ in range(2))
    np.testing.assert_array_equal(first, np.arange(300_000))
    np.testing.assert_array_equal(first, second)


def test_shuffling_depends_on_seed_and_epoch_only_and_loses_nothing(big_log):
    def read(seed, epoch, sessions=300_000, **options):
        data = SessionData.from_parquet(big_log, shuffle=seed, buffer_bytes=1 << 22, stop=sessions, **options)
        data.set_epoch(epoch)
        return order(data)

    first = read(0, 1)
    np.testing.assert_array_equal(first, read(0, 1, read_ahead=False))
    np.testing.assert_array_equal(np.sort(first), np.arange(300_000))
    assert not np.array_equal(first, read(0, 2))
    assert not np.array_equal(first, read(1, 1))
    # Also within one row group, where the order of the groups says nothing.
    assert not np.array_equal(read(0, 1, 500), read(0, 2, 500))
    assert not np.array_equal(read(0, 1, 500), read(1, 1, 500))
    # Neighbours are torn apart: within the buffer the order says nothing about the place in the log.
    assert np.abs(np.diff(first)).mean() > 5000


def test_columns_stay_together_under_shuffling(big_log):
    plain = SessionData.from_parquet(big_log).arrays()
    for batch in islice(SessionData.from_parquet(big_log, shuffle=3), 3):
        np.testing.assert_array_equal(batch.pair_ids, plain.pair_ids[batch.query_ids])
        np.testing.assert_array_equal(batch.clicks, plain.clicks[batch.query_ids])


def test_the_split_is_in_order_and_covers_the_window_once(big_log):
    data = SessionData.from_parquet(big_log, fractions=(0.7, 0.2, 0.1)).window(1000, 291_000)
    parts = [np.sort(order(part)) for part in (data.train, data.valid, data.test)]
    assert [len(part) for part in parts] == [203_000, 58_000, 29_000]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(1000, 291_000))
    assert data.train.shuffle == 0
    assert data.valid.shuffle is None


def test_windows_nest(big_log):
    data = SessionData.from_parquet(big_log, batch_size=64).window(131_000, 140_000).window(70, 170)
    np.testing.assert_array_equal(order(data), np.arange(131_070, 131_170))


def test_shards_are_disjoint_and_have_equally_many_batches(big_log):
    data = SessionData.from_parquet(big_log, batch_size=1000).window(0, 10_007)
    shards = [data.shard(i, 4) for i in range(4)]
    assert {len(list(shard)) for shard in shards} == {3}
    np.testing.assert_array_equal(np.concatenate([order(s) for s in shards]), np.arange(10_004))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "must be at least 1"),
        ({"fractions": (0.9, 0.2, 0.1)}, "sum to at most 1"),
        ({"start": 5, "stop": 5}, "are not there"),
        ({"stop": 300_001}, "are not there: the log has 300000"),
    ],
)
def test_impossible_settings_are_refused(big_log, change, message):
    with pytest.raises(UserError, match=message):
        replace(SessionData.from_parquet(big_log), **change)


def test_an_empty_part_is_refused(big_log):
    with pytest.raises(UserError, match="leaves a part empty"):
        _ = SessionData.from_parquet(big_log, fractions=(1.0, 0.0, 0.0)).valid


def test_memory_is_bounded_by_the_buffer_and_not_by_the_log(big_log):
    def peak(data):
        tracemalloc.start()
        for _ in data:
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    data = SessionData.from_parquet(big_log, shuffle=0, buffer_bytes=1 << 20)
    whole = sum(x.nbytes for x in data.arrays() if x is not None)
    assert whole > 27_000_000
    # One slice of a row group (65,536 sessions) as flat and as padded columns, being made and being used.
    assert peak(data) < 0.9 * whole
    assert peak(data) < 1.15 * peak(replace(data, stop=200_000))


def test_an_error_in_the_thread_arrives_where_its_item_was_due():
    def items():
        yield 1
        yield 2
        raise ValueError("third")

    ahead = prefetch(items())
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="third"):
        next(ahead)


def test_leaving_early_stops_the_thread(big_log):
    before = threading.active_count()
    for _ in SessionData.from_parquet(big_log, shuffle=0, buffer_bytes=1 << 20):
        break
    assert threading.active_count() == before


def test_prefetching_reads_ahead_while_the_consumer_works():
    ready = threading.Event()

    def items():
        yield 0
        ready.set()
        yield 1

    reader = prefetch(items())
    assert next(reader) == 0
    assert ready.wait(10)
    assert list(reader) == [1]
