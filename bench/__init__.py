"""Benchmarks: each figure beside its baseline in the same run. See README.md."""
