"""Click logs: Parquet, text and frames in; fixed-shape batches out."""

from __future__ import annotations

from clax.data.baidu import read_baidu_annotations, read_baidu_ultr, read_baidu_uva
from clax.data.columns import Columns, LongColumns
from clax.data.conversion import Converted, convert, read_frame
from clax.data.long import LongFile, LongFrame
from clax.data.memory import MemorySource
from clax.data.parquet import ParquetSource, SessionWriter
from clax.data.session_data import SessionData, Source
from clax.data.sessions import Sessions, pad_ragged
from clax.data.validation import Counts, Rules
from clax.data.vocabulary import HashedPairs, Vocabulary
from clax.data.yandex import YandexJudgements, YandexLog

__all__ = [
    "Columns",
    "Converted",
    "Counts",
    "HashedPairs",
    "LongColumns",
    "LongFile",
    "LongFrame",
    "MemorySource",
    "ParquetSource",
    "Rules",
    "SessionData",
    "SessionWriter",
    "Sessions",
    "Source",
    "Vocabulary",
    "YandexJudgements",
    "YandexLog",
    "convert",
    "pad_ragged",
    "read_baidu_annotations",
    "read_baidu_ultr",
    "read_baidu_uva",
    "read_frame",
]
