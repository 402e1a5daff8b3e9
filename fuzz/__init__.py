"""Fuzzing: what reads bytes from outside, fed with bytes that nobody thought of.

``make fuzz`` runs the targets under atheris, from the seeds in ``corpus.py``; ``tests/fuzz`` runs
them over the same seeds and a few thousand others, without atheris.
"""
