"""Strategies of several runs on the sessions that they share."""
