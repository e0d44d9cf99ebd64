"""What the product knows of a person: which tables (`tables`), as an archive (`exports`), gone (`erasure`), by age."""
