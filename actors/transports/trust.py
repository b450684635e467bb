"""Whom TLS believes."""

import ssl


def trusting(ca_file: str = "") -> ssl.SSLContext:
    """Return what TLS takes for proven: the system's certificates, and those of a file (PEM).

    Raises: `OSError`, `ssl.SSLError`.
    """
    tls = ssl.create_default_context()
    if ca_file:
        tls.load_verify_locations(ca_file)
    return tls
