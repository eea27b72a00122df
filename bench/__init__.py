"""Benchmarks. Each figure is measured beside its baseline in the same run. See README.md."""
