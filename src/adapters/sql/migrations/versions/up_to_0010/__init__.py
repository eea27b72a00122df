"""The first ten migrations, apart because folders stay small."""
