"""The rules for Stripe's settings. Each returns the value to keep, or raises ValueError."""

import re


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
