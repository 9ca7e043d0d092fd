"""Public data sets: where they are, their licences, and how to build them."""
