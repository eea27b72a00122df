"""The one way in which a check fails."""


class Refused(Exception):
    """What was given does not hold, or could not be read. The message is a sentence for people."""
