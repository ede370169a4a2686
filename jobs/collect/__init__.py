"""Collects prompts from public sources, in the formats they are published in."""
