"""What each evading network computes, said a second time with ordinary networks and numpy."""
