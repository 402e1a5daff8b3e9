"""The integrations: one module or package for each framework, all of one shape."""
