"""Tests of the quarterly experiment."""
