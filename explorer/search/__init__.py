"""Query to explained hits: parse, retrieve coarse, score fine, calibrate, group, explain, hand over."""
