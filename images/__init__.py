"""The container images: a Dockerfile for each in its folder, and build.py, which makes what a registry lacks."""
