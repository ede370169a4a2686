"""What every parameter, command and exit code means, read from the code: for `i2p explain`, completion and the docs."""
