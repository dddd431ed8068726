"""What is looked at once, while the first epoch passes: data that can be trained on but should be known about."""

from __future__ import annotations

import warnings

import numpy as np
from ir_shared.console import DataWarning, UserError

from clax.batch import Batch
from clax.models import CM, ClickModel, Mixture

__all__ = ["Screening"]


class Screening:
    """Counts clicks and sessions on the host, and warns at the end."""

    def __init__(self, model: ClickModel) -> None:
        self._model = model
        self._cascade = any(isinstance(m, CM) for m in (model.members if isinstance(model, Mixture) else (model,)))
        self._documents = self._clicks = self._sessions = self._multiple = 0

    def see(self, batch: Batch) -> None:
        """Counts one batch.

        Raises:
            UserError: aggregated cells are given to a model that needs whole sessions.
        """
        if batch.weights is not None and self._model.cell_key is None:
            raise UserError(f"{self._model.name} needs whole sessions, but the data holds aggregated cells")
        mask = np.asarray(batch.mask)
        clicks = (np.asarray(batch.clicks) & mask).sum(1)
        self._documents += int(mask.sum())
        self._sessions += int(mask.any(1).sum())
        self._clicks += int(clicks.sum())
        self._multiple += int((clicks > 1).sum())

    def report(self) -> None:
        """Warns about a log without clicks, and about sessions that a cascade model holds for impossible."""
        if self._documents and not self._clicks:
            warnings.warn(
                "the training data holds no click: all click probabilities go to 0", DataWarning, stacklevel=3
            )
        if self._cascade and self._multiple:
            share = 100 * self._multiple / self._sessions
            warnings.warn(
                f"{self._multiple} of {self._sessions} sessions ({share:.1f} %) have more than one click, which is "
                "impossible under the cascade model; see after_first_click",
                DataWarning,
                stacklevel=3,
            )
