"""Device families, devices and boards: data that the estimates and the tool flow read."""
