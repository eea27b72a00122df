"""The REST API: a Litestar application whose handlers parse a request, call one use case and render its outcome."""
