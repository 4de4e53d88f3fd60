"""Data sets on disk <-> cases, one file per format."""
