"""The HTTP of a session: its cookie, its headers, and the response when it fails."""
