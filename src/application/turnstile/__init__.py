"""The turnstile and what else shares transactions and reads. No use case lives here."""
