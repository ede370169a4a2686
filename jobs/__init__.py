"""The stages of the pipeline: one package a stage, and what they share."""
