"""Decisions about money: paying, what the provider tells, refunds, and what a provider can charge."""
