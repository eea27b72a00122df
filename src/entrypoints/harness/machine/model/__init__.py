"""The model: what a box office has to answer, kept in plain Python without any code of the domain's rules."""
