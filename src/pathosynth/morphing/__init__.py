"""The engine of the pathologies: displacement field, warp, measurement, exact targeting."""
