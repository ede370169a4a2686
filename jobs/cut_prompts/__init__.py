"""Cuts training prompts into fragments, of which readable prompts are composed."""
