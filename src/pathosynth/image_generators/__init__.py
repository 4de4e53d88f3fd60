"""Labels -> image, one file per generator."""
