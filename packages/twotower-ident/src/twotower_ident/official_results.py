"""What the paper's own code found on MSLR-WEB30K: means over its three seeds, from its published result files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["OFFICIAL_RESULTS", "OfficialResult", "official_result"]


@dataclass(frozen=True)
class OfficialResult:
    """One setting; a figure that was not published is None.

    Attributes:
        experiment: as in :data:`twotower_ident.experiments.EXPERIMENTS`.
        strength: α.
        temperature: τ.
        ndcg: nDCG@10 without weights.
        curve: θ − θ_1 without weights at positions 2, 5, 10 and 25.
        curve_error: mean squared error of that curve.
        weighted_ndcg: nDCG@10 with placement weights.
        weighted_last: θ_25 − θ_1 with weights.
        weighted_error: mean squared error of that curve.
    """

    experiment: str
    strength: float
    temperature: float
    ndcg: float
    curve: tuple[float, float, float, float]
    curve_error: float
    weighted_ndcg: float | None = None
    weighted_last: float | None = None
    weighted_error: float | None = None


_THIRD, _TWO_THIRDS = 1 / 3, 2 / 3
_EXPERT, _LINEAR, _OMITTED = "3-expert-policy", "3-misfit-linear", "3-omitted-features"
_EMBEDDING = "2-model-fit-embedding"

OFFICIAL_RESULTS: Final = (
    OfficialResult(_EXPERT, 1, 0, 0.7106, (-0.900, -2.152, -3.178, -4.591), 0.979, 0.7113, -4.599, 0.987),
    OfficialResult(_EXPERT, 1, _THIRD, 0.7206, (-0.775, -1.870, -2.771, -3.949), 0.281, 0.7215, -3.007, 0.030),
    OfficialResult(_EXPERT, 1, _TWO_THIRDS, 0.7227, (-0.701, -1.685, -2.453, -3.455), 0.027, 0.7250, -3.007, 0.033),
    OfficialResult(_EXPERT, 1, 1, 0.7286, (-0.636, -1.466, -2.116, -3.017), 0.037, 0.7275, -2.988, 0.040),
    OfficialResult(_EXPERT, 0, _THIRD, 0.7266, (-0.638, -1.475, -2.125, -2.996), 0.035, 0.7194, -2.998, 0.040),
    OfficialResult(_EXPERT, -1, 0, 0.7097, (-0.654, -1.452, -1.994, -1.539), 0.509, 0.7096, -1.539, 0.509),
    OfficialResult(_EXPERT, -1, _THIRD, 0.7210, (-0.646, -1.474, -2.069, -2.015), 0.258, 0.7224, -2.912, 0.045),
    OfficialResult(_EXPERT, -1, _TWO_THIRDS, 0.7230, (-0.640, -1.485, -2.099, -2.454), 0.118, 0.7271, -2.975, 0.039),
    OfficialResult(_LINEAR, 1, 0, 0.8298, (-0.780, -1.904, -2.878, -5.133), 0.945, 0.8298, -5.133, 0.945),
    OfficialResult(_LINEAR, 1, _THIRD, 0.8494, (-0.670, -1.659, -2.485, -3.745), 0.113, 0.8493, -3.055, 0.026),
    OfficialResult(_LINEAR, -1, 0, 0.8253, (-0.492, -1.004, -1.331, -1.309), 1.560, 0.8253, -1.309, 1.561),
    OfficialResult(_LINEAR, -1, _THIRD, 0.8449, (-0.565, -1.270, -1.801, -2.197), 0.440, 0.8489, -2.984, 0.035),
    OfficialResult(_OMITTED, 1, 0, 0.8119, (-0.778, -1.896, -2.866, -5.033), 0.949, 0.8119, -5.033, 0.949),
    OfficialResult(_OMITTED, 1, _THIRD, 0.8438, (-0.703, -1.676, -2.505, -3.708), 0.123, 0.8431, -3.100, 0.016),
    OfficialResult(_OMITTED, -1, 0, 0.8183, (-0.499, -1.054, -1.413, -1.401), 1.440, 0.8182, -1.401, 1.440),
    OfficialResult(_OMITTED, -1, _THIRD, 0.8430, (-0.595, -1.325, -1.862, -2.256), 0.389, 0.8448, -3.010, 0.033),
    OfficialResult("2-model-fit-linear", 1, 0, 0.9985, (-0.653, -1.557, -2.279, -3.260), 0.0024),
    OfficialResult("2-model-fit-linear", -1, 0, 0.9975, (-0.729, -1.607, -2.227, -3.119), 0.0192),
    OfficialResult("2-model-fit-deep", 1, 0, 0.9837, (-0.687, -1.605, -2.298, -3.212), 0.0019),
    OfficialResult(_EMBEDDING, 1, 0, 0.8726, (-0.769, -1.721, -2.691, -3.735), 0.136),
    OfficialResult(_EMBEDDING, 1, _THIRD, 0.9237, (-0.686, -1.580, -2.335, -3.314), 0.0035),
    OfficialResult(_EMBEDDING, -1, 0, 0.6831, (-0.497, -0.957, -1.480, -0.924), 1.540),
    OfficialResult(_EMBEDDING, 0, 0, 0.9008, (-0.527, -1.059, -1.661, -2.258), 0.578),
    OfficialResult(_EMBEDDING, 1, 1, 0.9364, (-0.700, -1.614, -2.301, -3.215), 0.0003),
    OfficialResult(_EMBEDDING, 0, 1, 0.9364, (-0.700, -1.614, -2.301, -3.215), 0.0003),
    OfficialResult(_EMBEDDING, -1, 1, 0.9364, (-0.700, -1.614, -2.301, -3.215), 0.0003),
)


def official_result(experiment: str, strength: float, temperature: float) -> OfficialResult | None:
    """The official figures of a setting, or None where they are not established."""
    for result in OFFICIAL_RESULTS:
        same = result.experiment == experiment and result.strength == strength
        if same and abs(result.temperature - temperature) < 0.01:
            return result
    return None
