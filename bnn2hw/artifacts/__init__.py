"""Write a compiled model into a build folder, and read it back."""
