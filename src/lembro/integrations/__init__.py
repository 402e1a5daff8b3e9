"""One short file a framework, each a translation of the framework's words into lembro's."""
