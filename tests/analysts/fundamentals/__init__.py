"""Tests of the fundamentals analyst."""
