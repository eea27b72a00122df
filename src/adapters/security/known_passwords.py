"""Common passwords, from the lists of zxcvbn."""

from zxcvbn.frequency_lists import FREQUENCY_LISTS


class ZxcvbnKnownPasswords:
    """The most frequent leaked passwords, compared without case."""

    def __init__(self) -> None:
        self._known = frozenset(password.casefold() for password in FREQUENCY_LISTS["passwords"])

    def contains(self, password: str) -> bool:
        """Return whether the password is a common one."""
        return password.casefold() in self._known
