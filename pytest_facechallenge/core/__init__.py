"""Plain data of a judgement: rules, facts, outcomes. No input or output, no pytest, no model."""
