"""Writes prompts with a language model, MagicPrompt, or with the grammar that stands in for it."""
