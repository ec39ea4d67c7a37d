"""From local times to the time on the GPU of a rulebook: pure arithmetic on recorded times."""
