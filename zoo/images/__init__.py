"""Models of images, in raster order."""
