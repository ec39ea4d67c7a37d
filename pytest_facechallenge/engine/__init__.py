"""From what the user named to verdicts: plan, gather, judge."""
