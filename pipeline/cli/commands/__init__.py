"""The commands of `i2p`: each is a function of a Call that prints and returns an exit code."""
