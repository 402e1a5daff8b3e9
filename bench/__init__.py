"""The measurements behind the claims: ``make bench``, or ``python -m bench [names] [--quick]``.

Every claim is measured against its peers in one run, in which all take turns.
"""
