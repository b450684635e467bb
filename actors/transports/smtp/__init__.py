"""Mails on their way to SMTP servers (RFC 5321)."""
