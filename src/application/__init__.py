"""Use cases, one class with one `__call__` each, the ports that they need, and the turnstile."""
