"""What every conversion shares: reading and checking NIfTI files, merging labels, a folder that is whole or absent."""
