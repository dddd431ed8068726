from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from ir_shared.console import UserError
from ir_shared.tiny_models import make_tiny
from rerank_judge.scorers import Pair, load_scorer
from rerank_judge.scorers.checkpoints import Checkpoint, load_checkpoint
from rerank_judge.scorers.monot5 import MonoT5Scorer
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["true", "false", "yes", "no", "Query:", "Document:", "Relevant:", *(f"w{i}" for i in range(40))]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(tmp_path_factory.mktemp("monot5") / "tiny-t5", "t5", words=WORDS)


@pytest.fixture
def checkpoint(folder: Path) -> Checkpoint:
    return load_checkpoint(str(folder), "monot5", device="cpu", dtype="auto")


@pytest.fixture(scope="module")
def full(folder: Path) -> Any:
    """The model as transformers loads it, with its whole head."""
    return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


def some_pairs(n: int = 24, longest: int = 30, seed: int = 0) -> list[Pair]:
    draw = random.Random(seed)
    words = [f"w{i}" for i in range(40)]
    return [
        Pair(f"q{i % 3}", f"d{i}", f"w{i % 3} w7", " ".join(draw.choices(words, k=draw.randint(1, longest))))
        for i in range(n)
    ]


def reference(model: Any, tokenizer: Any, ids: list[int], answers: tuple[str, str] = ("true", "false")) -> float:
    """z_true - z_false of one sequence alone, from all logits."""
    rows = [tokenizer.convert_tokens_to_ids(f"▁{word}") for word in answers]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[0]])).logits[0, 0].double()
    return float(logits[rows[0]] - logits[rows[1]])


def scores(scorer: MonoT5Scorer, pairs: list[Pair]) -> list[float]:
    return [pair.score for pair in scorer.score(pairs)]


def test_score_is_the_log_odds_of_the_whole_prompt_alone(checkpoint: Checkpoint, full: Any, tokenizer: Any) -> None:
    pairs = some_pairs()
    prompts = [f"Query: {pair.query} Document: {pair.text} Relevant:" for pair in pairs]
    expected = [reference(full, tokenizer, tokenizer(prompt).input_ids) for prompt in prompts]
    assert scores(MonoT5Scorer(checkpoint), pairs) == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected) > 0.5


@pytest.mark.parametrize("batch_tokens", [1, 40, 100, 100_000])
def test_score_is_the_same_in_any_batch_and_order(folder: Path, batch_tokens: int) -> None:
    pairs = some_pairs()
    alone = load_scorer(f"monot5:{folder}", device="cpu", batch_tokens=1)
    expected = {pair.docid: next(iter(alone.score([pair]))).score for pair in pairs}
    shuffled = random.Random(1).sample(pairs, len(pairs))
    scorer = load_scorer(f"monot5:{folder}", device="cpu", batch_tokens=batch_tokens)
    for given in (pairs, shuffled, shuffled[:7]):
        found = list(scorer.score(given))
        assert [pair.docid for pair in found] == [pair.docid for pair in given]
        assert [pair.score for pair in found] == pytest.approx([expected[pair.docid] for pair in given], abs=1e-5)


def test_padding_before_the_cue_would_make_scores_depend_on_neighbours(
    checkpoint: Checkpoint, full: Any, tokenizer: Any
) -> None:
    # The control: what the published code does moves scores by far more than the tolerance above.
    pairs = some_pairs()
    ours = scores(MonoT5Scorer(checkpoint), pairs)
    encoded = tokenizer([f"Query: {pair.query} Document: {pair.text}" for pair in pairs], padding=True)
    cue = tokenizer("Relevant:").input_ids
    padded_first = [reference(full, tokenizer, ids + cue) for ids in encoded.input_ids]
    assert max(abs(a - b) for a, b in zip(ours, padded_first, strict=True)) > 0.01


def test_an_over_long_document_still_ends_with_the_cue_and_end(checkpoint: Checkpoint, tokenizer: Any) -> None:
    scorer = MonoT5Scorer(checkpoint, max_length=20)
    long = Pair("q", "d", "w1 w2", " ".join(["w3"] * 100))
    (example,) = scorer.encode([long])
    assert len(example.ids) == 20
    assert tokenizer.convert_ids_to_tokens(example.ids)[-3:] == ["▁w3", "▁Relevant:", "</s>"]
    assert tokenizer.convert_ids_to_tokens(example.ids)[:4] == ["▁Query:", "▁w1", "▁w2", "▁Document:"]
    assert next(iter(scorer.score([long]))).status == "ok"


def test_cutting_the_whole_string_would_lose_the_cue(checkpoint: Checkpoint, full: Any, tokenizer: Any) -> None:
    long = Pair("q", "d", "w1 w2", " ".join(["w3"] * 100))
    cut = tokenizer(f"Query: w1 w2 Document: {long.text} Relevant:", truncation=True, max_length=20).input_ids
    (ours,) = scores(MonoT5Scorer(checkpoint, max_length=20), [long])
    assert abs(ours - reference(full, tokenizer, cut)) > 0.01


