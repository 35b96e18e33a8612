"""Moderation: which comments are held, and what moderators do. docs/moderation.md says how it is used."""
