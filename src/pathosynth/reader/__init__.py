"""A blinded study with several readers, and what its ratings say."""
