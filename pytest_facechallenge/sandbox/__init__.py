"""Running steps in a process of their own: limits, the scratch folder, the facts that steps leave."""
