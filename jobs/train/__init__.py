"""Fine-tunes an image tower to predict a prompt's vector from its image; can be stopped at any moment."""