def test_the_prompt_of_t5s_own_vocabulary_keeps_a_cue_of_several_pieces(checkpoint: Checkpoint) -> None:
    # T5 splits the cue into ▁Relevan t : and so must keep three pieces and the end.
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁true", -1.0), ("▁false", -1.0), ("▁", -2.0)]
    letters = [(letter, -5.0) for letter in "QueryDocmnt:w123Rlva"]
    backend = Tokenizer(models.Unigram([*pieces, ("▁Relevan", -1.0), ("t", -4.0), *dict(letters).items()], unk_id=2))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    make: Any = transformers.PreTrainedTokenizerFast
    split = make(tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    model = transformers.T5ForConditionalGeneration(checkpoint.model.config).eval()
    scorer = MonoT5Scorer(Checkpoint("x", "x", model, split, "cpu", "float32"), max_length=40)
    (example,) = scorer.encode([Pair("q", "d", "w1", "w2 " * 50)])
    assert len(example.ids) == 40
    assert split.convert_ids_to_tokens(example.ids)[-4:] == ["▁Relevan", "t", ":", "</s>"]


def test_an_empty_document_is_scored(checkpoint: Checkpoint, full: Any, tokenizer: Any) -> None:
    (found,) = MonoT5Scorer(checkpoint).score([Pair("q", "d", "w1", "")])
    assert found.status == "ok"
    expected = reference(full, tokenizer, tokenizer("Query: w1 Document: Relevant:").input_ids)
    assert found.score == pytest.approx(expected, abs=1e-5)


def test_a_query_beyond_the_budget_is_cut_with_a_status(checkpoint: Checkpoint) -> None:
    pairs = [Pair("q", "d", " ".join(["w1"] * 50), "w2"), Pair("q", "e", "w1", "w2 " * 50), Pair("q", "f", "w1", "w2")]
    scorer = MonoT5Scorer(checkpoint, max_length=16)
    found = list(scorer.score(pairs))
    assert [pair.status for pair in found] == ["query_truncated", "ok", "ok"]
    assert all(math.isfinite(pair.score) for pair in found)
    assert len(scorer.encode(pairs[:1])[0].ids) == 16


def test_control_characters_and_titles_become_part_of_one_line(checkpoint: Checkpoint) -> None:
    scorer = MonoT5Scorer(checkpoint)
    messy = Pair("q", "d", "w1\x00w2", "w4\n\tw5\x85", title="w3")
    assert scores(scorer, [messy]) == scores(scorer, [Pair("q", "d", "w1 w2", "w3 w4 w5")])


def test_a_megabyte_passage_scores_as_its_beginning(checkpoint: Checkpoint) -> None:
    scorer = MonoT5Scorer(checkpoint, max_length=64)
    huge = "w1 w2 w3 w4 " * 90_000
    (found,) = scorer.score([Pair("q", "d", "w5", huge)])
    assert found.status == "ok"
    assert found.score == scores(scorer, [Pair("q", "d", "w5", huge[:2000])])[0]


def test_probability_is_the_softmax_of_the_two_logits(checkpoint: Checkpoint, full: Any, tokenizer: Any) -> None:
    (pair,) = some_pairs(1)
    ids = tokenizer(f"Query: {pair.query} Document: {pair.text} Relevant:").input_ids
    with torch.no_grad():
        logits = full(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[0]])).logits[0, 0]
    rows = tokenizer.convert_tokens_to_ids(["▁true", "▁false"])
    expected = torch.softmax(logits[rows], dim=0)[0].item()
    (score,) = scores(MonoT5Scorer(checkpoint), [pair])
    assert 1 / (1 + math.exp(-score)) == pytest.approx(expected, abs=1e-6)


def test_each_score_goes_to_the_pair_at_its_position_even_if_ids_repeat(checkpoint: Checkpoint) -> None:
    texts = ["w1", "w2 w3 w4", "w5 w6"]
    scorer = MonoT5Scorer(checkpoint)
    together = scores(scorer, [Pair("q", "same", "w7", text) for text in texts])
    assert together == pytest.approx([scores(scorer, [Pair("q", "d", "w7", text)])[0] for text in texts], abs=1e-5)


def test_other_answer_words_are_read_from_the_spec(folder: Path, full: Any, tokenizer: Any) -> None:
    scorer = load_scorer(f"monot5:{folder}?true=yes&false=▁no", device="cpu")
    assert scorer.card.token_ids == {word: tokenizer.convert_tokens_to_ids(f"▁{word}") for word in ("yes", "no")}
    (pair,) = some_pairs(1)
    ids = tokenizer(f"Query: {pair.query} Document: {pair.text} Relevant:").input_ids
    assert next(iter(scorer.score([pair]))).score == pytest.approx(
        reference(full, tokenizer, ids, ("yes", "no")), abs=1e-5
    )


