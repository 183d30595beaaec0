"""Tests of training and evaluation: made features with a known structure, real model code."""
