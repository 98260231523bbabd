"""The library in other training frameworks, one file or package each; they are extras."""
