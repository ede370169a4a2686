"""Writes prompts with a language model, MagicPrompt, or with the synthetic grammar."""
