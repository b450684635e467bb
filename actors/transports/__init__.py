"""Greenlets that do the blocking work and `tell` an actor what happened."""
