"""How far the likeness of two networks tells copies from independent work: small networks, trained here, and copies."""
