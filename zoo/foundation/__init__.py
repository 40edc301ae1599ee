"""What knows no model: the registry of classes, arguments and sizes, precision, units."""
