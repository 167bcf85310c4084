"""Methods of the literature with their published settings: one file a method, each a function `fit(past) -> Policy`."""
