"""The torso: one template for the CT kinds, of which each paints the part in its field of view."""
