from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from ir_shared.console import UserError
from rerank_judge import offsets
from rerank_judge.offsets import OffsetIndex
from rerank_judge.passages import MsMarcoV2, Passage, open_passages

TEXTS = {str(i): f"passage {i} about émigrés " + "x" * (i % 7) for i in range(200)}


@pytest.fixture(params=["tsv", "tsv.gz", "jsonl", "jsonl.gz"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"collection.{request.param}"
    ids = random.Random(0).sample(list(TEXTS), len(TEXTS))
    if "tsv" in request.param:
        lines = [f"{docid}\t{TEXTS[docid]}\n" for docid in ids]
    else:
        lines = [json.dumps({"pid": docid, "passage": TEXTS[docid]}) + "\n" for docid in ids]
    data = "".join(lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_passages_are_found_in_any_format(file: Path) -> None:
    wanted = ["199", "0", "17", "absent"]
    found = open_passages(file).fetch(wanted)
    assert found == {docid: Passage(TEXTS[docid].strip()) for docid in wanted[:3]}
    assert open_passages(file).fetch([]) == {}


def test_the_keys_of_common_formats_are_known(tmp_path: Path) -> None:
    records = [
        {"_id": "a", "title": "T", "text": "beir"},
        {"id": "b", "contents": "anserini"},
        {"docid": "c", "text": "tevatron", "title": None},
        {"pid": "d", "passage": "ms marco", "spans": "(0,8)"},
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert open_passages(path).fetch("abcd") == {
        "a": Passage("beir", "T"),
        "b": Passage("anserini"),
        "c": Passage("tevatron"),
        "d": Passage("ms marco"),
    }


def test_ms_marco_v2_is_read_at_the_offset_in_its_docid(tmp_path: Path) -> None:
    docids = []
    for number in ("03", "41"):
        with (tmp_path / f"msmarco_passage_{number}").open("wb") as file:
            for i in range(20):
                docid = f"msmarco_passage_{number}_{file.tell()}"
                docids.append(docid)
                file.write(json.dumps({"pid": docid, "passage": f"text é {number} {i}"}).encode() + b"\n")
    store = open_passages(tmp_path)
    assert isinstance(store, MsMarcoV2)
    found = store.fetch(docids)
    assert [found[docid].text for docid in docids] == [f"text é {n} {i}" for n in ("03", "41") for i in range(20)]
    assert store.fetch(["msmarco_passage_07_0", "unlike", "msmarco_passage_03_99999999"]) == {}
    with pytest.raises(UserError, match="expected a JSON object"):
        store.fetch(["msmarco_passage_03_5"])
    data = (tmp_path / "msmarco_passage_41").read_bytes().replace(b"41_0", b"41_1", 1)
    (tmp_path / "msmarco_passage_41").write_bytes(data)
    with pytest.raises(UserError, match="holds msmarco_passage_41_1 where msmarco_passage_41_0 should begin"):
        store.fetch(["msmarco_passage_41_0"])


def test_an_index_is_kept_beside_a_large_file_until_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "collection.tsv"
    path.write_text("a\tone\nb\ttwo\n")
    calls: list[int] = []

    def docid_of(number: int, line: bytes) -> str:
        calls.append(number)
        return line.split(b"\t")[0].decode()

    assert OffsetIndex.of(path, docid_of, kept_from=1).find(["b"]) == [6]
    assert (tmp_path / "collection.tsv.offsets.npz").exists()
    assert OffsetIndex.of(path, docid_of, kept_from=1).find(["b"]) == [6]
    assert calls == [1, 2]
    path.write_text("a\tlonger than before\nb\ttwo\n")
    assert OffsetIndex.of(path, docid_of, kept_from=1).find(["b"]) == [21]
    assert calls == [1, 2, 1, 2]


def test_small_files_leave_no_index_behind(tmp_path: Path) -> None:
    (tmp_path / "collection.tsv").write_text("a\tone\n")
    assert open_passages(tmp_path / "collection.tsv").fetch(["a"]) == {"a": Passage("one")}
    assert [path.name for path in tmp_path.iterdir()] == ["collection.tsv"]


def test_lines_whose_hashes_collide_are_told_apart_by_their_docid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "collection.tsv"
    path.write_text("a\tone\nb\ttwo\nc\tthree\n")
    monkeypatch.setattr(offsets, "_hash", len)
    assert open_passages(path).fetch(["b", "c", "d"]) == {"b": Passage("two"), "c": Passage("three")}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no passages"),
        ("a\tone\nno tab here\n", r"collection\.x:2: expected 'docid<TAB>text', found no tab"),
        ('{"pid": "a", "passage": "x"}\n{"pid": "b"}\n', r"collection\.x:2: expected a JSON object with an id"),
        ('{"pid": 7, "passage": "x"}\n', r"collection\.x:1: expected a JSON object with an id as text"),
    ],
)
def test_broken_files_are_named_with_their_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "collection.x"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        open_passages(path).fetch(["a"])


def test_folders_and_files_that_cannot_serve_say_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        open_passages(tmp_path / "absent")
    with pytest.raises(UserError, match=r"holds no msmarco_passage_\* files"):
        open_passages(tmp_path)
    (tmp_path / "msmarco_passage_00.gz").write_bytes(b"")
    with pytest.raises(UserError, match="docids are byte offsets; run gunzip"):
        open_passages(tmp_path)
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match="is the file complete"):
        open_passages(tmp_path / "broken.gz")
