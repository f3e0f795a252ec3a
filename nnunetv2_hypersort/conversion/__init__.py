"""The engine of the converters: check, convert, resume, publish."""
