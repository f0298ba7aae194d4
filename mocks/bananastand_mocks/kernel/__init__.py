"""What every mock is made of: contract, world, clock, faults, journal, limits. Never names a provider."""
