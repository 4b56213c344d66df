"""How well a predicted volume agrees with its reference: overlap, false volume, distances of surfaces. Imports numpy and scipy only."""

from SuggestiveAnnotationLib.metrics.volume import TOLERANCES_MM, volume_metrics

__all__ = ["TOLERANCES_MM", "volume_metrics"]
