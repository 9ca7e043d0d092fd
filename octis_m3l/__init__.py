"""Topic models for many languages and images at once, trained and measured on OCTIS's terms."""
