"""Turns prompts into the sentence embeddings that the competition scores: all-MiniLM-L6-v2, 384 numbers."""
