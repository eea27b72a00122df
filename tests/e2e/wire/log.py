"""The log of the service while strangers talk to it."""

import json
from pathlib import Path


def check(log: Path) -> None:
    """Assert that nothing broke, no advice to install anything was given, and every line is one of the log's own."""
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        said = json.loads(line)
        assert said["level"] not in {"error", "critical"}, said.get("exception", said)
        assert "Unsupported upgrade" not in line
