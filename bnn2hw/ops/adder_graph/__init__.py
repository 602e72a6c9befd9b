"""Sums that the neurons of an unrolled layer share."""
