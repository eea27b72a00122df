"""The only place that writes literals into SQL: the statements of a batch, where binding each value costs too much."""
