"""Python environments of builds: which Python, which packages, as of which day."""
