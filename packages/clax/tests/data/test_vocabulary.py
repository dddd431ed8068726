from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from clax.data import HashedPairs, LongFrame, Vocabulary
from clax.data.keys import mix, query_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError

names = st.one_of(st.integers(-(2**62), 2**62), st.integers(0, 3))
texts = st.text(max_size=3)


def log(rows):
    """One session of one document per (query, document)."""
    queries, documents = zip(*rows, strict=True)
    n = range(len(rows))
    return LongFrame(
        {
            "session": list(n),
            "query": queries,
            "document": documents,
            "position": [1 for _ in n],
            "click": [0 for _ in n],
        }
    )


def encode(numbering, rows):
    queries, documents = (pa.array(column) for column in zip(*rows, strict=True))
    return numbering.encode(queries, documents, np.ones(len(rows), np.int64)).tolist()


@pytest.mark.parametrize("values", [names, texts])
def test_ids_are_dense_and_by_frequency_with_one_id_for_all_others(values):
    @settings(deadline=None)
    @given(st.lists(st.tuples(values, values), min_size=1, max_size=30), st.integers(1, 3))
    def check(rows, min_count):
        counts = Counter(rows)
        kept = sorted((p for p, n in counts.items() if n >= min_count), key=lambda p: (-counts[p], p))
        if not kept:
            with pytest.raises(UserError, match="lower the frequency cut"):
                Vocabulary.build(log(rows), min_count=min_count)
            return
        vocabulary = Vocabulary.build(log(rows), min_count=min_count)
        expected = {pair: i for i, pair in enumerate(kept, 1)}
        assert encode(vocabulary, rows) == [expected.get(pair, len(kept) + 1) for pair in rows]
        assert vocabulary.num_pairs == vocabulary.unknown_id == len(kept) + 1

    check()


def test_it_is_saved_as_parquet_and_keeps_its_fingerprint(tmp_path):
    vocabulary = Vocabulary.build(log([("q", "a"), ("q", "b"), ("q", "b"), ("r", "a")]))
    vocabulary.save(tmp_path / "v.parquet")
    again = Vocabulary.load(tmp_path / "v.parquet")
    assert again.fingerprint == vocabulary.fingerprint
    assert again.pairs["id"].to_list() == [1, 2, 3]
    assert encode(again, [("q", "b"), ("r", "a"), ("r", "b")]) == [1, 3, 4]
    other = Vocabulary.build(log([("q", "a"), ("q", "b"), ("r", "a")]))
    assert other.fingerprint != vocabulary.fingerprint


def test_what_is_no_vocabulary_is_refused(tmp_path):
    import polars as pl

    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="has the columns query, document and count"):
        Vocabulary.load(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="cannot be read as a vocabulary"):
        Vocabulary.load(tmp_path / "b.parquet")


def test_it_can_be_built_from_the_first_sessions_only():
    rows = [("q", "a"), ("q", "b"), ("q", "c")]
    vocabulary = Vocabulary.build(log(rows), max_sessions=2)
    assert encode(vocabulary, rows) == [1, 2, 3]
    assert vocabulary.num_pairs == 3


def test_folding_in_parts_equals_counting_at_once(monkeypatch):
    class Parts:
        def __init__(self, logs):
            self.logs = logs

        def chunks(self):
            for part in self.logs:
                yield from part.chunks()

    random = np.random.default_rng(0)
    rows = [(int(q), int(d)) for q, d in random.integers(0, 6, (300, 2))]
    whole = Vocabulary.build(log(rows))
    monkeypatch.setattr("clax.data.vocabulary._FOLD_ROWS", 5)
    parts = Vocabulary.build(Parts([log(rows[i : i + 20]) for i in range(0, 300, 20)]))
    assert parts.pairs.equals(whole.pairs)


def test_hashed_ids_are_within_range_even_and_stable():
    rows = [(q, d) for q in range(100) for d in range(100)]
    ids = np.array(encode(HashedPairs(50, seed=0), rows))
    counts = np.bincount(ids, minlength=51)
    assert counts[0] == 0
    assert len(counts) == 51
    # 10,000 balls in 50 boxes: chi-squared with 49 degrees of freedom, whose 99.99 % point is 95.
    assert ((counts[1:] - 200) ** 2 / 200).sum() < 95
    assert encode(HashedPairs(50, seed=0), rows) == ids.tolist()
    assert encode(HashedPairs(50, seed=1), rows) != ids.tolist()


def test_codes_are_what_the_module_says_so_that_they_never_change():
    # Files that were written with an earlier release must still mean the same pairs.
    from hashlib import blake2b

    def finalise(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def code(value):
        if isinstance(value, int):
            return value % 2**64
        return int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "little")

    def hashed(query, document, size, seed):
        pair = finalise((finalise(code(query)) + code(document)) % 2**64)
        return 1 + ((finalise(pair ^ finalise(seed + 1)) >> 32) * size >> 32)

    for rows in ([(1, 2), (2, 1), (-5, 2**40)], [("q", "doc"), ("doc", "q"), ("", "é")]):
        assert encode(HashedPairs(1000, seed=7), rows) == [hashed(q, d, 1000, 7) for q, d in rows]
    assert encode(HashedPairs(1000, seed=7), [(1, 2), (2, 1)]) == [51, 165]


def test_mixing_is_the_finaliser_of_splitmix64():
    # The reference generator's first outputs from seed 0 are mix(golden), mix(2 golden), ...
    golden = 0x9E3779B97F4A7C15
    states = np.array([golden, 2 * golden % 2**64], np.uint64)
    assert mix(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_the_number_of_a_query_is_itself_where_it_fits():
    numbers = query_numbers(pa.array([5, 2**31 - 1, 2**31, -1], pa.int64()))
    assert numbers[:2].tolist() == [5, 2**31 - 1]
    assert (numbers >= 0).all()
    assert len(set(query_numbers(pa.array(["a", "b", "a"])).tolist())) == 2


def test_too_many_hashed_ids_are_refused():
    with pytest.raises(UserError, match="choose 1 to"):
        HashedPairs(2**31)
