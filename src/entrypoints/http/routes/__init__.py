"""One router for each subject: its handlers parse a request, call one use case and render its outcome."""
