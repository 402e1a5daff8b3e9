"""What HTTP asks of a session: its cookie, its headers, the response when it fails."""
