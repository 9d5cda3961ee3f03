"""From landmarks to where slices should lie."""
