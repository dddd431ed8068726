"""Tiny re-rankers of three families, trained from scratch in seconds, each a judge and a system at once.

A family shares an architecture, with its way of reading a pair, and the topics it was trained on, as published families
do; its members differ in width and in the seed of their weights. All are trained on the same kind of synthetic topics,
where a document is relevant if it holds at least two of the query's three words, and tested on topics of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ir_shared.claims import NeedsData
from ir_shared.trec import Run

from rerank_judge.calibration import select_threshold
from rerank_judge.collection import Collection
from rerank_judge.families import Families
from rerank_judge.labeling import LabelSet, align_scores, threshold
from rerank_judge.scorers import Pair, PairScorer, load_scorer, score_run
from rerank_judge.scorers.checkpoints import quiet_transformers
from rerank_judge.toy import ToyText, toy_text

__all__ = ["KINDS", "TinyWorld", "tiny_world"]

KINDS: dict[str, Literal["t5", "llama", "bert"]] = {"tiny-T5": "t5", "tiny-Llama": "llama", "tiny-BERT": "bert"}
"""Families, by the architecture that each stands for."""
_SPECS = {"tiny-T5": "monot5:{}", "tiny-Llama": "seqcls:{}?template=rankllama", "tiny-BERT": "seqcls:{}"}
_WIDTHS = (24, 32)
# Many documents seen once, so that a model learns words rather than documents.
_TRAINING = {"T": 40, "D": 200}
_CALIBRATION = {"T": 20, "D": 20}
_TEST = {"T": 40, "D": 40}
_BATCH, _RATE, _STD = 48, 3e-3, 0.1


@dataclass(frozen=True)
class TinyWorld:
    """Topics that no model was trained on, with every model as a system and as a judge.

    Attributes:
        collection: the topics' documents, all judged, with one run for each model. There is no BM25, which on these
            topics would be perfect, and which every judge that is not would push down in favour of all others.
        labels: the models' labels.
        families: which models belong together.
    """

    collection: Collection
    labels: tuple[LabelSet, ...]
    families: Families


@lru_cache(maxsize=8)
def tiny_world(seed: int) -> TinyWorld:
    """Trains six models and lets them rank and judge.

    Raises:
        NeedsData: the extra that brings torch is not installed.
    """
    if any(find_spec(name) is None for name in ("torch", "transformers", "tokenizers")):
        raise NeedsData("torch and transformers (install rerank-judge[claims])")
    test = toy_text(7_000 + seed, **_TEST)
    calibration = toy_text(8_000 + seed, **_CALIBRATION)
    runs: dict[str, Run] = {}
    scorers: dict[str, PairScorer] = {}
    members: dict[str, tuple[str, ...]] = {}
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        for f, family in enumerate(KINDS):
            train = toy_text(1_000 * (f + 1) + seed, **_TRAINING)
            members[family] = tuple(f"{family}-{width}" for width in _WIDTHS)
            for i, (name, width) in enumerate(zip(members[family], _WIDTHS, strict=True)):
                place = _train(Path(folder) / name, family, width, train, 100 * seed + 10 * f + i)
                scorers[name] = load_scorer(_SPECS[family].format(place), device="cpu")
                runs[name] = score_run(scorers[name].score(_pairs(test)))[0]
        collection = Collection.from_mappings(test.qrels, runs)
        labels = tuple(_labels(collection, runs[name], name, scorer, calibration) for name, scorer in scorers.items())
    return TinyWorld(collection, labels, Families(members))


def _pairs(text: ToyText) -> list[Pair]:
    return [
        Pair(qid, docid, text.topics[qid], text.documents[docid]) for qid, docs in text.qrels.items() for docid in docs
    ]


def _labels(collection: Collection, run: Run, name: str, scorer: PairScorer, calibration: ToyText) -> LabelSet:
    """The model's labels at the threshold that is best for kappa on other topics."""
    source = Collection.from_mappings(calibration.qrels)
    known = align_scores(source, score_run(scorer.score(_pairs(calibration)))[0], name, scale=scorer.scale)
    scores = align_scores(collection, run, name, scale=scorer.scale)
    return threshold(scores, select_threshold(source, known).threshold)


def _train(folder: Path, family: str, width: int, train: ToyText, seed: int) -> Path:
    """Trains one model to tell relevant pairs from others, by the log-loss, and saves it."""
    import torch
    from transformers import AutoTokenizer

    _make(folder, family, width, seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model = _load(folder, family)
    pairs = _pairs(train)
    target = torch.tensor([float(train.qrels[pair.qid][pair.docid] >= 2) for pair in pairs])
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE)
    model.train()
    torch.manual_seed(seed)  # of the dropout
    order = np.random.default_rng(seed).permutation(len(pairs))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH].tolist()
        logits = _forward(model, tokenizer, family, [pairs[i] for i in chosen])
        loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(logits, target[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval().save_pretrained(folder)
    return folder


def _make(folder: Path, family: str, width: int, seed: int) -> None:
    from ir_shared.tiny_models import make_tiny

    words = [f"w{i:03d}" for i in range(300)]
    words += ["true", "false", "Query:", "Document:", "Relevant:", "query:", "document:"]
    sizes: dict[str, Any] = {"hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": 1}
    labels: int | None = 1
    if family == "tiny-T5":
        sizes = {"d_model": width, "d_kv": 8, "d_ff": 2 * width, "num_layers": 1, "dropout_rate": 0.0}
        labels = None
    make_tiny(folder, KINDS[family], words=words, num_labels=labels, seed=seed, std=_STD, **sizes)


def _load(folder: Path, family: str) -> Any:
    from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

    kind: Any = AutoModelForSeq2SeqLM if family == "tiny-T5" else AutoModelForSequenceClassification
    return kind.from_pretrained(folder)


def _forward(model: Any, tokenizer: Any, family: str, pairs: Sequence[Pair]) -> Any:
    """Log-odds or logits of a batch, read as the judge of that kind reads them."""
    import torch

    from rerank_judge.scorers.sequence_classifier import rankllama_input

    if family == "tiny-BERT":
        batch = tokenizer([p.query for p in pairs], [p.text for p in pairs], padding=True, return_tensors="pt")
        return model(**batch).logits[:, 0]
    if family == "tiny-Llama":
        texts = [rankllama_input(pair.query, pair.text) for pair in pairs]
        return model(**tokenizer(texts, padding=True, return_tensors="pt"), use_cache=False).logits[:, 0]
    texts = [f"Query: {pair.query} Document: {pair.text} Relevant:" for pair in pairs]
    start = torch.full((len(pairs), 1), model.config.decoder_start_token_id)
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    logits = model(**batch, decoder_input_ids=start, use_cache=False).logits[:, 0]
    yes, no = tokenizer.convert_tokens_to_ids(["▁true", "▁false"])
    return logits[:, yes] - logits[:, no]
