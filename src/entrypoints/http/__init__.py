"""The REST API: a Litestar application that parses a request, calls one use case and renders its outcome."""
