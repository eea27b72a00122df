"""The reference: what Litestar's OpenAPI document is told beyond the handlers' signatures, and its page."""
