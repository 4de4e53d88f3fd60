"""Ratings -> numbers with intervals: pure functions on arrays, one file of ratings to one result, a page of it."""
