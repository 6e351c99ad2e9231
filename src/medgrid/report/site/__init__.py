"""The pages of a site, their templates, style and scripts."""
