"""Text from a vector: fragments of known prompts put together so that the text's own vector is close to it."""
