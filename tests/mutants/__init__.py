"""Mutation tests: put faults into copies of the code, one at a time, and check that the suite fails."""
