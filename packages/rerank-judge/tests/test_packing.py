from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rerank_judge.scorers.packing import Example, collate, length_batches
from rerank_judge.scorers.texts import clean_text, safe_prefix


@given(costs=st.lists(st.integers(1, 60), max_size=80), budget=st.integers(1, 200))
def test_batches_hold_every_sequence_once_within_the_budget_longest_first(costs: list[int], budget: int) -> None:
    batches = length_batches(costs, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(costs)))
    order = [costs[i] for batch in batches for i in batch]
    assert order == sorted(order, reverse=True)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(costs[i] for i in batch) <= budget


def test_equal_lengths_keep_the_given_order() -> None:
    assert length_batches([5, 5, 5, 5, 9], 10) == [[4], [0, 1], [2, 3]]


@pytest.mark.parametrize(("left", "ids", "mask"), [(False, [7, 8, 99], [1, 1, 0]), (True, [99, 7, 8], [0, 1, 1])])
def test_pads_stand_outside_the_complete_sequence_and_are_masked(left: bool, ids: list[int], mask: list[int]) -> None:
    short = Example({"input_ids": [7, 8], "token_type_ids": [1, 1]})
    batch = collate([short, Example({"input_ids": [1, 2, 3], "token_type_ids": [0, 0, 1]})], 99, "cpu", left=left)
    assert batch["input_ids"].tolist() == [ids, [1, 2, 3]]
    assert batch["attention_mask"].tolist() == [mask, [1, 1, 1]]
    assert batch["token_type_ids"].tolist()[1] == [0, 0, 1]


def test_control_characters_become_blanks_and_no_words_merge() -> None:
    assert clean_text("one\x00two\nthree\t four\x85five\u00a0six\x1b[0m ") == "one two three four five six [0m"
    assert clean_text("a\ud800b") == "a\ufffdb"
    assert clean_text("\x07 \n") == ""


@given(text=st.text(alphabet="ab ", max_size=800), limit=st.integers(1, 6))
def test_a_safe_prefix_keeps_the_first_tokens(text: str, limit: int) -> None:
    prefix = safe_prefix(text, limit, lambda part: len(part.split()))
    assert text.startswith(prefix)
    assert prefix.split()[:limit] == text.split()[:limit]


def test_a_safe_prefix_of_a_megabyte_is_short_unless_tokens_are_huge() -> None:
    assert len(safe_prefix("word " * 200_000, 512, lambda part: len(part.split()))) <= 16 * 512
    one_token = "x" * 100_000
    assert safe_prefix(one_token, 8, lambda part: 1) == one_token
