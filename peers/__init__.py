"""The test suites of other projects, with lembro in place of their sessions: ``make peers``.

There is a file for each project. It contains what is run, how lembro replaces the project's
sessions, and which tests are expected to fail and why. The suites are those of the source
distributions that pip fetches.
"""
