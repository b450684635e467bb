"""SMPP 3.4 over TCP: framing, codec and one session per link."""
