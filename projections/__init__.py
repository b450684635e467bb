"""Read models: every screen, status and counter, computed from the log."""
