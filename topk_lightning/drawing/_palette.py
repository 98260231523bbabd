"""The colours of the report in light and dark: Okabe and Ito's for data, greys for the rest."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DARK", "LIGHT", "css_variables"]

#: `series_0` … are told apart by readers with a colour vision deficiency; names in `_text` are dark or light enough for
#: text where Okabe and Ito's own colour is not.
LIGHT: Mapping[str, str] = {
    "page": "#f6f6f3",
    "card": "#ffffff",
    "ink": "#1b1d21",
    "muted": "#5a6069",
    "line": "#dcdcd6",
    "grid": "#ebebe6",
    "accent": "#0072b2",
    "accent_soft": "#dcebf5",
    "right": "#009e73",
    "right_text": "#00694d",
    "wrong": "#d55e00",
    "wrong_text": "#a64900",
    "far": "#8b9099",
    "notice": "#b87e00",
    "notice_text": "#7d5500",
    "series_0": "#0072b2",
    "series_1": "#d55e00",
    "series_2": "#009e73",
    "series_3": "#b35a8c",
    "series_4": "#7d5500",
}

DARK: Mapping[str, str] = {
    "page": "#121418",
    "card": "#1b1e24",
    "ink": "#eceef1",
    "muted": "#a5adb8",
    "line": "#343a44",
    "grid": "#292e36",
    "accent": "#56b4e9",
    "accent_soft": "#1f3b4d",
    "right": "#1db489",
    "right_text": "#4fd0a8",
    "wrong": "#e8702a",
    "wrong_text": "#ff9b5e",
    "far": "#7b828d",
    "notice": "#e69f00",
    "notice_text": "#f3bb45",
    "series_0": "#56b4e9",
    "series_1": "#e69f00",
    "series_2": "#1db489",
    "series_3": "#cc79a7",
    "series_4": "#f0e442",
}


def css_variables(scheme: Mapping[str, str]) -> str:
    """Return the colours as declarations of CSS variables.

    Examples:
        >>> css_variables({"accent_soft": "#dcebf5"})
        '--accent-soft:#dcebf5'
    """
    return ";".join(f"--{name.replace('_', '-')}:{colour}" for name, colour in scheme.items())
