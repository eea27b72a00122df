"""Checkers of what the service publishes, which need no settings and no database. The command line only calls them.

They share no code with the rules that they check.
"""
