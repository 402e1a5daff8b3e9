"""The measurements behind the claims: ``make bench``, or ``python -m bench [names] [--quick]``.

Every claim is measured beside the peers it is made against, in one run, in turns.
"""
