"""The commands behind ``twotower-ident``, each a thin layer over one call of the library."""
