"""Mappings that others published, as programs of our language. They choose nothing and know no mapping of ours."""
