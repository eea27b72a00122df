"""The manual has the commands and the configuration that the trials of this folder use."""

from pathlib import Path
from typing import Final

from tests.faults.group_replication.cluster import FORCE
from tests.faults.group_replication.router import CONFIGURATION

MANUAL: Final = Path(__file__).parents[3] / "docs" / "operations.md"
ADDRESSES: Final = ("10.0.0.11:3306", "10.0.0.12:3306", "10.0.0.13:3306")


def test_the_manual_forces_a_membership_and_routes_as_the_trials_do() -> None:
    manual = MANUAL.read_text()
    for addresses in (ADDRESSES[0], ""):
        assert f"{FORCE.format(addresses=addresses)};\n" in manual
    assert CONFIGURATION.format(port=6446, destinations=",".join(ADDRESSES)) in manual
