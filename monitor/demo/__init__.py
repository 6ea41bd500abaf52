"""What `plumbline demo` needs beside the daemon: made traffic, and a plot in the terminal."""
