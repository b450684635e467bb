"""Phones as SMS gateways of an account: the Signalhouse API."""
