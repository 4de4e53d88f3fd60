"""Images -> labels: segmenters that are judged, one file or folder per kind."""
