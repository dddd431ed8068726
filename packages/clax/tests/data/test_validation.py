"""Section I of the brief, as far as it concerns a log: each row of the table is a test."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from clax.data import Columns, SessionData
from ir_shared.console import DataWarning, UserError


def load(path, **options):
    options.setdefault("max_positions", 3)
    data = SessionData.from_parquet(path, batch_size=4, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return data, data.arrays()


def refuses(path, match, **options):
    with pytest.raises(UserError, match=match):
        load(path, **options)


def test_an_id_beyond_the_table_names_id_size_file_and_row(log):
    path = log([[1, 2], [3, 9]], [[0, 1], [0, 0]])
    refuses(path, r"log\.parquet: row 1: id 9 is beyond the table of 5 pairs", num_pairs=5)


def test_ids_beyond_the_table_share_the_last_row_on_request(log):
    path = log([[1, 2], [3, 9, 7]], [[0, 1], [0, 0, 1]])
    data, batch = load(path, num_pairs=5, clip_to_unknown=True)
    assert data.num_pairs == 6
    assert batch.pair_ids.tolist() == [[1, 2, 0], [3, 6, 6]]
    assert data.counts.unknown_documents == 2


def test_ids_in_words_are_refused_with_their_type(log):
    refuses(log([["a", "b"]], [[0, 1]]), "'query_doc_ids' holds string, but numbers are needed")


@pytest.mark.parametrize("size", [{"max_positions": 0}, {"max_positions": -1}, {"num_pairs": 0}, {"num_pairs": -3}])
def test_sizes_are_positive(log, size):
    refuses(log([[1, 2]], [[0, 1]]), "must be at least 1", **size)


def test_a_negative_id_is_named(log):
    refuses(log([[1], [2, -4]], [[0], [0, 1]]), r"row 1: id -4 is negative")


def test_ids_from_zero_are_detected_and_explained(log):
    path = log([[3, 2], [0, 1]], [[0, 1], [0, 0]])
    refuses(path, r"row 1: id 0 on a valid rank, but 0 means padding .* zero_based")


def test_ids_from_zero_are_raised_on_request(log):
    data, batch = load(log([[3, 2], [0, 1]], [[0, 1], [0, 0]]), zero_based=True)
    assert batch.pair_ids.tolist() == [[4, 3, 0], [1, 2, 0]]
    assert data.num_pairs == 4
    refuses(log([[3, -1]], [[0, 1]]), "id -1 is negative", zero_based=True)


@pytest.mark.parametrize("bad", [2, -1, 0.5, float("nan")])
def test_clicks_other_than_0_and_1_are_refused(log, bad):
    refuses(log([[1, 2], [3]], [[0.0, 1.0], [bad]]), r"row 1: click .* is neither 0 nor 1")


def test_counts_of_clicks_become_1_on_request_but_nan_does_not(log):
    data, batch = load(log([[1, 2], [3]], [[0, 7], [1]]), binarise_clicks=True)
    assert batch.clicks.tolist() == [[False, True, False], [True, False, False]]
    assert data.counts.binarised_clicks == 1
    refuses(log([[1]], [[float("nan")]]), "neither 0 nor 1", binarise_clicks=True)
    refuses(log([[1]], [[-1]]), "neither 0 nor 1", binarise_clicks=True)


def test_a_click_on_a_masked_rank_is_refused(log):
    path = log([[1, 2], [3, 4]], [[0, 1], [0, 1]], mask=[[True, True], [True, False]])
    refuses(path, "row 1: click on a masked rank")


def test_a_hidden_rank_leaves_its_position_free(log):
    _, batch = load(log([[5, 6, 7]], [[0, 0, 1]], mask=[[True, False, True]]))
    assert batch.pair_ids.tolist() == [[5, 7, 0]]
    assert batch.positions.tolist() == [[1, 3, 0]]
    assert batch.clicks.tolist() == [[False, True, False]]


def test_what_a_hidden_rank_holds_does_not_matter(log):
    _, batch = load(log([[5, 0, 7]], [[0, 0, 1]], positions=[[1, 0, 3]], mask=[[True, False, True]]))
    assert batch.positions.tolist() == [[1, 3, 0]]


def test_position_0_on_a_valid_rank_is_refused(log):
    refuses(log([[1, 2], [3, 4]], [[0, 1], [0, 0]], positions=[[1, 2], [1, 0]]), "row 1: position 0 on a valid rank")


def test_a_duplicate_position_is_refused_even_if_unsorted(log):
    path = log([[1], [3, 4, 5]], [[1], [0, 0, 0]], positions=[[1], [2, 1, 2]])
    refuses(path, "row 1: position 2 is given twice")


def test_documents_below_the_last_position_are_cut_off_and_counted(log):
    path = log([[1, 2, 3, 4, 5], [6]], [[0, 0, 0, 0, 1], [1]])
    data, batch = load(path)
    assert batch.pair_ids.tolist() == [[1, 2, 3], [6, 0, 0]]
    assert data.counts.truncated_documents == 2
    path = log([[1, 2], [6]], [[0, 1], [1]], positions=[[1, 9], [3]], name="explicit")
    data, batch = load(path)
    assert batch.positions.tolist() == [[1, 0, 0], [3, 0, 0]]
    assert data.counts.truncated_documents == 1


def test_unsorted_sessions_are_sorted_with_all_their_columns(log):
    path = log(
        [[1, 2], [3, 4, 5]],
        [[0, 1], [0, 0, 1]],
        positions=[[1, 2], [3, 1, 2]],
        labels=[[0.0, 1.0], [3.0, 1.0, 2.0]],
        query_doc_features=[[[0.0], [1.0]], [[3.0], [1.0], [2.0]]],
    )
    data, batch = load(path)
    assert batch.pair_ids.tolist() == [[1, 2, 0], [4, 5, 3]]
    assert batch.clicks[1].tolist() == [False, True, False]
    assert batch.labels[1].tolist() == batch.features[1, :, 0].tolist() == [1, 2, 3]
    assert data.counts.unsorted_sessions == 1


def test_sorting_is_across_no_session_boundary(log):
    path = log([[1, 2], [], [3, 4]], [[0, 1], [], [0, 1]], positions=[[2, 3], [], [1, 2]])
    data, batch = load(path)
    assert data.counts.unsorted_sessions == 0
    assert batch.positions.tolist() == [[2, 3, 0], [0, 0, 0], [1, 2, 0]]


def test_an_empty_session_is_masked_out_and_counted(log):
    data, batch = load(log([[1], [], [2]], [[1], [], [0]]))
    assert batch.mask.any(1).tolist() == [True, False, True]
    assert (data.counts.sessions, data.counts.empty_sessions) == (2, 1)


def test_repairs_are_reported_once(log):
    data = SessionData.from_parquet(log([[1, 2, 3, 4], []], [[1, 0, 0, 0], []]), max_positions=3)
    with pytest.warns(DataWarning, match="1 empty sessions skipped, 1 documents below the last position cut off"):
        list(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        list(data)


def test_a_log_without_rows_is_refused(log):
    refuses(log([], []), "there are no sessions")


def test_a_log_without_a_usable_session_is_refused(log):
    refuses(log([[], []], [[], []], positions=[[], []]), "none of the 2 sessions", num_pairs=3)


def test_nan_features_are_refused_with_file_and_row(log):
    features = [[[1.0, 2.0]], [[0.0, 0.0], [0.0, float("nan")]]]
    refuses(log([[1], [2, 3]], [[0], [0, 1]], query_doc_features=features), r"log\.parquet: row 1: features hold NaN")


def test_nan_labels_and_bias_features_are_refused(log):
    refuses(log([[1]], [[0]], labels=[[float("inf")]]), "labels hold NaN or infinity")
    refuses(log([[1]], [[0]], query_doc_bias_features=[[[float("nan")]]]), "bias_features hold NaN")


def test_finite_features_whose_sum_overflows_are_fine(log):
    _, batch = load(log([[1, 2]], [[0, 1]], query_doc_features=[[[3e38], [3e38]]]))
    assert np.isfinite(batch.features).all()


def test_features_of_mixed_width_are_refused_with_file_and_row(log):
    features = [[[1.0, 2.0]], [[0.0, 0.0], [0.0]]]
    refuses(log([[1], [2, 3]], [[0], [0, 1]], query_doc_features=features), r"row 1: .* has 1 values, others have 2")


def test_features_of_other_width_in_another_file_are_refused_with_both_files(log):
    log([[1]], [[0]], query_doc_features=[[[1.0, 2.0]]], name="part-0")
    second = log([[1]], [[0]], query_doc_features=[[[1.0]]], name="part-1")
    refuses(second.parent / "part-*.parquet", r"part-1\.parquet: row 0: features are 1 wide, but 2 in .*part-0")


def test_a_column_that_only_one_file_has_is_refused(log):
    log([[1]], [[0]], labels=[[1.0]], name="part-0")
    second = log([[1]], [[0]], name="part-1")
    refuses(second.parent / "part-*.parquet", r"part-1\.parquet: has no labels, but .*part-0")


def test_rows_are_counted_through_row_groups_and_windows(log):
    ids = [[1]] * 25
    clicks = [[0]] * 19 + [[5]] + [[0]] * 5
    path = log(ids, clicks, group=10)
    refuses(path, r"row 19: click 5", num_pairs=1)
    data = SessionData.from_parquet(path, max_positions=1, shuffle=0).window(13, 25)
    with pytest.raises(UserError, match="row 19: click 5"):
        list(data)


def test_multi_click_sessions_are_counted(log):
    data, _ = load(log([[1, 2], [3, 4], [5]], [[1, 1], [0, 1], [0]]))
    assert (data.counts.multi_click_sessions, data.counts.clicks) == (1, 3)


def test_labels_alone_are_an_annotated_log_but_nothing_is_none(log):
    _, batch = load(log([[1, 2]], labels=[[0.0, 2.0]]))
    assert not batch.clicks.any()
    refuses(log([[1, 2]]), "no column 'clicks'")
    refuses(log(None, [[0]]), "neither ids .* nor features")
    refuses(log([[1]], [[0]]), "no column 'shown_at'", columns=Columns(positions="shown_at"))
