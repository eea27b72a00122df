"""Histories: what clients asked for and were told, so that what a system did can be judged by what was seen of it."""

from .record import Call, Entry, History, Operation, Outcome

__all__ = ["Call", "Entry", "History", "Operation", "Outcome"]
