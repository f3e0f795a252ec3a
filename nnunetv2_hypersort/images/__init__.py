"""Images and label maps: grids, readers, label tables, overlap."""
