"""Auditing many entries: judged one by one, resumed where a run was stopped, compared, ranked."""
