"""What the embedded demo uses where production has prompt sources, a language model and Stable Diffusion."""
