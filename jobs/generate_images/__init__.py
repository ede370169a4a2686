"""Makes an image for every kept prompt with Stable Diffusion, or with the synthetic drawing."""
