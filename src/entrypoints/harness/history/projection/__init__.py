"""An event as its facts describe it, followed fact by fact. No rule of the domain is used here."""
