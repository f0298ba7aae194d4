"""Brings a source into a folder: git, a local folder, an archive or an upload."""
