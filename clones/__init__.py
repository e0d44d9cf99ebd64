"""Clones of experts: who they are, who may see and edit them. Enter at `models`."""
