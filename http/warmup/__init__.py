"""The warm-up of sending addresses over HTTP: configuration and status."""
