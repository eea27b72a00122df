"""A property-based test harness: random commands to a whole application, compared with a small model.

Needs the extra `boxoffice[harness]`. `docs/harness.md` shows how to run it on your adapter.
"""

from .machine.box_office import BoxOffice, HarnessClock
from .machine.in_process import InProcess
from .machine.lockstep import Lockstep
from .machine.state_machine import BoxOfficeMachine

__all__ = ["BoxOffice", "BoxOfficeMachine", "HarnessClock", "InProcess", "Lockstep"]
