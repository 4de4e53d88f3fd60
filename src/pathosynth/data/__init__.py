"""What flows between stages: volumes, label schemes, grids and case tables."""
