"""Labels -> sicker labels, one file per pathology."""