class Tight(transformers.T5ForConditionalGeneration):
    """A model whose memory holds few tokens."""

    room = 60
    sizes: list[int]

    def forward(self, input_ids: Any = None, **inputs: Any) -> Any:
        self.sizes.append(input_ids.numel())
        if input_ids.numel() > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(input_ids=input_ids, **inputs)


@pytest.fixture
def tight(checkpoint: Checkpoint, folder: Path) -> Checkpoint:
    checkpoint.model = Tight.from_pretrained(folder).eval()
    checkpoint.model.sizes = []
    return checkpoint


def test_when_memory_runs_out_the_budget_is_halved_for_good(tight: Checkpoint, folder: Path) -> None:
    pairs = some_pairs()
    expected = scores(load_scorer(f"monot5:{folder}", device="cpu"), pairs)
    scorer = MonoT5Scorer(tight, batch_tokens=400)
    assert scores(scorer, pairs) == pytest.approx(expected, abs=1e-5)
    failures = [size for size in tight.model.sizes if size > Tight.room]
    assert 1 <= len(failures) <= 3
    tight.model.sizes.clear()
    scores(scorer, pairs)
    assert max(tight.model.sizes) <= Tight.room


def test_one_pair_that_does_not_fit_is_an_error_unless_the_cpu_may_take_over(tight: Checkpoint) -> None:
    tight.model.room = 10
    with pytest.raises(UserError, match=r"does not hold one sequence of \d+ tokens; use a smaller max_length"):
        scores(MonoT5Scorer(tight), some_pairs(3))


def test_the_cpu_takes_over_where_that_is_asked_for(tight: Checkpoint, folder: Path) -> None:
    pairs = some_pairs(3)
    expected = scores(load_scorer(f"monot5:{folder}", device="cpu"), pairs)
    tight.model.room = 10
    moved = []

    def to_cpu() -> None:
        moved.append(True)
        tight.model.room = 10_000

    tight.to_cpu = to_cpu  # type: ignore[method-assign]
    assert scores(MonoT5Scorer(tight, cpu_fallback=True), pairs) == pytest.approx(expected, abs=1e-5)
    assert moved == [True]


def test_a_model_that_computes_nan_gives_failed_and_no_score(checkpoint: Checkpoint) -> None:
    scorer = MonoT5Scorer(checkpoint)
    with torch.no_grad():
        checkpoint.model.lm_head.weight.fill_(math.nan)
    (found,) = scorer.score(some_pairs(1))
    assert found.status == "failed"
    assert math.isnan(found.score)


def test_half_precision_is_close_and_says_so_in_its_card(folder: Path) -> None:
    pairs = some_pairs()
    single = load_scorer(f"monot5:{folder}", device="cpu")
    half = load_scorer(f"monot5:{folder}", device="cpu", dtype="bfloat16")
    assert (single.card.dtype, half.card.dtype) == ("float32", "bfloat16")
    assert single.card.fingerprint != half.card.fingerprint
    assert [p.score for p in half.score(pairs)] == pytest.approx([p.score for p in single.score(pairs)], abs=0.1)


def test_wrong_checkpoints_name_the_remedy(folder: Path, tmp_path: Path) -> None:
    llama = make_tiny(tmp_path / "llama", "llama", words=WORDS)
    classifier = make_tiny(tmp_path / "classifier", "bert", words=WORDS, num_labels=1)
    encoder = make_tiny(tmp_path / "encoder", "bert", words=WORDS)
    for path, message in (
        (llama, "is LlamaForCausalLM, not an encoder-decoder model such as T5; use rank1: for it"),
        (classifier, "is BertForSequenceClassification, .*; use seqcls: for it"),
        (encoder, "is BertModel, not an encoder-decoder model such as T5; give a checkpoint"),
    ):
        with pytest.raises(UserError, match=message):
            load_scorer(f"monot5:{path}", device="cpu")
    with pytest.raises(UserError, match="max_length 9: too short"):
        load_scorer(f"monot5:{folder}", device="cpu", max_length=9)


def test_a_checkpoint_that_lacks_weights_is_not_filled_with_random_ones(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(broken)
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.block.0.layer.1.DenseReluDense.wi.weight")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    (broken / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(UserError, match=r"holds no trained weights for encoder\.block\.0\.layer\.1"):
        load_scorer(f"monot5:{broken}", device="cpu")


@pytest.mark.gpu
def test_a_gpu_gives_the_scores_of_the_cpu(folder: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pairs = some_pairs()
    found = [[p.score for p in load_scorer(f"monot5:{folder}", device=d).score(pairs)] for d in ("cpu", "cuda")]
    assert found[1] == pytest.approx(found[0], abs=1e-4)
