"""Tenants' mail, their accounts and what became of it, over HTTP."""
