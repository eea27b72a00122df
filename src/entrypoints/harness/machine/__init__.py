"""The state machine of Hypothesis, its model, and the box offices that it drives."""
