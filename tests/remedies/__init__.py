"""Remedies: their own words are run, and what comes out is judged again."""
