"""Use cases of charges and refunds: the provider's notices, refunds by organizers, and what needs a person."""
