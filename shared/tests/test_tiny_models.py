"""Tiny models are ordinary Hugging Face folders, the same bytes for the same arguments, and tell inputs apart."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ir_shared.console import UserError
from ir_shared.tiny_models import byte_tokenizer, make_tiny, word_tokenizer, words_of

torch = pytest.importorskip("torch", reason="needs ir-shared[tiny]")
transformers = pytest.importorskip("transformers", reason="needs ir-shared[tiny]")

WORDS = ["true", "false", "Query:", "Document:", "Relevant:", "query:", "document:", "cat", "dog"]
TAGS = ["<think>", "</think>"]
PROMPT = "Query: cat\nDocument: dog  cat\n<think> true </think> false"
TEXTS = [
    "Question: who is the rival of the teacher of alba ?\n",
    "<think> i need the teacher of alba </think>\n<search> teacher of alba </search>",
    "<think> the teacher of alba is boris </think>\n<answer> boris </answer>",
]
CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "t5": ("t5", {"words": WORDS, "tags": TAGS}, "AutoModelForSeq2SeqLM"),
    "bert": ("bert", {"words": WORDS, "tags": TAGS}, "AutoModel"),
    "bert classifier": ("bert", {"words": WORDS, "num_labels": 1}, "AutoModelForSequenceClassification"),
    "llama": ("llama", {"words": WORDS, "tags": TAGS}, "AutoModelForCausalLM"),
    "llama classifier": ("llama", {"words": WORDS, "num_labels": 1}, "AutoModelForSequenceClassification"),
    "qwen2": ("qwen2", {"texts": TEXTS}, "AutoModelForCausalLM"),
    "qwen2 classifier": ("qwen2", {"texts": TEXTS, "num_labels": 3}, "AutoModelForSequenceClassification"),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def load(folder: Path, auto: str) -> tuple[Any, Any, Any]:
    model, info = getattr(transformers, auto).from_pretrained(folder, output_loading_info=True)
    return transformers.AutoTokenizer.from_pretrained(folder), model, info


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name.replace(" ", "-"))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    kind, arguments, _ = CASES[request.param]
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return request.param, make_tiny(folder, kind, **arguments)  # type: ignore[arg-type]


def test_the_folder_loads_whole_with_the_auto_classes(made: tuple[str, Path]) -> None:
    name, folder = made
    tokenizer, model, info = load(folder, CASES[name][2])
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.pad_token_id == tokenizer.pad_token_id is not None
    assert sum(weights.numel() for weights in model.parameters()) < 150_000
    assert {file.suffix for file in folder.iterdir()} <= {".json", ".safetensors"}


def test_the_loaded_tokenizer_splits_as_the_one_that_was_made(made: tuple[str, Path]) -> None:
    name, folder = made
    kind, arguments, _ = CASES[name]
    if kind == "qwen2":
        tokenizer = byte_tokenizer(arguments["texts"])
    else:
        tokenizer = word_tokenizer(kind, arguments["words"], tags=arguments.get("tags", ()))  # type: ignore[arg-type]
    loaded = transformers.AutoTokenizer.from_pretrained(folder)
    for texts in ((PROMPT,), ("query: cat", "document: dog"), ("true",), (TEXTS[1],), ("",)):
        assert dict(loaded(*texts)) == dict(tokenizer(*texts))
    assert loaded.special_tokens_map == tokenizer.special_tokens_map
    assert loaded.model_max_length == tokenizer.model_max_length == 512


def test_the_same_arguments_give_the_same_bytes(made: tuple[str, Path], tmp_path: Path) -> None:
    name, folder = made
    kind, arguments, _ = CASES[name]
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    again = make_tiny(tmp_path / "again", kind, **arguments)  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert contents(again) == contents(folder)
    other = contents(make_tiny(tmp_path / "other", kind, seed=1, **arguments))  # type: ignore[arg-type]
    assert {file for file in other if other[file] != contents(folder)[file]} == {"model.safetensors"}


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    here = contents(make_tiny(tmp_path / "here", "qwen2", texts=TEXTS))
    script = (
        f"import sys; from ir_shared.tiny_models import make_tiny; make_tiny(sys.argv[1], 'qwen2', texts={TEXTS!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there")], capture_output=True, text=True, check=True
    )
    assert contents(tmp_path / "there") == here
    assert done.stdout + done.stderr == ""


def test_outputs_differ_between_inputs_and_do_not_depend_on_the_batch(made: tuple[str, Path]) -> None:
    name, folder = made
    kind, _, auto = CASES[name]
    tokenizer, model, _ = load(folder, auto)
    model.eval()

    def outputs(texts: list[str]) -> Any:
        inputs = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right")
        if kind == "t5":
            inputs["decoder_input_ids"] = torch.zeros((len(texts), 1), dtype=torch.long)
        with torch.no_grad():
            found = model(**inputs)
        if "logits" not in found:
            return found.last_hidden_state[:, 0]
        if found.logits.ndim == 2:
            return found.logits
        last = inputs["attention_mask"].sum(1) - 1 if kind != "t5" else torch.zeros(len(texts), dtype=torch.long)
        return found.logits[torch.arange(len(texts)), last]

    texts = ["query: cat document: dog", "query: dog", "query: cat document: cat true cat"]
    together = outputs(texts)
    assert torch.allclose(together, torch.cat([outputs([text]) for text in texts]), atol=1e-5)
    assert (together[0] - together[1]).abs().max() > 0.05
    assert (together[0] - together[2]).abs().max() > 0.05


def test_matrices_have_the_wanted_spread_and_norms_are_one(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "llama", "llama", words=WORDS, std=0.1, hidden_size=64)
    weights = dict(transformers.AutoModelForCausalLM.from_pretrained(folder).named_parameters())
    drawn = torch.cat([matrix.flatten() for matrix in weights.values() if matrix.ndim >= 2])
    assert abs(drawn.std().item() - 0.1) < 0.002
    assert abs(drawn.mean().item()) < 0.002
    assert all(torch.equal(vector, torch.ones_like(vector)) for vector in weights.values() if vector.ndim == 1)


def test_the_answer_words_are_single_distinct_known_tokens() -> None:
    for kind in ("t5", "bert", "llama"):
        tokenizer = word_tokenizer(kind, WORDS)  # type: ignore[arg-type]
        ids = [tokenizer.encode(text, add_special_tokens=False) for text in ("true", " true", "false", " false")]
        assert ids[0] == ids[1] != ids[2] == ids[3]
        assert all(len(found) == 1 and found[0] != tokenizer.unk_token_id for found in ids)


@pytest.mark.parametrize(
    ("kind", "single", "pair"),
    [
        ("t5", ["▁cat", "</s>"], ["▁cat", "</s>", "▁dog", "</s>"]),
        ("bert", ["[CLS]", "▁cat", "[SEP]"], ["[CLS]", "▁cat", "[SEP]", "▁dog", "[SEP]"]),
        ("llama", ["<s>", "▁cat"], ["<s>", "▁cat", "<s>", "▁dog"]),
    ],
)
def test_templates_are_those_of_the_family(kind: Any, single: list[str], pair: list[str]) -> None:
    tokenizer = word_tokenizer(kind, WORDS)
    assert tokenizer.convert_ids_to_tokens(tokenizer("cat").input_ids) == single
    assert tokenizer.convert_ids_to_tokens(tokenizer("cat", "dog").input_ids) == pair


def test_bert_tells_its_two_texts_apart() -> None:
    assert word_tokenizer("bert", WORDS)("cat", "dog").token_type_ids == [0, 0, 0, 1, 1]


def test_newlines_separate_words_and_tags_stay_whole() -> None:
    tokenizer = word_tokenizer("llama", WORDS, tags=TAGS)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("Query:\ncat\n<think>dog</think> true", "").input_ids)
    assert tokens[:7] == ["<s>", "▁Query:", "▁cat", "<think>", "▁dog", "</think>", "▁true"]
    assert tokenizer.decode(tokenizer("Query:  cat\ndog").input_ids, skip_special_tokens=True) == "Query: cat dog"
    assert tokenizer("zebra").input_ids == [tokenizer.bos_token_id, tokenizer.unk_token_id]


def test_the_byte_tokenizer_is_lossless_and_splits_like_qwen2() -> None:
    tokenizer = byte_tokenizer(TEXTS)
    for text in (*TEXTS, "naïve \U0001f600\t\n  Zürich 2024", ""):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"
    assert len(tokenizer("<|im_start|>alba<|im_end|>").input_ids) == 2 + len(tokenizer("alba").input_ids)
    assert len(tokenizer(" teacher").input_ids) == 1
    # Qwen2 splits every digit, and a tag merges with the newline behind it.
    digits = byte_tokenizer(["2024 2024 2024 </think>\n </think>\n"])
    assert len(digits("2024").input_ids) == 4
    assert digits.convert_ids_to_tokens(digits("</think>\n").input_ids)[-1].endswith("Ċ")


def test_the_byte_vocabulary_is_bounded_and_stops_where_nothing_is_left_to_merge() -> None:
    assert len(byte_tokenizer(TEXTS, max_vocabulary=260)) == 260 + 3
    assert len(byte_tokenizer(TEXTS)) == len(byte_tokenizer(TEXTS, max_vocabulary=5000)) < 1024
    assert byte_tokenizer(TEXTS, tags=["<think>"])("<think>").input_ids == [len(byte_tokenizer(TEXTS))]


def test_words_of_texts_in_order_of_occurrence(tmp_path: Path) -> None:
    assert words_of(["b a\nb", "c a"]) == ["b", "a", "c"]
    from_texts = contents(make_tiny(tmp_path / "texts", "t5", texts=["b a\nb", "c a"]))
    assert from_texts == contents(make_tiny(tmp_path / "words", "t5", words=["b", "a", "c"]))


def test_settings_reach_the_configuration(tmp_path: Path) -> None:
    folder = make_tiny(tmp_path / "model", "qwen2", texts=TEXTS, hidden_size=64, tie_word_embeddings=True)
    config = transformers.AutoConfig.from_pretrained(folder)
    assert (config.hidden_size, config.tie_word_embeddings, config.num_hidden_layers) == (64, True, 2)
    short = make_tiny(tmp_path / "short", "bert", words=WORDS, max_position_embeddings=32)
    assert transformers.AutoTokenizer.from_pretrained(short).model_max_length == 32


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("gpt", {"words": WORDS}, "kind 'gpt': not known"),
        ("t5", {}, "words or of texts"),
        ("t5", {"words": WORDS, "texts": TEXTS}, "words or of texts"),
        ("t5", {"words": WORDS, "num_labels": 1}, "no sequence classifier"),
        ("qwen2", {"words": WORDS}, "give texts"),
        ("qwen2", {"texts": []}, "give a text"),
        ("qwen2", {"texts": TEXTS, "max_vocabulary": 100}, "all 256 bytes"),
        ("llama", {"words": []}, "no words"),
        ("llama", {"words": ["two words"]}, "'two words'"),
        ("llama", {"words": ["▁true"]}, "'▁true'"),
        ("llama", {"words": WORDS, "hiden_size": 64}, "no setting hiden_size"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    kind: Any, arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        make_tiny(tmp_path / "model", kind, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    make_tiny(tmp_path / "model", "t5", words=WORDS)
    with pytest.raises(UserError, match="holds something already"):
        make_tiny(tmp_path / "model", "t5", words=WORDS)


def test_importing_tiny_models_loads_nothing_heavy() -> None:
    code = "import sys, ir_shared.tiny_models; print({'torch', 'jax', 'matplotlib', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
