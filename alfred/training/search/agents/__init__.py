"""Which agent, with which network, reward and selection: searched on validation folds before the test."""
