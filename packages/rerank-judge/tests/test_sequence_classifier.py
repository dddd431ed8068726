from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from ir_shared.console import UserError
from ir_shared.tiny_models import make_tiny
from rerank_judge.scorers import Pair, PairScorer, load_scorer
from rerank_judge.scorers.sequence_classifier import rankllama_input

WORDS = ["query:", "document:", *(f"w{i}" for i in range(40))]
SHAPE = {"words": WORDS, "num_labels": 1}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def llama(root: Path) -> Path:
    return make_tiny(root / "tiny-rankllama", "llama", **SHAPE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def bert(root: Path) -> Path:
    return make_tiny(root / "tiny-bert", "bert", **SHAPE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def adapter(root: Path) -> Path:
    """LoRA weights and a score head over a language model that has none, as RankLLaMA is published."""
    base = make_tiny(root / "base-llama", "llama", words=WORDS, seed=5)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"])
    tuned = peft.get_peft_model(model, config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weights in tuned.named_parameters():
            if "lora_" in name or "score" in name:
                weights.normal_(0.0, 0.3, generator=generator)
    tuned.save_pretrained(root / "rankllama-lora")
    return root / "rankllama-lora"


def some_pairs(n: int = 20, seed: int = 0) -> list[Pair]:
    draw = random.Random(seed)
    words = [f"w{i}" for i in range(40)]
    return [Pair("q", f"d{i}", "w1 w2", " ".join(draw.choices(words, k=draw.randint(1, 30)))) for i in range(n)]


def scores(scorer: PairScorer, pairs: list[Pair]) -> list[float]:
    return [pair.score for pair in scorer.score(pairs)]


def reference(folder: Path, texts: list[Any], side: str = "right", dtype: torch.dtype = torch.float32) -> list[float]:
    """Logits of one padded batch, as transformers computes them."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype).eval()
    with torch.no_grad():
        inputs = tokenizer(texts, padding=True, padding_side=side, return_tensors="pt")
        return [float(logit) for logit in model(**inputs).logits[:, 0].double()]


def test_the_rankllama_string_is_byte_exact() -> None:
    assert rankllama_input("what is x", "x is y") == "query:  what is x document:   x is y"
    assert rankllama_input("q", "text", "A well-known title") == "query:  q document:  A well known title text"
    assert rankllama_input("q", "") == "query:  q document:"
    assert rankllama_input("q", "").encode() == b"query:  q document:"


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_singles_and_left_and_right_padded_batches_agree(llama: Path, dtype: torch.dtype, tolerance: float) -> None:
    # In float64 only a mistake can differ; in float32 batches of other shapes add up in another order.
    pairs = some_pairs()
    strings = [rankllama_input(pair.query, pair.text) for pair in pairs]
    right, left = (reference(llama, strings, side, dtype) for side in ("right", "left"))
    alone = [reference(llama, [string], dtype=dtype)[0] for string in strings]
    judge: Any = load_scorer(f"seqcls:{llama}", device="cpu")
    single: Any = load_scorer(f"seqcls:{llama}", device="cpu", batch_tokens=1)
    for scorer in (judge, single):
        scorer.checkpoint.model.to(dtype)
    ours = scores(judge, pairs)
    assert np.ptp(ours) > 0.5
    for other in (right, left, alone, scores(single, pairs)):
        assert np.abs(np.subtract(ours, other)).max() <= tolerance


def test_rankllama_is_the_default_template_of_its_name_and_the_length_its_own(llama: Path, bert: Path) -> None:
    judge, other = load_scorer(f"seqcls:{llama}", device="cpu"), load_scorer(f"seqcls:{bert}", device="cpu")
    assert (judge.card.family, judge.card.max_length, judge.scale) == ("RankLLaMA", 196, "logit")
    assert (other.card.family, other.card.max_length) == ("cross-encoder", 512)
    assert judge.card.prompt_hash != other.card.prompt_hash
    plain = load_scorer(f"seqcls:{llama}?template=pair", device="cpu")
    assert scores(plain, some_pairs(2)) != scores(judge, some_pairs(2))


def test_a_long_string_is_cut_on_the_right_without_an_end_token(llama: Path) -> None:
    scorer: Any = load_scorer(f"seqcls:{llama}", device="cpu", max_length=24)
    (example,) = scorer.encode([Pair("q", "d", "w1", "w2 " * 1000)])
    tokens = scorer.checkpoint.tokenizer.convert_ids_to_tokens(example.ids)
    assert tokens == ["<s>", "▁query:", "▁w1", "▁document:", *["▁w2"] * 20]
    long_query, long_text = scorer.score([Pair("q", "a", "w1 " * 40, "w2"), Pair("q", "b", "w1", "w2 " * 40)])
    assert (long_query.status, long_text.status) == ("query_truncated", "ok")


def test_a_missing_padding_token_changes_no_score(llama: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare-rankllama"
    tokenizer = transformers.AutoTokenizer.from_pretrained(llama)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(llama)
    tokenizer.pad_token = None
    model.config.pad_token_id = None
    tokenizer.save_pretrained(bare)
    model.save_pretrained(bare)
    without, with_pad = load_scorer(f"seqcls:{bare}", device="cpu"), load_scorer(f"seqcls:{llama}", device="cpu")
    assert transformers.AutoTokenizer.from_pretrained(bare).pad_token_id is None
    # A text that ends in the unknown token, whose id is that of the pads, is still scored at its end.
    pairs = [*some_pairs(), Pair("q", "x", "w1", "w2 unknown"), Pair("q", "y", "w1", "w2")]
    assert scores(without, pairs) == scores(with_pad, pairs)
    assert abs(scores(without, pairs)[-1] - scores(without, pairs)[-2]) > 1e-3


def test_an_encoder_reads_a_pair_of_texts(bert: Path) -> None:
    pairs = some_pairs()
    expected = reference(bert, [(pair.query, pair.text) for pair in pairs])
    for tokens in (1, 64, 4096):
        found = scores(load_scorer(f"seqcls:{bert}", device="cpu", batch_tokens=tokens), pairs)
        assert np.abs(np.subtract(found, expected)).max() <= 1e-5


def test_of_a_long_pair_the_document_is_cut_and_the_query_only_if_it_fills_all(bert: Path) -> None:
    scorer: Any = load_scorer(f"seqcls:{bert}", device="cpu", max_length=20)
    pairs = [Pair("q", "a", "w1 w2", "w3 " * 90_000), Pair("q", "b", "w1 " * 40, "w3 w4"), Pair("q", "c", "w1", "")]
    examples = scorer.encode(pairs)
    tokens = [scorer.checkpoint.tokenizer.convert_ids_to_tokens(example.ids) for example in examples]
    assert tokens[0] == ["[CLS]", "▁w1", "▁w2", "[SEP]", *["▁w3"] * 15, "[SEP]"]
    assert tokens[1] == ["[CLS]", *["▁w1"] * 13, "[SEP]", "▁w3", "▁w4", "[SEP]"]
    assert tokens[2] == ["[CLS]", "▁w1", "[SEP]", "[SEP]"]
    assert [pair.status for pair in scorer.score(pairs)] == ["ok", "query_truncated", "ok"]


def test_an_adapter_scores_as_the_merged_model(adapter: Path, tmp_path: Path) -> None:
    pairs = some_pairs()
    ours = scores(load_scorer(f"seqcls:{adapter}", device="cpu"), pairs)
    direct = transformers.AutoModelForSequenceClassification.from_pretrained(adapter, num_labels=1)
    config = peft.PeftConfig.from_pretrained(adapter)
    base = transformers.AutoModelForSequenceClassification.from_pretrained(config.base_model_name_or_path, num_labels=1)
    merged = peft.PeftModel.from_pretrained(base, adapter).merge_and_unload()
    tokenizer = transformers.AutoTokenizer.from_pretrained(config.base_model_name_or_path)
    merged.config.pad_token_id = direct.config.pad_token_id = tokenizer.pad_token_id
    inputs = tokenizer([rankllama_input(p.query, p.text) for p in pairs], padding=True, return_tensors="pt")
    for model in (direct, merged):
        with torch.no_grad():
            logits = model.eval()(**inputs).logits[:, 0].double().numpy()
        assert np.abs(logits - ours).max() <= 1e-5
    merged.save_pretrained(tmp_path / "merged-rankllama")
    tokenizer.save_pretrained(tmp_path / "merged-rankllama")
    again = scores(load_scorer(f"seqcls:{tmp_path / 'merged-rankllama'}", device="cpu"), pairs)
    assert np.abs(np.subtract(again, ours)).max() <= 1e-5
    assert np.ptp(ours) > 0.5


def test_an_adapter_without_its_base_says_how_to_name_it(adapter: Path, tmp_path: Path) -> None:
    lost = tmp_path / "rankllama-lost"
    shutil.copytree(adapter, lost)
    config = lost / "adapter_config.json"
    base = peft.PeftConfig.from_pretrained(adapter).base_model_name_or_path
    config.write_text(config.read_text().replace(base, "some-org/llama-2-7b"))
    with pytest.raises(UserError, match=r"its base model is not there; name it with \?base=FOLDER"):
        load_scorer(f"seqcls:{lost}", device="cpu")
    found = load_scorer(f"seqcls:{lost}?base={base}", device="cpu")
    pairs = some_pairs(3)
    assert scores(found, pairs) == scores(load_scorer(f"seqcls:{adapter}", device="cpu"), pairs)


def test_an_adapter_without_a_trained_head_is_refused(adapter: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    headless = tmp_path / "headless"
    shutil.copytree(adapter, headless)
    weights = load_file(headless / "adapter_model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "score" not in name}
    assert len(kept) < len(weights)
    save_file(kept, headless / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="neither the adapter nor its base base-llama holds a trained scoring head"):
        load_scorer(f"seqcls:{headless}", device="cpu")


def test_wrong_checkpoints_name_the_remedy(root: Path, bert: Path, tmp_path: Path) -> None:
    two = make_tiny(tmp_path / "two", "bert", words=WORDS, num_labels=2)
    language_model = make_tiny(tmp_path / "lm", "llama", words=WORDS)
    t5 = make_tiny(tmp_path / "t5", "t5", words=WORDS)
    for path, message in (
        (two, "two: has 2 outputs; seqcls needs a checkpoint trained with one"),
        (language_model, "is LlamaForCausalLM, not a sequence classifier with one output; use rank1: for it"),
        (t5, "is T5ForConditionalGeneration, .*; use monot5: for it"),
    ):
        with pytest.raises(UserError, match=message):
            load_scorer(f"seqcls:{path}", device="cpu")
    with pytest.raises(UserError, match="max_length 4096: the model has only 512 positions"):
        load_scorer(f"seqcls:{bert}", device="cpu", max_length=4096)
    with pytest.raises(UserError, match="is no adapter"):
        load_scorer(f"seqcls:{bert}?base={t5}", device="cpu")


def test_an_encoder_without_a_padding_token_is_refused(bert: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(bert, bare)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(bare)
    with pytest.raises(UserError, match="has no padding token; set pad_token and save it again"):
        load_scorer(f"seqcls:{bare}", device="cpu")
