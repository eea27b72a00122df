"""The migrations from 0011 to 0020, apart because folders stay small."""
