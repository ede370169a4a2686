"""Foreign bytes are decoded in processes of their own, with little memory, time and no rights."""
