"""Balance-dependent risk ratio sizer for Quarterdeck."""
