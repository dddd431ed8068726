from __future__ import annotations

import numpy as np
from clax.data import Columns, read_baidu_annotations, read_baidu_ultr, read_baidu_uva


def test_the_preprocessed_log_has_hashed_ids_from_0_and_no_positions(log):
    largest = 2**31 - 2
    path = log([[0, largest], [7]], [[0, 1], [1]], query_id=[3, 4])
    data = read_baidu_ultr(path)
    batch = data.arrays()
    assert batch.pair_ids[0, :2].tolist() == [1, 2**31 - 1]
    assert batch.pair_ids.dtype == np.int32
    assert (data.num_pairs, data.max_positions) == (2**31 - 1, 22)
    assert batch.positions[0, :3].tolist() == [1, 2, 0]


def test_the_annotated_subset_has_vectors_and_positions_and_no_ids(log):
    vectors = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]]
    path = log(None, [[0, 1], [1]], query_doc_features=vectors, positions=[[1, 2], [4]], media_type=[[3, 1], [2]])
    columns = Columns(pair_ids=None, bias_features=("media_type",))
    batch = read_baidu_uva(path, max_positions=4, columns=columns).arrays()
    assert batch.features[1, 0].tolist() == [5, 6]
    assert batch.pair_ids.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert batch.positions.tolist() == [[1, 2, 0, 0], [4, 0, 0, 0]]
    assert batch.bias_features[0, :, 0].tolist() == [3, 1, 0, 0]
    assert read_baidu_uva(path).num_pairs == 1


def test_annotations_have_labels_and_no_clicks(log):
    path = log(None, None, query_doc_features=[[[1.0], [2.0], [3.0]]], labels=[[0, 2, 4]])
    batch = read_baidu_annotations(path, max_positions=3).arrays()
    assert batch.labels.tolist() == [[0, 2, 4]]
    assert not batch.clicks.any()
