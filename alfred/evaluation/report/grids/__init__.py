"""Tables whose cells have colours: a number is always written in them, and no colour is needed to read it."""
