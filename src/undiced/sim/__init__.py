"""Times wafer programs: the analytic simulator, calibration, validation, replay of published mappings, wafer maps."""
