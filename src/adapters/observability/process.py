"""The resources that this process uses."""

from typing import Final

from prometheus_client.process_collector import ProcessCollector

from . import catalog
from .catalog import Metric

_METRICS: Final = {
    sample: metric
    for metric in (catalog.CPU, catalog.MEMORY, catalog.FILES, catalog.MOST_FILES, catalog.STARTED)
    for sample in metric.samples
}


class ProcessStatistics:
    """Read the process metrics with Prometheus' library. Without /proc there are none."""

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)

    def sample(self) -> list[tuple[Metric, float]]:
        """Return each metric with its value. Blocks: it reads a directory entry for each open file."""
        return [
            (_METRICS[sample.name], float(sample.value))
            for family in self._collector.collect()
            for sample in family.samples
            if sample.name in _METRICS
        ]
