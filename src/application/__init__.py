"""Use cases, one class with one `__call__` each, the ports they need, and the turnstile that lets commands through."""
