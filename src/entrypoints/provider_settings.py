"""The rules for the settings of providers, Stripe and drand. Each returns the value to keep, or raises ValueError."""

import re
from typing import Final

DRAND_RELAYS: Final = ("https://api.drand.sh", "https://drand.cloudflare.com")

_RELAY: Final = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[!-~]*)?|http://(?:127\.0\.0\.1|localhost):[0-9]{1,5}"
)


def stripe_key(text: str) -> str:
    """Check the key of an account."""
    if not re.fullmatch(r"[sr]k_[A-Za-z0-9_]+", text):
        raise ValueError("must be a secret or restricted key of Stripe: sk_… or rk_…")
    return text


def stripe_webhook_secret(text: str) -> tuple[str, ...]:
    """Return the signing secrets of a webhook, one or several."""
    secrets = tuple(each.strip() for each in text.split(","))
    if not all(re.fullmatch(r"whsec_[!-~]+", each) for each in secrets):
        raise ValueError("must be the signing secret of Stripe's webhook: whsec_…, or several separated by commas")
    return secrets


def drand_relays(text: str) -> tuple[str, ...]:
    """Return the addresses of relays, in the order in which they are asked."""
    relays = tuple(each.strip().rstrip("/") for each in text.split(","))
    if not all(map(_RELAY.fullmatch, relays)):
        raise ValueError("must be https:// addresses of relays of drand, separated by commas")
    return relays
