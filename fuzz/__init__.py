"""Fuzzing of the code that reads bytes from outside.

``make fuzz`` runs the targets under atheris, from the seeds in ``corpus.py``. ``tests/fuzz`` runs
them over the same seeds and a few thousand other inputs, without atheris.
"""
