"""The turnstile, retried transactions and shared reads. No use case lives here."""
