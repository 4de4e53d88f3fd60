"""Whole studies: a study file becomes jobs, each one command of this package, and Snakemake runs them."""
