"""The passwords that everybody tries first, as zxcvbn lists them."""

from zxcvbn.frequency_lists import FREQUENCY_LISTS


class ZxcvbnKnownPasswords:
    """The 30,000 passwords found most often in what leaked, upper and lower case being the same."""

    def __init__(self) -> None:
        self._known = frozenset(password.casefold() for password in FREQUENCY_LISTS["passwords"])

    def contains(self, password: str) -> bool:
        """Whether the password is among them."""
        return password.casefold() in self._known
