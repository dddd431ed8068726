"""Click models for people with a frame: three lines from a log to relevance.

model = ClickModel("dbn").fit(frame)
model.relevance()      # polars frame: query, document, relevance, impressions, clicks
model.evaluate(later)  # log-likelihood and perplexity on another frame
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ir_shared.console import UserError

from clax.config import FitConfig, Method, PriorSettings, TrainSettings
from clax.data.columns import LongColumns
from clax.data.conversion import read_frame
from clax.data.session_data import SessionData
from clax.data.vocabulary import Vocabulary
from clax.evaluation import Evaluation, evaluate
from clax.fitting import Fitted, fit
from clax.logs import Logs
from clax.prediction import relevance_of_pairs
from clax.standard_errors import Propensities, propensities

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ClickModel"]


@dataclass
class ClickModel:
    """A click model of tables that is fitted to a frame with one row per document shown.

    Attributes:
        name: gctr, rctr, dctr, drctr, cm, pbm, ubm, dcm, ccm, dbn or sdbn; several joined by ``+`` make a mixture.
        columns: names of the frame's columns; by default session, query, document, position and click.
        method: ``"gradient"`` with early stopping on the last tenth of the sessions, or ``"em"`` on all of them.
        epochs: at most so many epochs or iterations.
        lr: learning rate of AdamW.
        batch_size: sessions per step.
        pseudo_counts: imagined successes and failures behind every probability, which keep rare pairs moderate.
        min_count: pairs shown less often share one relevance.
        max_positions: ranks to keep; all by default.
        seed: of the initial weights and the order of the sessions.
    """

    name: str = "dbn"
    columns: LongColumns = field(default_factory=LongColumns)
    method: Method = "gradient"
    epochs: int = 50
    lr: float = 0.03
    batch_size: int = 512
    pseudo_counts: tuple[float, float] = (0.0, 0.0)
    min_count: int = 1
    max_positions: int | None = None
    seed: int = 0
    vocabulary: Vocabulary | None = field(default=None, init=False)
    fitted: Fitted | None = field(default=None, init=False)
    _logs: Logs | None = field(default=None, init=False)

    def fit(self, frame: Any) -> Self:
        """Fits the model.

        Args:
            frame: polars, pandas, an Arrow table, or a dictionary of columns.

        Raises:
            UserError: the frame cannot be used, or there is no such model.
        """
        data = self._read(frame, None)
        if self.method == "em" or data.num_sessions < 10:
            logs = Logs(replace(data, shuffle=self.seed), None)
        else:
            data = replace(data, fractions=(0.9, 0.1, 0.0))
            logs = Logs(replace(data.train, shuffle=self.seed), data.valid)
        config = FitConfig(
            self.name,
            self.method,
            self.seed,
            prior=PriorSettings(*self.pseudo_counts),
            train=TrainSettings(lr=self.lr, epochs=self.epochs),
        )
        self.fitted = fit(config, logs=logs)
        self.vocabulary, self._logs = data.vocabulary, logs
        return self

    def relevance(self) -> pl.DataFrame:
        """The relevance of every pair, best first within each query.

        Returns:
            Columns ``query``, ``document``, ``relevance`` (a log-probability), ``impressions``, ``clicks``.

        Raises:
            UserError: the model is not fitted.
        """
        fitted, vocabulary = self._known()
        frame = relevance_of_pairs(fitted.model, fitted.params, vocabulary.num_pairs, fitted.counts, vocabulary)
        named = frame.drop("id").drop_nulls("document")
        return named.sort("query", "relevance", "document", descending=[False, True, False])

    def evaluate(self, frame: Any) -> Evaluation:
        """Scores the model on other sessions; pairs not seen in training are counted as unseen.

        Args:
            frame: with the same columns.

        Raises:
            UserError: the model is not fitted, or the frame cannot be used.
        """
        fitted, vocabulary = self._known()
        seen = None if fitted.counts is None else fitted.counts.seen
        return evaluate(fitted.model, fitted.params, self._read(frame, vocabulary), seen=seen)

    def propensities(self) -> Propensities:
        """Examination by position relative to the first, with standard errors; for pbm and ubm.

        Raises:
            UserError: the model is not fitted, or is another.
        """
        fitted, _ = self._known()
        assert self._logs is not None
        return propensities(fitted.model, fitted.params, self._logs.train)

    def save(self, folder: str | Path) -> None:
        """Writes the model and its vocabulary; ``clax evaluate`` and ``clax predict`` read the folder.

        Raises:
            UserError: the model is not fitted.
        """
        from clax.fitting import save_fitted

        fitted, vocabulary = self._known()
        assert self._logs is not None
        save_fitted(folder, FitConfig(self.name, self.method, self.seed), fitted, self._logs.train)
        vocabulary.save(Path(folder) / "vocabulary.parquet")

    def _read(self, frame: Any, vocabulary: Vocabulary | None) -> SessionData:
        positions = self.max_positions
        if vocabulary is not None and self._logs is not None:
            positions = self._logs.train.max_positions
        return read_frame(
            frame,
            columns=self.columns,
            vocabulary=vocabulary,
            min_count=self.min_count,
            max_positions=positions,
            batch_size=self.batch_size,
        )

    def _known(self) -> tuple[Fitted, Vocabulary]:
        if self.fitted is None or self.vocabulary is None:
            raise UserError("the model is not fitted yet: call fit(frame) first")
        return self.fitted, self.vocabulary
