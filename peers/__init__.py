"""The test suites of other projects, with lembro in their place: ``make peers``.

A file for each project says what is run, how lembro is put in its place, and what is expected to
fail and why. The suites are those of the source distributions that pip fetches.
"""
