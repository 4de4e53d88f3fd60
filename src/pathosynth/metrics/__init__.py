"""Two things -> a number: two sets of cases (`sets`), two images (`structure`); `features` makes vectors of images."""
