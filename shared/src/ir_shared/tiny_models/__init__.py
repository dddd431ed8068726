"""Tiny transformers that tests and quick claims train from scratch, saved as ordinary Hugging Face folders.

``make_tiny`` makes the model and its tokenizer; ``word_tokenizer`` and ``byte_tokenizer`` make a tokenizer alone.
Needs ``ir-shared[tiny]``.
"""

from ir_shared.tiny_models.models import make_tiny
from ir_shared.tiny_models.tokenizers import Kind, byte_tokenizer, word_tokenizer, words_of

__all__ = ["Kind", "byte_tokenizer", "make_tiny", "word_tokenizer", "words_of"]
