"""The checks, one module per family. Each is a pure function ``(facts, rule) -> Outcome``."""
