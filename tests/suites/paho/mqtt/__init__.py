"""Stands where paho's tests look for the broker that they would start."""
