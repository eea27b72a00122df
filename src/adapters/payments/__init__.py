"""Payment providers: a sandbox that moves no money, and Stripe. `ledger` and `stripe` are imported only when chosen."""

from .sandbox import Entry, EntryKind, Ledger, MemoryLedger, SandboxGateway

__all__ = ["Entry", "EntryKind", "Ledger", "MemoryLedger", "SandboxGateway"]
