"""Drawing of the library: figures of matplotlib, pictures in a gallery, the palette, plots as SVG."""
