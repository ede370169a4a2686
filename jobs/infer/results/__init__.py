"""The files of predictions that people open: tables, vectors, a page with the pictures. Free of numpy and Pillow."""
