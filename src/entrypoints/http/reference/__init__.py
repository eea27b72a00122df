"""The reference: additions to Litestar's OpenAPI document, and the page that shows it."""
