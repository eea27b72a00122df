"""Headers that keep browsers from doing what nobody meant."""

from base64 import b64encode
from hashlib import sha256
from typing import Final

_EVERYWHERE: Final = (
    # What is JSON is not taken for a page.
    (b"x-content-type-options", b"nosniff"),
    # Ids in our paths are told to nobody else.
    (b"referrer-policy", b"no-referrer"),
)
PRIVATE: Final = (*_EVERYWHERE, (b"cache-control", b"no-store"))
"""For answers that are somebody's own, and for all that is refused: nobody keeps a copy."""

PUBLIC: Final = (*_EVERYWHERE, (b"cache-control", b"no-cache"))
"""For what anybody may see: a copy may be kept, and is asked about each time (`If-None-Match`)."""


def page_policy(style: str = "") -> dict[str, str]:
    """The policy of a page with this style and nothing else: no script or picture, nothing from elsewhere, no frame."""
    styles = f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" if style else "'none'"
    policy = f"default-src 'none'; style-src {styles}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return {"Content-Security-Policy": policy}
