"""What this process uses of the machine, as the system tells it."""

from typing import Final

from prometheus_client.process_collector import ProcessCollector

from . import catalog
from .catalog import Metric

_METRICS: Final = {
    sample: metric
    for metric in (catalog.CPU, catalog.MEMORY, catalog.FILES, catalog.MOST_FILES, catalog.STARTED)
    for sample in metric.samples
}


class ProcessFigures:
    """Looks at this process through the collector of Prometheus' library. Where there is no /proc, there is nothing."""

    def __init__(self) -> None:
        self._collector = ProcessCollector(registry=None)

    def look(self) -> list[tuple[Metric, float]]:
        """Each metric with its value. It reads a directory entry for each open file, so not for the event loop."""
        return [
            (_METRICS[sample.name], float(sample.value))
            for family in self._collector.collect()
            for sample in family.samples
            if sample.name in _METRICS
        ]
