"""Acceptance of a server: what it returns must lie where its headers say."""
