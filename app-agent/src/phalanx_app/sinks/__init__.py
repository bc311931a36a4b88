"""What happens where data is used: `engine` wraps the places of the catalogue, `checks` decide, `response` looks at what is sent back."""
