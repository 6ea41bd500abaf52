"""Server-rendered pages. Routes call views and render templates; they compute nothing."""
