"""The migrations from 0021 to 0030, apart because folders stay small."""
