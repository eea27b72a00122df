"""One router for each subject. Handlers parse a request, call one use case and render its outcome."""
