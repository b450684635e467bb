"""The SMPP SMS proxy (seed 000)."""
