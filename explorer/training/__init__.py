"""Captions in, a better checkpoint out: readers, data, training, evaluation, guarded local fine-tuning."""
