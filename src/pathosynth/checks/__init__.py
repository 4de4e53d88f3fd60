"""Case -> value, limit, passed; one file per check."""
