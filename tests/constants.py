"""Values that several folders of tests share."""

from typing import Final

SECRET: Final = "q3Vd-Zk81tYx_0RbN7mJwPf5LsGe2HcUo9TiXaD4Q6E"
"""A secret for access tokens that the settings accept."""
