"""The container images: one Dockerfile for all, two parents, and build.py, which makes what a registry lacks."""
