"""The Hypothesis state machine, its model, and the applications that it drives."""
