"""The HTTP entrypoint: a Litestar application whose handlers parse, call one use case, and render."""
