"""Where datasets lie and how their files are written: layout, manifest, locations, the warehouse."""
