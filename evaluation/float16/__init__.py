"""Networks whose weights are narrower than float32 in fact, and honest constants that resemble them."""
