"""Organisations' phones as SMS gateways, over HTTP and WebSockets."""
