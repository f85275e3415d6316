"""Contracts: what the protocols promise, checked on any part that claims to keep one."""
