from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ir_shared.console import UserError
from ir_shared.tiny_models import make_tiny
from pytest_httpserver import HTTPServer
from rerank_judge.scorers import load_scorer, parse_spec
from rerank_judge.scorers.card import JudgeCard
from rerank_judge.scorers.hub import find_source, folder_digest


def test_a_spec_is_taken_apart() -> None:
    spec = parse_spec("monot5:castorini/monot5-base-msmarco?true=▁yes&false=▁no&name=mine")
    assert (spec.kind, spec.target) == ("monot5", "castorini/monot5-base-msmarco")
    assert spec.options == {"true": "▁yes", "false": "▁no", "name": "mine"}
    assert parse_spec("grader:m?base_url=http://localhost:8000/v1").options == {"base_url": "http://localhost:8000/v1"}
    assert parse_spec("lexical").target == ""


@pytest.mark.parametrize("spec", ["", "bert:x", "monot5", "monot5:", "lexical:", "lexical:x", "file:"])
def test_unknown_kinds_and_missing_paths_are_refused(spec: str) -> None:
    with pytest.raises(UserError, match=r"unknown judge .*; use lexical or file:PATH, or a model behind monot5:"):
        parse_spec(spec)


@pytest.mark.parametrize("options", ["tru=yes", "true", "true=", "template=x", "name=two words"])
def test_unknown_options_are_named(options: str) -> None:
    with pytest.raises(UserError, match=r"names of monot5 are: true, false, name, family|must be one word"):
        parse_spec(f"monot5:x?{options}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "tpu"}, "device 'tpu': not known; use auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, "device 'cuda:99': this machine has"),
        ({"device": "cpu", "dtype": "int8"}, "dtype 'int8': not known"),
        ({"device": "cpu", "batch_tokens": 0}, "batch_tokens 0: must be positive"),
        ({"device": "cpu", "max_length": 0}, "max_length 0: must be positive"),
    ],
)
def test_arguments_out_of_range_are_refused(t5: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_scorer(f"monot5:{t5}", **arguments)


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["true", "false", "Query:", "Document:", "Relevant:"]
    return make_tiny(tmp_path_factory.mktemp("spec") / "tiny t5", "t5", words=words)


def test_names_and_families_come_from_the_spec_or_the_folder(t5: Path) -> None:
    given = load_scorer(f"monot5:{t5}?name=mine&family=other", device="cpu")
    own = load_scorer(f"monot5:{t5}", device="cpu")
    assert (given.judge_id, given.card.family) == ("mine", "other")
    assert (own.judge_id, own.card.family) == ("tiny-t5", "monoT5")
    assert given.card.fingerprint == own.card.fingerprint


def test_importing_and_help_load_no_model_library() -> None:
    code = (
        "import sys, rerank_judge, rerank_judge.scorers.spec, rerank_judge.scorers.monot5, rerank_judge.pooling\n"
        "import rerank_judge.scorers.reasoning, rerank_judge.scorers.llm_grader, rerank_judge.scorers.adapters\n"
        "from rerank_judge.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'peft', 'httpx', 'huggingface_hub', 'vllm'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[HTTPServer]:
    with HTTPServer() as running:
        yield running


@pytest.fixture
def hub(server: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HTTPServer:
    """A model hub that is out of order."""
    import huggingface_hub

    server.clear()
    server.expect_request(re.compile(".*")).respond_with_data("", status=503)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url_for("").rstrip("/"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return server


@pytest.mark.parametrize("kind", ["monot5", "seqcls", "rank1"])
def test_a_hub_out_of_order_is_asked_once_and_the_message_hints_at_a_local_path(hub: HTTPServer, kind: str) -> None:
    with pytest.raises(
        UserError, match=r"some-org/some-model: .* hub cannot be reached; give the path of a local copy"
    ):
        load_scorer(f"{kind}:some-org/some-model", device="cpu")
    asked = [request.path for request, _ in hub.log if "some-model" in request.path]
    assert asked == ["/api/models/some-org/some-model"]


@pytest.mark.parametrize("name", ["./models/t5", "/no/such/folder", "a/b/c", "~/x", "../x"])
def test_what_looks_like_a_path_never_asks_the_hub(hub: HTTPServer, name: str) -> None:
    with pytest.raises(UserError, match=r"no such folder$"):
        load_scorer(f"monot5:{name}", device="cpu")
    assert len(hub.log) == 0


def test_a_file_in_place_of_a_folder_is_refused(t5: Path) -> None:
    with pytest.raises(UserError, match="is a file; give the folder"):
        find_source(str(t5 / "config.json"))


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be loaded as a checkpoint"):
        load_scorer(f"monot5:{tmp_path}", device="cpu")


def test_a_missing_extra_names_what_to_install(monkeypatch: pytest.MonkeyPatch, t5: Path) -> None:
    from rerank_judge.scorers import checkpoints, endpoint

    for module in (checkpoints, endpoint):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"install rerank-judge\[models\]"):
        load_scorer(f"monot5:{t5}", device="cpu")
    with pytest.raises(UserError, match=r"install rerank-judge\[llm\]"):
        list(load_scorer("grader:m?base_url=http://x").score([]))


def test_the_digest_tells_checkpoints_apart_and_ignores_their_place(t5: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(t5, copy)
    assert folder_digest(copy) == folder_digest(t5)
    (copy / "README.md").write_text("notes")
    assert folder_digest(copy) == folder_digest(t5)
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    assert folder_digest(copy) != folder_digest(t5)


def test_a_large_file_is_sampled_all_over(tmp_path: Path) -> None:
    big = tmp_path / "model.bin"
    big.write_bytes(bytes(20 << 20))
    before = folder_digest(tmp_path)
    with big.open("r+b") as file:
        file.seek(10 << 20)
        file.write(b"\1" * (2 << 20))
    assert folder_digest(tmp_path) != before


def test_cards_with_other_names_are_the_same_judge_and_differences_are_named() -> None:
    card = JudgeCard("a", "monot5", "monoT5", "log-odds", checkpoint_hash="x", dtype="float32", prompt_hash="p")
    assert (
        card.fingerprint
        == JudgeCard("b", "monot5", "other", "log-odds", "elsewhere", "x", "float32", None, "p").fingerprint
    )
    half = JudgeCard("a", "monot5", "monoT5", "log-odds", checkpoint_hash="x", dtype="float16", prompt_hash="p")
    assert card.differences(half.to_json()) == ["dtype float16 there, float32 here"]
    assert card.to_json({"ok": 2, "failed": 1})["status"] == {"failed": 1, "ok": 2}
