"""Make pictures of 8 bits at the screen's resolution, north up."""
