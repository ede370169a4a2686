"""Images from bytes: decoded, checked against limits, cut and resized. Free of torch."""
