"""Ways to tune, trained on the same rows and measured side by side."""

from pipelines.comparing.compare import Comparison, compare, install

__all__ = ["Comparison", "compare", "install"]
