"""Composition roots, settings, the embedded database and the `signalbox` command."""
